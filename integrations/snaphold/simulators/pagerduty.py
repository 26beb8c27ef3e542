"""A stand-in for PagerDuty: incidents, notes and events with their states, in one server for both APIs.

Made from the published behaviour; what a person on call would do is done with `respond`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, ClassVar, cast

from snaphold.simulators.base import Call, Reply, Stateful

TOKEN = "simulated-token"  # noqa: S105  it protects nothing
ROUTING_KEY = "simulated0routing0key00000000000"
MOST_OFFSET = 10_000
_HOST = "https://api.pagerduty.com"
_SITE = "https://example.pagerduty.com"
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass
class _Incident:
    id: str
    number: int
    title: str
    key: str
    urgency: str
    created: str
    status: str = "triggered"
    changed: str = ""
    answered_by: str = ""
    notes: list[dict[str, Any]] = field(default_factory=lambda: [])


class Simulator(Stateful):
    """PagerDuty with one service and one person on call."""

    summary: ClassVar[str] = "PagerDuty: REST API v2 and Events API v2"
    own_faults: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.incidents: dict[str, _Incident] = {}
        self.events: list[dict[str, Any]] = []
        """Every event that was taken, also those that changed nothing."""
        self._expired = False

    def credentials(self) -> Mapping[str, str]:
        """Return the token, the routing key and a sender that it accepts."""
        return {"token": TOKEN, "routing_key": ROUTING_KEY, "from": "oncall@example.org"}

    def expire(self) -> None:
        """Have the token be worth nothing from now on: PagerDuty's tokens are not renewed."""
        self._expired = True

    def refuse(self, status: int, message: str) -> Reply:
        """Return an error in PagerDuty's form."""
        return _error(status, 2001, message)

    def throttle(self, seconds: int) -> Reply:
        """Return 429 with PagerDuty's headers."""
        limit = {"ratelimit-limit": "960", "ratelimit-remaining": "0", "ratelimit-reset": str(seconds)}
        return Reply(429, _error(429, 2020, "Rate Limit Exceeded").document, limit)

    def furnish(self) -> str:
        """Open an incident."""
        return f"incident {self.open_incident('Ransomware on the file server')}"

    def open_incident(self, title: str, key: str = "", urgency: str = "high") -> str:
        """Open an incident as somebody in PagerDuty would; return its id."""
        number = len(self.incidents) + 1
        made = _Incident(f"P{number:06X}", number, title, key or f"auto-{number}", urgency, _now())
        made.changed = made.created
        self.incidents[made.id] = made
        return made.id

    def respond(self, key: str, status: str = "acknowledged", who: str = "Fay Lund") -> None:
        """Have the person on call answer the open incident of a key."""
        for incident in self._open(key):
            self._change(incident, status, who)

    def answer(self, call: Call) -> Reply:
        """Return the answer to a call of either API."""
        if call.path == "/v2/enqueue":
            return self._event(call) if call.method == "POST" else _error(405, 2001, "Method Not Allowed")
        if self._expired or call.headers.get("authorization") != f"Token token={TOKEN}":
            return _error(401, 2006, "Unauthorized")
        parts = call.path.strip("/").split("/")
        if call.method in ("POST", "PUT") and parts[0] == "incidents" and not _MAIL.fullmatch(call.headers.get("from", "")):
            return _error(400, 2001, "Invalid Input Provided", ["Requester is required (From header)"])
        if (call.method, call.path) == ("GET", "/abilities"):
            return Reply(200, {"abilities": ["teams", "urgencies"]})
        if parts[0] == "incidents":
            return self._incidents_call(call, parts[1:])
        return _error(404, 2100, "Not Found")

    def _incidents_call(self, call: Call, parts: list[str]) -> Reply:
        if not parts:
            return self._list(call) if call.method == "GET" else self._create(call)
        incident = self.incidents.get(parts[0])
        if incident is None:
            return _error(404, 2100, "Not Found")
        what = (call.method, "/".join(parts[1:]))
        if what == ("GET", ""):
            return Reply(200, {"incident": _shown(incident)})
        if what == ("PUT", ""):
            return self._update(incident, _inner(call, "incident"))
        if what == ("GET", "notes"):
            return Reply(200, {"notes": incident.notes})
        if what == ("POST", "notes"):
            return self._add_note(incident, _inner(call, "note"))
        return _error(404, 2100, "Not Found")

    def _list(self, call: Call) -> Reply:
        limit, offset = call.one("limit", "25"), call.one("offset", "0")
        if not (limit.isdigit() and offset.isdigit()) or int(limit) > 100 or int(limit) + int(offset) > MOST_OFFSET:  # noqa: PLR2004
            return _error(400, 2001, "Invalid Input Provided", ["Limit or offset is out of range"])
        found = [
            incident for incident in self.incidents.values()
            if call.one("incident_key") in ("", incident.key)
            and incident.status in call.query.get("statuses[]", [incident.status])
        ]  # fmt: skip
        found.sort(key=lambda incident: incident.number, reverse=call.one("sort_by").endswith(":desc"))
        page = found[int(offset) : int(offset) + int(limit)]
        shown = [_shown(incident) for incident in page]
        more = int(offset) + len(page) < len(found)
        return Reply(200, {"incidents": shown, "limit": int(limit), "offset": int(offset), "more": more, "total": None})

    def _create(self, call: Call) -> Reply:
        given = _inner(call, "incident")
        key = str(given.get("incident_key") or "")
        if not given.get("title") or given.get("type") != "incident" or not given.get("service"):
            return _error(400, 2001, "Invalid Input Provided", ["Title, type and service are required"])
        if key and self._open(key):
            matching = "Open incident with matching dedup key already exists on this service"
            return _error(400, 2002, "Arguments Caused Error", [matching])
        made = self.open_incident(str(given["title"]), key, str(given.get("urgency", "high")))
        return Reply(201, {"incident": _shown(self.incidents[made])})

    def _update(self, incident: _Incident, given: Mapping[str, Any]) -> Reply:
        status = given.get("status")
        if status is not None:
            if incident.status == "resolved" and status == "resolved":
                return _error(400, 1001, "Incident Already Resolved")
            if incident.status == "acknowledged" and status == "acknowledged":
                return _error(400, 1002, "Incident Already Acknowledged")
            self._change(incident, str(status), "Snaphold")
        return Reply(200, {"incident": _shown(incident)})

    def _add_note(self, incident: _Incident, given: Mapping[str, Any]) -> Reply:
        content = str(given.get("content") or "")
        if not content:
            return _error(400, 2001, "Invalid Input Provided", ["Content cannot be empty."])
        note = {
            "id": f"N{len(incident.notes) + 1:06X}",
            "user": {"id": "PUSER01", "type": "user_reference", "summary": "Snaphold", "self": None, "html_url": None},
            "channel": {"summary": "The PagerDuty website or APIs"},
            "content": content,
            "created_at": _now(),
        }
        incident.notes.append(note)
        return Reply(200, {"note": note})

    def _event(self, call: Call) -> Reply:
        try:
            given = cast("dict[str, Any]", call.document())
        except ValueError:
            return Reply(400, {"status": "Unrecognized object", "message": "Event object format is unrecognized", "errors": []})
        faults = _event_faults(given)
        if faults:
            return Reply(400, {"status": "invalid event", "message": "Event object is invalid", "errors": faults})
        key = str(given.get("dedup_key") or f"made-{len(self.events)}")
        self.events.append({**given, "dedup_key": key})
        action = given["event_action"]
        if action == "trigger" and not self._open(key):
            urgency = "high" if given["payload"]["severity"] in ("critical", "error") else "low"
            self.open_incident(str(given["payload"]["summary"]), key, urgency)
        elif action != "trigger":
            for incident in self._open(key):
                self._change(incident, {"acknowledge": "acknowledged", "resolve": "resolved"}[action], "Events API")
        return Reply(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _open(self, key: str) -> list[_Incident]:
        return [incident for incident in self.incidents.values() if incident.key == key and incident.status != "resolved"]

    def _change(self, incident: _Incident, status: str, who: str) -> None:
        incident.status, incident.changed = status, _now()
        incident.answered_by = who


def _event_faults(given: Mapping[str, Any]) -> list[str]:
    faults: list[str] = []
    if given.get("routing_key") != ROUTING_KEY:
        faults.append("'routing_key' is invalid")
    action = given.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        faults.append("'event_action' is missing or invalid")
    if action != "trigger" and not given.get("dedup_key"):
        faults.append("'dedup_key' is missing or blank")
    payload = cast("dict[str, Any]", given.get("payload") or {})
    if action == "trigger":
        faults += [f"'payload.{name}' is missing or blank" for name in ("summary", "source", "severity") if not payload.get(name)]
    return faults


def _inner(call: Call, name: str) -> Mapping[str, Any]:
    try:
        return cast("dict[str, Any]", call.document()).get(name) or {}
    except (ValueError, AttributeError):
        return {}


def _error(status: int, number: int, message: str, errors: list[str] | None = None) -> Reply:
    return Reply(status, {"error": {"code": number, "message": message, "errors": errors or []}})


def _shown(incident: _Incident) -> dict[str, Any]:
    address = f"{_SITE}/incidents/{incident.id}"
    person = {"id": "PUSER01", "type": "user_reference", "summary": incident.answered_by, "self": None, "html_url": None}
    acknowledged = incident.status == "acknowledged"
    shown: dict[str, Any] = {
        "id": incident.id,
        "type": "incident",
        "summary": f"[#{incident.number}] {incident.title}",
        "self": f"{_HOST}/incidents/{incident.id}",
        "html_url": address,
        "incident_number": incident.number,
        "title": incident.title,
        "created_at": incident.created,
        "updated_at": incident.changed,
        "last_status_change_at": incident.changed,
        "status": incident.status,
        "incident_key": incident.key,
        "urgency": incident.urgency,
        "service": _reference("service_reference", "PSERV01", "Incident backups", "service-directory"),
        "escalation_policy": _reference("escalation_policy_reference", "PPOLI01", "Backup team", "escalation_policies"),
        "assignments": [],
        "acknowledgements": [{"at": incident.changed, "acknowledger": person}] if acknowledged else [],
        "teams": [],
    }
    if incident.answered_by:
        shown["last_status_change_by"] = person
    return shown


def _reference(kind: str, id: str, summary: str, place: str) -> dict[str, str]:
    page = {"self": f"{_HOST}/{place}/{id}", "html_url": f"{_SITE}/{place}/{id}"}
    return {"id": id, "type": kind, "summary": summary, **page}


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
