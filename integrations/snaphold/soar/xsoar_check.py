"""`test-module` and `snaphold-self-check`: is the service there, is the clock right, is all of the pack on the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from snaphold.errors import SnapholdError
from snaphold.soar.client import ServiceClient
from snaphold.soar.xsoar_server import Server
from snaphold.soar.xsoar_text import error_text, plain, table

CLOCK_TOLERANCE_SECONDS = 60.0
_OK = 200
PRESENT, MISSING, OLDER, UNKNOWN = "present", "missing", "older", "unknown"
_KINDS: Mapping[str, tuple[str, str, str]] = {
    # Kind: method, address, key of the list in the answer.
    "integration": ("POST", "/settings/integration/search", "configurations"),
    "playbook": ("POST", "/playbook/search", "playbooks"),
    "incident field": ("GET", "/incidentfields", ""),
    "incident type": ("GET", "/incidenttype", ""),
    "layout": ("GET", "/layouts", ""),
    "classifier": ("POST", "/classifier/search", "classifiers"),
    "list": ("GET", "/lists", ""),
    "dashboard": ("GET", "/dashboards", ""),
}
_MEND = {
    PRESENT: "",
    MISSING: "install the pack again; if it is still missing, import this item by hand from the zip",
    OLDER: "what is there is another version: export your changes, then install the pack again",
    UNKNOWN: "look for it by hand: the server did not answer the question",
}


def test_module(client: ServiceClient) -> str:
    """Return `ok`, or what to mend: the address, the certificate, the token, or the clock."""
    try:
        health = client.health()
    except SnapholdError as error:
        return f"The Snaphold service cannot be reached. Look at Server URL and at the certificate.\n{error_text(error)}"
    if health.status != "ok":
        return f"The Snaphold service answers but is not well: {plain(health.status)}. Look at its log."
    try:
        client.whoami()
    except SnapholdError as error:
        return f"The Snaphold service refuses the API token. Make one with: snaphold token create.\n{error_text(error)}"
    if abs(health.clock_difference) > CLOCK_TOLERANCE_SECONDS:
        return (
            f"The clocks differ by {abs(health.clock_difference):.0f} s. Evidence and time-limited rights need the right "
            "time: set the clock of this XSOAR server and that of the Snaphold service by NTP."
        )
    return "ok"


def self_check(server: Server) -> Any:
    """Return which items of the pack are on the server, and what to do about those that are not."""
    expected = cast("Mapping[str, Mapping[str, str]]", server.items.get("items", {}))
    version = str(server.items.get("version", ""))
    rows = [_pack_row(server, version)]
    for kind, items in expected.items():
        found, why = _ask(server, kind, sorted(items))
        for name, mark in sorted(items.items()):
            state = UNKNOWN if found is None else _state(found.get(name), mark)
            rows.append({"kind": kind, "name": name, "state": state, "mend": _MEND[state], "found": why})
    bad = [row for row in rows if row["state"] != PRESENT]
    summary = f"{len(rows) - len(bad)} of {len(rows)} items of the pack Snaphold {version} are present."
    shown = table(("Kind", "Name", "State", "What to do"), [(r["kind"], r["name"], r["state"], r["mend"]) for r in rows])
    context = {"Snaphold.SelfCheck(val.name && val.name == obj.name && val.kind && val.kind == obj.kind)": rows}
    return server.CommandResults(outputs=context, readable_output=f"{plain(summary)}\n\n{shown}", raw_response=rows)


def _pack_row(server: Server, version: str) -> dict[str, str]:
    answer, why = _request(server, "GET", "/contentpacks/metadata/installed", None)
    row = {"kind": "pack", "name": "Snaphold", "state": UNKNOWN, "mend": _MEND[UNKNOWN], "found": why}
    if isinstance(answer, list):
        packs = {str(pack.get("id") or pack.get("name")): pack for pack in cast("list[dict[str, Any]]", answer)}
        there = str(packs.get("Snaphold", {}).get("currentVersion") or "")
        row["state"] = MISSING if not there else PRESENT if there == version else OLDER
        row["mend"], row["found"] = _MEND[row["state"]], there
    return row


def _ask(server: Server, kind: str, wanted: Sequence[str]) -> tuple[dict[str, Mapping[str, Any]] | None, str]:
    """Return the items of a kind that are on the server by name and by id; None, and why, when it does not say."""
    method, address, key = _KINDS[kind]
    body = {"query": "name:" + " or ".join(f'"{name}"' for name in wanted), "size": 500} if method == "POST" else None
    answer, why = _request(server, method, address, body)
    if isinstance(answer, dict) and key:
        answer = cast("dict[str, Any]", answer).get(key)
    if not isinstance(answer, list):
        return None, why or "the answer is not a list"
    found: dict[str, Mapping[str, Any]] = {}
    for item in cast("list[Any]", answer):
        if isinstance(item, dict):
            known = cast("dict[str, Any]", item)
            found |= {str(known[field]): known for field in ("id", "name") if known.get(field)}
    return found, ""


def _state(item: Mapping[str, Any] | None, mark: str) -> str:
    """A mark is text that this version of the item holds somewhere; without one, being there is enough."""
    if item is None:
        return MISSING
    return PRESENT if not mark or mark in json.dumps(item, ensure_ascii=False) else OLDER


def _request(server: Server, method: str, address: str, body: Mapping[str, Any] | None) -> tuple[Any, str]:
    """Return the parsed answer of the server's own interface, or None and why there is none."""
    ask: Callable[..., dict[str, Any]] = server.demisto.internalHttpRequest
    try:
        answer = ask(method, address, json.dumps(body) if body is not None else None)
    except Exception as error:  # noqa: BLE001  the server's own exceptions have no common type
        return None, f"{type(error).__name__}"
    if answer.get("statusCode") != _OK:
        return None, f"status {answer.get('statusCode')}"
    try:
        return json.loads(answer.get("body") or ""), ""
    except ValueError:
        return None, "the answer is not JSON"
