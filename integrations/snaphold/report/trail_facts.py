"""What the audit trail says of backups: when each was started, how that went, and when its restore point was known.

The trail only grows, so these facts are kept and fed with what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from snaphold.clock import parse_time
from snaphold.ledger.entry import Event

START = "backup.start"
_POINT = "restore_point/"
_KEY_PARTS = 4


@dataclass
class StartedBackup:
    """One backup by its idempotency key. `outcome` is that of the start, not of the backup."""

    key: str
    incident: str
    asset: str
    run: str
    asked_at: datetime
    outcome: str = ""


@dataclass
class TrailFacts:
    """Starts by key, and when each restore point was first put into the register. `sequence` is the last entry seen."""

    sequence: int = 0
    starts: dict[str, StartedBackup] = field(default_factory=lambda: {})
    known_at: dict[str, datetime] = field(default_factory=lambda: {})

    def feed(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take in entries as the ledger stores them, in order; those that were seen already are left out."""
        for entry in entries:
            if entry["sequence"] <= self.sequence:
                continue
            self.sequence = entry["sequence"]
            if entry["action"] == START and entry["key"]:
                self._start(entry)
            for changed in entry["registers"]:
                if changed.startswith(_POINT):
                    self.known_at.setdefault(changed.split("/")[1], parse_time(entry["at"]))

    def _start(self, entry: Mapping[str, Any]) -> None:
        key = entry["key"]
        if entry["event"] in (Event.INTENT.value, Event.TAKEN_OVER.value) and key not in self.starts:
            parts = key.split("/")
            asset = parts[2] if len(parts) == _KEY_PARTS else ""
            self.starts[key] = StartedBackup(key, entry["incident"], asset, entry["run"], parse_time(entry["at"]))
        elif entry["event"] == Event.OUTCOME.value and key in self.starts:
            self.starts[key].outcome = entry["outcome"]
