"""The tables of the simulated ServiceNow: rows of text, found by encoded queries, shown in its three forms."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

Record = dict[str, Any]
_NUMBERS = {"incident": "INC", "change_request": "CHG"}
_SHOWN = {
    ("incident", "state"): {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"},
    ("incident", "urgency"): {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"},
    ("change_request", "state"): {
        "-5": "New", "-4": "Assess", "-3": "Authorize", "-2": "Scheduled", "-1": "Implement", "0": "Review", "3": "Closed",
        "4": "Canceled",
    },
}  # fmt: skip
_ALWAYS: dict[str, dict[str, str]] = {
    "incident": {
        "short_description": "", "description": "", "impact": "1", "urgency": "1", "priority": "1", "severity": "1",
        "correlation_id": "", "work_notes": "", "close_notes": "", "close_code": "", "active": "true",
    },
    "change_request": {
        "short_description": "", "description": "", "justification": "", "correlation_id": "", "work_notes": "",
        "close_notes": "", "close_code": "",
    },
    "cmdb_ci": {"name": "", "operational_status": "1"},
    "sys_journal_field": {"element": "", "element_id": "", "name": "", "value": ""},
    "std_change_template": {"name": "", "active": "true"},
}  # fmt: skip


class Tables:
    """All rows by table, in the order in which they were made."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Record]] = {table: [] for table in _ALWAYS}
        self._made = 0

    def insert(self, table: str, given: Mapping[str, Any]) -> Record:
        """Add a row with what a new one has besides; return it."""
        self._made += 1
        now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        row: Record = {
            "sys_id": hashlib.sha256(f"{table}/{self._made}".encode()).hexdigest()[:32],
            "sys_created_on": now,
            "sys_updated_on": now,
            "sys_mod_count": "0",
            "sys_class_name": table,
            **_ALWAYS[table],
            **given,
        }
        if table in _NUMBERS and not row.get("number"):
            row["number"] = f"{_NUMBERS[table]}{self._made:07d}"
        self.rows[table].append(row)
        return row

    def get(self, table: str, sys_id: str) -> Record | None:
        """Return the row of that sys_id, or None."""
        return next((row for row in self.rows[table] if row["sys_id"] == sys_id), None)

    def find(self, table: str, field: str, value: str) -> Record:
        """Return the first row with that value. Raises StopIteration when there is none."""
        return next(row for row in self.rows[table] if row[field] == value)

    def query(self, table: str, query: str) -> list[Record]:
        """Return the rows that an encoded query names. A part that is not understood is ignored, as ServiceNow does."""
        found = list(self.rows[table])
        for part in filter(None, query.split("^")):
            if part.startswith("ORDERBY"):
                field = part.removeprefix("ORDERBY")
                found.sort(key=lambda row: str(row.get(field, "")))
                continue
            sign = "LIKE" if "LIKE" in part and "=" not in part.split("LIKE")[0] else "="
            field, _, value = part.partition(sign)
            if field not in {"sys_id", "number", "state", "type", "sys_class_name", *_ALWAYS[table]}:
                continue
            found = [row for row in found if (value in row[field] if sign == "LIKE" else row[field] == value)]
        return found


def reference(table: str, sys_id: str, name: str) -> dict[str, str]:
    """Return a reference to a row of another table."""
    link = f"https://instance.service-now.com/api/now/table/{table}/{sys_id}"
    return {"display_value": name, "link": link, "value": sys_id}


def shown_record(row: Record, fields: Sequence[str], display: str) -> dict[str, Any]:
    """Return a row as it is answered; `display` is `false` (values), `true` (as shown) or `all` (both).

    The names of the notes stay empty: their texts are in the journal only.
    """
    names = [name for name in row if name != "hidden" and (not fields or name in fields)]
    table = str(row["sys_class_name"])
    told: dict[str, Any] = {}
    for name in names:
        value = row[name]
        shown = _SHOWN.get((table, name), {}).get(value, value)
        told[name] = {"display_value": shown, "value": value} if display == "all" else shown if display == "true" else value
    return told
