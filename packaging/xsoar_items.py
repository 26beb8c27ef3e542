"""The pack's small items: incident type, fields, layout, tier table, dashboard, classifier and mapper."""

from __future__ import annotations

import json
from typing import Any

from snaphold.soar.xsoar_fields import ASSETS, CATEGORY, FIELDS, INCIDENT, LAYOUT, OUTCOME, TIMER, TYPE, IncidentField

FROM_VERSION = "6.10.0"
TIERS_LIST = "SnapholdTiers"
DASHBOARD = "Snaphold"
CLASSIFIER, MAPPER = "Snaphold Classifier", "Snaphold Incoming Mapper"
PLAYBOOK = "Snaphold - Ransomware response"
Item = dict[str, Any]
TIERS: list[Item] = [
    {"id": "T0", "level": 0, "impact": "The business stands still.", "rto": "1h", "rpo": "15m", "approvals": 2},
    {"id": "T1", "level": 1, "impact": "Customers notice.", "rto": "4h", "rpo": "1h", "approvals": 1},
    {"id": "T2", "level": 2, "impact": "Work goes on by hand.", "rto": "1d", "rpo": "1d", "approvals": 1},
]
"""An example to edit; the tiers that decide are those of the service's configuration."""


def incident_field(field: IncidentField) -> Item:
    """Return one incident field."""
    found: Item = {
        "id": f"incident_{field.cli_name}",
        "version": -1,
        "name": field.title,
        "cliName": field.cli_name,
        "type": field.kind,
        "description": field.about,
        "group": 0,
        "content": True,
        "unsearchable": False,
        "associatedToAll": False,
        "associatedTypes": [TYPE],
        "fromVersion": FROM_VERSION,
    }
    if field.choices:
        found["selectValues"] = list(field.choices)
    if field.kind == "timer":
        found |= {"sla": 0, "threshold": 72, "caseInsensitive": True, "ownerOnly": False}
    return found


def incident_type() -> Item:
    """Return the incident type. It starts no playbook by itself: which one fits depends on the incident."""
    periods = dict.fromkeys(("days", "weeks", "hours", "hoursR", "daysR", "weeksR"), 0)
    return {
        "id": TYPE, "version": -1, "name": TYPE, "color": "#32b278", "layout": LAYOUT, "playbookId": PLAYBOOK, "autorun": False,
        **periods, "extractSettings": {"mode": "Specific", "fieldCliNameToExtractSettings": {}}, "fromVersion": FROM_VERSION,
    }  # fmt: skip


def layout() -> Item:
    """Return the layout: a tab Backup with the fields that go in and those that come out."""
    given = [ASSETS, CATEGORY, INCIDENT]
    made = [field.cli_name for field in FIELDS if field.cli_name not in given]
    sections = [_section("given", "What to back up", given, 0), _section("made", "What was done", made, 1)]
    tab = {"id": "snaphold", "name": "Backup", "type": "custom", "sections": sections}
    return {
        "id": LAYOUT,
        "name": LAYOUT,
        "group": "incident",
        "version": -1,
        "fromVersion": FROM_VERSION,
        "detailsV2": {"tabs": [tab]},
    }


def _section(id: str, title: str, fields: list[str], x: int) -> Item:
    items = [
        {
            "id": f"snaphold-{name}", "fieldId": name, "sectionItemType": "field", "index": index, "height": 26,
            "startCol": 0, "endCol": 2,
        }
        for index, name in enumerate(fields)
    ]  # fmt: skip
    return {
        "i": f"snaphold-{id}", "name": title, "displayType": "ROW", "h": 3, "w": 1, "x": x, "y": 0, "maxW": 3, "items": items,
    }  # fmt: skip


def tier_list() -> Item:
    """Return the list without its data, as the SDK wants it in the tree."""
    return {
        "id": TIERS_LIST, "name": TIERS_LIST, "type": "json", "data": "-", "version": -1, "itemVersion": "", "packID": "Snaphold",
        "locked": False, "nameLocked": False, "system": False, "fromVersion": FROM_VERSION,
    }  # fmt: skip


def tier_data() -> str:
    """Return the list's data."""
    return json.dumps(TIERS, indent=2) + "\n"


def dashboard() -> Item:
    """Return the dashboard with its widgets."""
    ours = f'type:"{TYPE}"'
    widgets = [
        _widget("time", "Mean time to backup", "duration", ours, {"keys": [f"avg|{TIMER}.totalDuration"]}),
        _widget("success", "Success rate", "pie", ours, {"groupBy": [OUTCOME]}),
        _widget("holds", "Open holds", "number", f"{ours} and -status:closed and snapholdholds:*", {}),
    ]  # fmt: skip
    places = [
        {"id": widget["id"], "forceRange": False, "x": 4 * index, "y": 0, "i": widget["id"], "w": 4, "h": 2, "widget": widget}
        for index, widget in enumerate(widgets)
    ]
    return {
        "id": DASHBOARD, "version": -1, "name": DASHBOARD, "description": "How fast, how well, and what is held.",
        "fromDate": "0001-01-01T00:00:00Z", "toDate": "0001-01-01T00:00:00Z", "fromDateLicense": "0001-01-01T00:00:00Z",
        "period": {"byFrom": "days", "byTo": "days", "field": "", "fromValue": 90, "toValue": 0}, "isPredefined": True,
        "layout": places, "fromVersion": FROM_VERSION,
    }  # fmt: skip


def _widget(id: str, title: str, kind: str, query: str, params: Item) -> Item:
    period = {"byFrom": "days", "byTo": "days", "field": "", "fromValue": 90, "toValue": 0}
    return {
        "id": f"snaphold-{id}", "name": title, "dataType": "incidents", "widgetType": kind, "query": query, "isPredefined": True,
        "version": -1, "size": 0, "params": params, "category": "", "dateRange": {"fromDate": "0001-01-01T00:00:00Z",
        "toDate": "0001-01-01T00:00:00Z", "period": period},
    }  # fmt: skip


def classifier() -> Item:
    """Return the classifier: whatever comes in on its instance is a request for a backup."""
    return {
        "id": CLASSIFIER, "version": -1, "name": CLASSIFIER, "type": "classification",
        "description": "Makes backup requests of alerts.",
        "defaultIncidentType": TYPE, "keyTypeMap": {}, "transformer": {"complex": None, "simple": ""},
        "fromVersion": FROM_VERSION,
    }  # fmt: skip


def mapper() -> Item:
    """Return the incoming mapper: assets, category and the incident's id, as a webhook or a SIEM names them."""
    simple = {"Snaphold Assets": "assets", "Snaphold Category": "category", "Snaphold Incident": "incident_id"}
    fields = {title: {"complex": None, "simple": name} for title, name in sorted(simple.items())}
    return {
        "id": MAPPER, "version": -1, "name": MAPPER, "type": "mapping-incoming",
        "description": "Fills the fields of backup requests.",
        "defaultIncidentType": TYPE, "mapping": {TYPE: {"dontMapEventToLabels": True, "internalMapping": fields}},
        "fromVersion": FROM_VERSION,
    }  # fmt: skip
