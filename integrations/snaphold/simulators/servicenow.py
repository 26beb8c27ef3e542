"""A stand-in for a ServiceNow instance: tables, work notes, changes, CMDB and OAuth, with its traps.

It ignores parts of a query that it does not know, drops fields of a change that it does not know, shows no work note in
the incident, and answers slow work with a worker.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar, cast
from urllib.parse import parse_qs

from snaphold.simulators.base import Call, Reply, Stateful
from snaphold.simulators.servicenow_tables import Record, Tables, reference, shown_record

USER, PASSWORD = "snaphold", "simulated-password"
CLIENT_ID, CLIENT_SECRET = "simulated-client", "simulated-secret"
DEPENDS_ON = "Depends on::Used by"
_API = "/api/sn_chg_rest/change"
_STATES = {"-5": "New", "-4": "Assess", "-3": "Authorize", "-2": "Scheduled", "-1": "Implement", "0": "Review", "3": "Closed",
           "4": "Canceled"}  # fmt: skip
_NEXT = {"-5": ("-4", "4"), "-4": ("-3", "4"), "-3": ("4",), "-2": ("-1", "4"), "-1": ("0", "4"), "0": ("3",), "3": (), "4": ()}
"""From Authorize on, a person approves: nothing a client does leads past it."""
_CHANGE_FIELDS = frozenset({
    "short_description", "description", "justification", "correlation_id", "correlation_display", "assignment_group", "state",
    "close_code", "close_notes", "work_notes",
})  # fmt: skip


class Simulator(Stateful):
    """One instance with a service desk."""

    summary: ClassVar[str] = "ServiceNow: tables, changes, CMDB, OAuth"
    own_faults: ClassVar[Mapping[str, str]] = {
        "query_ignored": "every condition of the query is ignored",
        "correlation_ignored": "the change is opened without its correlation id",
        "worker_stuck": "slow work is never complete",
        "worker_failed": "slow work ends with an error",
    }

    def __init__(self) -> None:
        self.tables = Tables()
        self.relations: list[tuple[str, str, str]] = []
        self.workers: dict[str, int] = {}
        self.associated: list[str] = []
        self.tokens_given = 0
        self._token = ""
        self._refresh = ""
        self._fault = ""

    def credentials(self) -> Mapping[str, str]:
        """Return user and password, and a client for OAuth."""
        return {"username": USER, "password": PASSWORD, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    def expire(self) -> None:
        """Have the OAuth token be worth nothing; a basic sign-in does not expire."""
        self._token = ""

    def disturb(self, fault: str) -> Callable[[], None] | None:
        """Switch a fault of this vendor on for one call; stuck and failed workers stay so."""
        self._fault = fault

        def undo() -> None:
            self._fault = ""

        return None if fault.startswith("worker") else undo

    def refuse(self, status: int, message: str) -> Reply:
        """Return an error in ServiceNow's form."""
        return Reply(status, {"error": {"message": message, "detail": None}, "status": "failure"})

    def throttle(self, seconds: int) -> Reply:
        """Return 429 with ServiceNow's headers."""
        reset = int(datetime.now(timezone.utc).timestamp()) + seconds
        headers = {"Retry-After": str(seconds), "X-RateLimit-Limit": "100", "X-RateLimit-Reset": str(reset)}
        body = {"message": "Rate limit exceeded", "detail": "Rate limit of 100 requests per hour for Table API exceeded"}
        return Reply(429, {"error": body, "status": "failure"}, {**headers, "X-RateLimit-Rule": "Table API"})

    def furnish(self) -> str:
        """Open an incident, and fill the CMDB with a shop that needs a database."""
        self.add_item("orders-web", ("orders-db",))
        self.add_item("files-01")
        number = self.open_incident("Ransomware on the file server", "INC0010002")
        return f"incident {number}; CMDB: orders-web needs orders-db, files-01"

    def open_incident(self, title: str, number: str = "") -> str:
        """Open an incident as somebody at the service desk would; return its number."""
        made = self.tables.insert("incident", {"short_description": title, "state": "1", "urgency": "1", "number": number})
        return made["number"]

    def add_item(self, name: str, needs: tuple[str, ...] = (), relation: str = DEPENDS_ON) -> str:
        """Add a configuration item that needs others by name; return its sys_id."""
        known = {row["name"]: row["sys_id"] for row in self.tables.rows["cmdb_ci"]}
        sys_id = known.get(name) or self.tables.insert("cmdb_ci", {"name": name})["sys_id"]
        for needed in needs:
            self.relations.append((sys_id, relation, known.get(needed) or self.add_item(needed)))
        return sys_id

    def approve(self, number: str) -> None:
        """Approve a change as its approvers would, and start it."""
        self.tables.find("change_request", "number", number)["state"] = "-1"

    def answer(self, call: Call) -> Reply:
        """Return the answer to a call."""
        if call.path == "/oauth_token.do":
            return self._sign_in(call)
        if not self._signed_in(call):
            return self.refuse(401, "User Not Authenticated")
        parts = call.path.removeprefix("/api/").split("/")
        if parts[:2] == ["now", "table"] and len(parts) in (3, 4):
            return self._table(call, parts[2], parts[3] if len(parts) == 4 else "")  # noqa: PLR2004
        if parts[:3] == ["now", "cmdb", "instance"] and len(parts) == 5 and call.method == "GET":  # noqa: PLR2004
            return self._instance(parts[4])
        if call.path.startswith(_API + "/"):
            return self._change(call, call.path.removeprefix(_API + "/").split("/"))
        return self.refuse(400, "Requested URI does not represent any resource")

    def _sign_in(self, call: Call) -> Reply:
        given = {name: values[0] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}
        denied = Reply(401, {"error": "server_error", "error_description": "access_denied"})
        if (given.get("client_id"), given.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return denied
        by_password = (given.get("username"), given.get("password")) == (USER, PASSWORD)
        by_refresh = bool(self._refresh) and given.get("refresh_token") == self._refresh
        if not {"password": by_password, "refresh_token": by_refresh}.get(given.get("grant_type", ""), False):
            return denied
        if not self._token:
            self.tokens_given += 1
            self._token, self._refresh = f"access-{self.tokens_given}", f"refresh-{self.tokens_given}"
        tokens = {"access_token": self._token, "refresh_token": self._refresh}
        return Reply(200, {"scope": "useraccount", "token_type": "Bearer", "expires_in": 1800, **tokens})

    def _signed_in(self, call: Call) -> bool:
        basic = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
        known = {f"Basic {basic}", *([f"Bearer {self._token}"] if self._token else [])}
        return call.headers.get("authorization") in known

    def _table(self, call: Call, table: str, sys_id: str) -> Reply:
        if table not in self.tables.rows:
            return self.refuse(400, f"Invalid table {table}")
        if call.method == "GET" and not sys_id:
            query = "" if self._fault == "query_ignored" else call.one("sysparm_query")
            found = self.tables.query(table, query)
            limit, offset = int(call.one("sysparm_limit", "10000")), int(call.one("sysparm_offset", "0"))
            rows = [self._shown(call, row) for row in found[offset : offset + limit] if not row.get("hidden")]
            return Reply(200, {"result": rows}, {"X-Total-Count": str(len(found))})
        row = self.tables.get(table, sys_id)
        if row is None:
            return self.refuse(404, "No Record found")
        if call.method in ("PATCH", "PUT"):
            self._update(table, row, cast("dict[str, Any]", call.document()))
        return Reply(200, {"result": self._shown(call, row)})

    def _update(self, table: str, row: Record, given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            if name in ("work_notes", "comments"):
                note = {"element_id": row["sys_id"], "element": name, "value": str(value), "name": table}
                self.tables.insert("sys_journal_field", note)
            else:
                row[name] = str(value)
        row["sys_mod_count"] = str(int(row["sys_mod_count"]) + 1)

    def _shown(self, call: Call, row: Record) -> dict[str, Any]:
        fields = [name for name in call.one("sysparm_fields").split(",") if name]
        return shown_record(row, fields, call.one("sysparm_display_value", "false"))

    def _instance(self, sys_id: str) -> Reply:
        row = self.tables.get("cmdb_ci", sys_id)
        if row is None:
            return self.refuse(404, "No Record found")
        result = {
            "attributes": shown_record(row, [], "false"),
            "outbound_relations": [self._related(kind, child) for parent, kind, child in self.relations if parent == sys_id],
            "inbound_relations": [self._related(kind, parent) for parent, kind, child in self.relations if child == sys_id],
        }
        return Reply(200, {"result": result})

    def _related(self, kind: str, sys_id: str) -> dict[str, Any]:
        name = (self.tables.get("cmdb_ci", sys_id) or {}).get("name", "")
        kind_id = hashlib.sha256(kind.encode()).hexdigest()[:32]
        own = hashlib.sha256(f"{kind}{sys_id}".encode()).hexdigest()[:32]
        return {"sys_id": own, "type": reference("cmdb_rel_type", kind_id, kind), "target": reference("cmdb_ci", sys_id, name)}

    def _change(self, call: Call, parts: list[str]) -> Reply:
        if (call.method, parts) == ("POST", ["emergency"]):
            return self._open_change(cast("dict[str, Any]", call.document()))
        if (call.method, parts) == ("GET", ["standard", "template"]):
            found = self.tables.query("std_change_template", call.one("sysparm_query"))
            return Reply(200, {"result": [shown_record(row, [], "all") for row in found]})
        if call.method == "GET" and parts[0] == "worker":
            return self._worker(parts[1])
        sys_id, what = (parts[1], "") if parts[0] == "emergency" else (parts[0], "/".join(parts[1:]))
        row = self.tables.get("change_request", sys_id)
        if row is None:
            return self.refuse(404, "Record not found")
        if (call.method, what) == ("GET", "nextstates"):
            result = {"available_states": [row["state"], *_NEXT[row["state"]]], "state_transitions": [], "state_label": _STATES}
            return Reply(200, {"result": result})
        if (call.method, what) == ("POST", "ci"):
            self.associated += str(cast("dict[str, Any]", call.document())["cmdb_ci_sys_ids"]).split(",")
            worker = hashlib.sha256(f"{sys_id}{len(self.workers)}".encode()).hexdigest()[:32]
            self.workers[worker] = 0
            return self._worker(worker)
        if call.method == "PATCH" and parts[0] == "emergency":
            return self._patch_change(row, cast("dict[str, Any]", call.document()))
        return self.refuse(400, "Requested URI does not represent any resource")

    def _open_change(self, given: Mapping[str, Any]) -> Reply:
        known = _CHANGE_FIELDS - ({"correlation_id"} if self._fault == "correlation_ignored" else set())
        kept = {name: str(value) for name, value in given.items() if name in known}
        row = self.tables.insert("change_request", {"state": "-5", "type": "emergency", **kept})
        return self._change_reply(row, sorted(set(given) - known))

    def _patch_change(self, row: Record, given: Mapping[str, Any]) -> Reply:
        wanted = str(given.get("state", row["state"]))
        if wanted != row["state"] and wanted not in _NEXT[row["state"]]:
            return self.refuse(400, f"Invalid state transition from {row['state']} to {wanted}")
        if wanted == "3" and not given.get("close_code"):
            return self.refuse(400, "Close code and close notes are mandatory")
        self._update("change_request", row, {name: value for name, value in given.items() if name in _CHANGE_FIELDS})
        return self._change_reply(row, sorted(set(given) - _CHANGE_FIELDS))

    def _change_reply(self, row: Record, ignored: list[str]) -> Reply:
        cells: dict[str, Any] = shown_record(row, ["sys_id", "number", "state", "type", "short_description"], "all")
        cells["state"] = {"value": row["state"], "display_value": _STATES[row["state"]]}
        return Reply(200, {"result": [{**cells, "__meta": {"ignoredFields": ignored}}]})

    def _worker(self, worker: str) -> Reply:
        if worker not in self.workers:
            return self.refuse(404, "Record not found")
        self.workers[worker] += 1
        failed = self._fault == "worker_failed"
        complete = self.workers[worker] > 1 and self._fault != "worker_stuck"
        state = {"value": 3, "display_value": "Complete"} if complete else {"value": 1, "display_value": "Waiting"}
        messages = {"errorMessages": ["Invalid configuration item"] if failed else [], "warningMessages": [], "infoMessages": []}
        link = f"https://instance.service-now.com{_API}/worker/{worker}"
        result = {"worker": {"sysId": worker, "link": link}, "request": "{}", "state": state, "type": "affected"}
        return Reply(200, {"result": {**result, "messages": messages}})
