"""A trail of incidents and backups for the measures, made line by line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from snaphold.clock import format_time
from snaphold.domain.incident import Incident, IncidentRecord
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.value import Value

Record = TypeVar("Record", bound=Value)
DECLARED = datetime(2026, 11, 10, 12, 0, tzinfo=timezone.utc)


class MadeTrail:
    """Entries and register records that tests put in."""

    def __init__(self) -> None:
        self.stored: list[dict[str, Any]] = []
        self.kept: list[Value] = []

    def each_stored(self, incident: str | None = None, run: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the entries in order."""
        return iter(self.stored)

    def records(self, model: type[Record], incident: str | None = None) -> list[Record]:
        """Return the records of one kind."""
        return [one for one in self.kept if isinstance(one, model)]

    def declare(self, id: str, *assets: str, at: datetime = DECLARED) -> None:
        """Put an incident into the register."""
        incident = Incident(id=id, title="An incident", severity=1, category="ransomware", declared_at=at, assets=assets)
        self.kept.append(IncidentRecord(id=id, incident=id, declared=incident, told_by="ana", told_at=at))

    def start(self, incident: str, asset: str, after: timedelta, outcome: str = "succeeded", run: str = "") -> str:
        """Ask for a backup some time after the declaration; return its key."""
        key = f"{incident}/part.start/{asset}/1"
        self._add(incident, "intent", key, after, run=run)
        self._add(incident, "outcome", key, after, outcome=outcome, run=run)
        return key

    def finish(self, key: str, after: timedelta, outcome: Outcome = Outcome.SUCCEEDED, size: int = 1000) -> RestorePoint:
        """Put the restore point of a backup into the register some time after the declaration."""
        incident, _, asset, _ = key.split("/")
        point = RestorePoint(
            id=f"RP-{asset}-{len(self.kept):08x}", incident=incident, asset=asset, pool="isolated-01", provider="restic",
            engine="restic 0.14.0", reference="1a2b3c4d", key=key, taken_at=DECLARED + after, outcome=outcome, size=size,
            files=1, encryption="AES", consistency="crash-consistent",
        )  # fmt: skip
        self.kept.append(point)
        self._add(incident, "outcome", "", after, action="backup.status", registers=[f"restore_point/{point.id}/{'0' * 64}"])
        return point

    def _add(self, incident: str, event: str, key: str, after: timedelta, **more: Any) -> None:
        fields = {"action": "backup.start", "outcome": "", "registers": [], "run": "", **more}
        at = format_time(DECLARED + after)
        self.stored.append(
            {"sequence": len(self.stored) + 1, "event": event, "incident": incident, "key": key, "at": at, **fields}
        )
