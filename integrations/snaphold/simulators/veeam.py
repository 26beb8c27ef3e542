"""A stand-in for Veeam Backup & Replication: jobs, sessions, restore points, repositories, publications, malware events.

Made from the published behaviour; conflicts and the order of things are ours. It refuses a wrong revision, and takes each
refresh token once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

from snaphold.simulators import veeam_shapes as shapes
from snaphold.simulators.base import Call, Reply, Stateful
from snaphold.simulators.veeam_calls import ROUTES
from snaphold.simulators.veeam_world import USER, Document, World

PASSWORD = "simulated-password"  # noqa: S105  it protects nothing
BUILDS = {"1.2-rev1": "12.3.1.1139", "1.3-rev1": "13.0.1.180", "1.3-rev2": "13.1.0.411"}
"""The first build of each revision; a server also takes the revisions before its own."""
EXPIRES_SECONDS = 900
ENDS_AFTER = 3
_ERRORS = {
    400: "UnexpectedContent", 401: "InvalidToken", 403: "AccessDenied", 404: "NotFound", 405: "MethodNotAllowed",
    503: "ServiceUnavailable",
}  # fmt: skip


class Simulator(Stateful):
    """One backup server with two virtual machines, one of them in a nightly job."""

    summary: ClassVar[str] = "Veeam Backup & Replication: REST API 1.2-rev1, 1.3-rev1, 1.3-rev2"
    own_faults: ClassVar[Mapping[str, str]] = {
        "no_content": "a start is answered with 204 and no session",
        "already_running": "it is done, but refused as running already",
        "zoneless": "times carry no zone",
        "offline": "every repository is offline",
        "full": "every repository is full",
    }

    def __init__(self, build: str = BUILDS["1.3-rev2"]) -> None:
        """Make a server of this build."""
        self.build = build
        self.world = World()
        self.administrator = True
        self.ends_after = ENDS_AFTER
        """After so many questions a run ends well by itself."""
        self.sign_ins = 0
        self._access: set[str] = set()
        self._refresh: set[str] = set()
        self._given = 0
        self.fault = ""
        self.revision = ""

    def credentials(self) -> Mapping[str, str]:
        """Return user and password."""
        return {"username": USER, "password": PASSWORD}

    def expire(self) -> None:
        """Have every access token of now be worth nothing; refresh tokens stay."""
        self._access.clear()

    def refuse(self, status: int, message: str) -> Reply:
        """Return an error in Veeam's form."""
        return Reply(status, {"errorCode": _ERRORS.get(status, "UnknownError"), "message": message})

    def throttle(self, seconds: int) -> Reply:
        """Return 429, which Veeam does not document; a proxy before it may send it."""
        return Reply(429, {"errorCode": "UnknownError", "message": "Too many requests"}, {"Retry-After": str(seconds)})

    def disturb(self, fault: str) -> Callable[[], None]:
        """Set one of the own faults for a call."""
        self.fault = fault
        before = [(item, item.online, item.free) for item in self.world.repositories]
        for item in self.world.repositories:
            item.online = item.online and fault != "offline"
            item.free = 0.0 if fault == "full" else item.free

        def undo() -> None:
            self.fault = ""
            for item, online, free in before:
                item.online, item.free = online, free

        return undo

    def answer(self, call: Call) -> Reply:
        """Return the answer to a call."""
        if not call.path.startswith("/api/"):
            return Reply(404, body=b"Not Found", headers={"Content-Type": "text/plain"})
        self.revision = call.headers.get("x-api-version", "")
        if not self._knows(self.revision):
            return self.refuse(400, f"The API version '{self.revision}' is not supported")
        if call.path == "/api/oauth2/token" and call.method == "POST":
            return self._sign_in(call)
        if call.headers.get("authorization", "").removeprefix("Bearer ") not in self._access:
            return Reply(401, {"errorCode": "ExpiredToken", "message": "The token is expired or unknown"})
        for method, pattern, handler in ROUTES:
            match = pattern.fullmatch(call.path)
            if match and method == call.method:
                reply = handler(self, call, unquote(match[1]) if match.groups() else "")
                return Reply(reply.status, shapes.respell(reply.document)) if self.revision == "1.2-rev1" else reply
        return self.refuse(404, f"There is no {call.method} {call.path}")

    def _knows(self, revision: str) -> bool:
        return revision in BUILDS and _number(BUILDS[revision]) <= _number(self.build)

    def _sign_in(self, call: Call) -> Reply:
        given = {name: values[0] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}
        by_password = (given.get("username"), given.get("password")) == (USER, PASSWORD)
        refresh = given.get("refresh_token", "")
        by_refresh = refresh in self._refresh
        if not {"password": by_password, "refresh_token": by_refresh}.get(given.get("grant_type", ""), False):
            return Reply(401, {"errorCode": "AccessDenied", "message": "Invalid credentials"})
        self._refresh.discard(refresh)
        self.sign_ins += by_password
        self._given += 1
        access, refresh = f"access-{self._given:06d}", f"refresh-{self._given:06d}"
        self._access.add(access)
        self._refresh.add(refresh)
        told = {"access_token": access, "token_type": "bearer", "refresh_token": refresh, "expires_in": EXPIRES_SECONDS}
        issued = shapes.with_zone(self.world.now)
        return Reply(200, {**told, ".issued": issued, ".expires": issued})

    def at(self, moment: Any) -> str:
        """Return a time as it is written now."""
        return (shapes.without_zone if self.fault == "zoneless" else shapes.with_zone)(moment)

    def page(self, call: Call, items: Sequence[Document]) -> Reply:
        """Return a page of a list, filtered by name as Veeam does: any property, * and ? as wildcards."""
        wanted = call.one("nameFilter")
        found = [item for item in items if not wanted or _names(item, wanted)]
        skip, limit = int(call.one("skip", "0")), int(call.one("limit", "200"))
        shown = found[skip : skip + limit]
        pagination = {"total": len(found), "count": len(shown), "skip": skip, "limit": limit}
        return Reply(200, {"data": shown, "pagination": pagination})

    def nothing(self, what: str) -> Reply:
        """Return 404."""
        return self.refuse(404, f"{what} was not found")


def _number(build: str) -> tuple[int, ...]:
    return tuple(int(part) for part in build.split("."))


def _names(item: Document, wanted: str) -> bool:
    return any(isinstance(value, str) and fnmatchcase(value, wanted.replace("[", "[[]")) for value in item.values())
