"""An incident with restore points and evidence on a real ledger, and a backup engine in memory that knows retention and holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from snaphold.action import Result, find_action
from snaphold.authority import issue_grant
from snaphold.clock import FixedClock
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.incident import Incident, IncidentStatus
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import ProviderError, SnapholdError
from snaphold.execute import action_key, execute
from snaphold.ledger.database import DatabaseLedger
from snaphold.providers import registry
from snaphold.providers.base import Capability, Description, Provider, Support, Verb
from support.ledgers import INCIDENT, NOW, actor, configure, note, open_test_ledger

POOL = {"name": "isolated-01", "provider": "memory", "location": "pool", "password": "env:NOTHING"}
RULES = [
    {"data_class": "personal-data", "keep": "365d", "basis": "a law"},
    {"keep": "90d", "basis": "the policy"},
]
ROLES = [
    {"name": "analyst", "members": ["ana"], "may": ["retention.*", "hold.*", "case.*", "backup.delete"]},
    {"name": "second", "members": ["ben"], "may": ["retention.show"]},
    {"name": "deletion", "may": ["backup.delete", "hold.release"]},
]
FILES, ORDERS = "RP-files-01-00000001", "RP-orders-db-00000002"
EVIDENCE = "EV-INC-1-00000003"


@dataclass
class MemoryEngine:
    """Keeps what it was told. `faults` maps a verb to the error that its next use raises; `lost`: it acts and then raises."""

    points: dict[str, RestorePoint] = field(default_factory=lambda: {})
    kept: dict[str, datetime] = field(default_factory=lambda: {})
    holds: dict[str, set[str]] = field(default_factory=lambda: {})
    faults: dict[str, SnapholdError] = field(default_factory=lambda: {})
    lost: bool = False
    unsupported: set[Verb] = field(default_factory=set[Verb])
    calls: list[str] = field(default_factory=lambda: [])

    def describe(self) -> Description:
        no = Capability(support=Support.UNSUPPORTED, detail="it knows no such thing")
        capabilities = {verb: no if verb in self.unsupported else Capability(support=Support.FULL) for verb in Verb}
        return Description(provider="memory", engine="memory 1.0", capabilities=capabilities, proved_on="nothing")

    def restore_points(self) -> list[RestorePoint]:
        self._call("restore_points")
        return list(self.points.values())

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        self._call("set_retention")
        self.kept[restore_point.id] = until
        return restore_point

    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        self._call("hold" if on else "let_go")
        held = self.holds.setdefault(restore_point.id, set())
        (held.add if on else held.discard)(hold)
        return restore_point

    def delete(self, restore_point: RestorePoint) -> None:
        if self.lost:
            del self.points[restore_point.id]
        self._call("delete")
        if self.holds.get(restore_point.id):
            raise ProviderError(f"{restore_point.id} is held")
        del self.points[restore_point.id]

    def _call(self, verb: str) -> None:
        self.calls.append(verb)
        if verb in self.faults:
            raise self.faults.pop(verb)


@dataclass
class KeptEstate:
    """Everything that a test of retention needs; `use` runs an action through the one path of every action."""

    configuration: Configuration
    ledger: DatabaseLedger
    clock: FixedClock
    engine: MemoryEngine
    incident: Incident = INCIDENT
    uses: int = 0

    def context(self, person: str = "ana", key: str = "INC-1/test/-/1") -> Context:
        return Context(
            self.configuration, self.incident, actor(self.configuration, person), self.clock, self.ledger, "why", "", key
        )

    def use(
        self, name: str, given: Mapping[str, Any] | None = None, *, person: str = "ana", step: str = "", **changes: Any
    ) -> Any:
        """Execute an action under a key of its own, or under the key of `step`; return its result."""
        self.uses += 1
        key = action_key(find_action(name), given or {}, self.incident.id, step or f"use-{self.uses}")
        result: Result = execute(name, given or {}, replace(self.context(person, key), **changes))
        return result

    def grant(self, *actions: str, approvers: tuple[str, ...] = ("ben",), person: str = "ana") -> str:
        """Have a second person allow actions of the deletion role for an hour."""
        self.uses += 1
        return issue_grant(
            self.context(person), role="deletion", lasts=timedelta(hours=1), approvers=approvers,
            approval_id=f"APR-{self.uses}", actions=actions,
        ).id  # fmt: skip

    def say(self, status: IncidentStatus) -> None:
        """Have the incident itself say that it is open or closed."""
        self.incident = self.incident.model_copy(update={"status": status})

    def close_and_wait(self) -> None:
        """Close the case, start the clock, and let every retention pass."""
        self.say(IncidentStatus.CLOSED)
        self.use("retention.release")
        self.clock.advance(timedelta(days=366).total_seconds())


def point(name: str, asset: str, **changes: Any) -> RestorePoint:
    fields: dict[str, Any] = {
        "id": name, "incident": "INC-1", "asset": asset, "pool": "isolated-01", "provider": "memory", "engine": "memory 1.0",
        "reference": f"snap-{name}", "key": "k", "taken_at": NOW, "outcome": Outcome.SUCCEEDED, "size": 1, "files": 1,
        "encryption": "x", "consistency": "crash-consistent", **changes,
    }  # fmt: skip
    return RestorePoint.model_validate(fields)


def make_kept_estate(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> KeptEstate:
    """Return an estate with a restore point of files and one of personal data, and an evidence package of both."""
    assets = [
        {"id": "orders-db", "kind": "database", "tier": "T0", "owner": "orders", "data_classes": ["personal-data"]},
        {"id": "files-01", "kind": "file-share", "tier": "T1", "owner": "office"},
    ]
    given: dict[str, Any] = {"pools": [POOL], "retention": RULES, "roles": ROLES, "assets": assets, **changes}
    configuration = configure(folder, **given)
    clock = FixedClock(NOW)
    ledger = open_test_ledger(folder, clock)
    engine = MemoryEngine()
    records = [point(FILES, "files-01"), point(ORDERS, "orders-db")]
    engine.points = {record.id: record for record in records}
    evidence = EvidenceRecord(
        id=EVIDENCE, incident="INC-1", path=str(folder / "evidence" / EVIDENCE), sealed_at=NOW, tag_manifest_sha256="ab" * 32,
        signed_by="custodian@snaphold", timestamped=False, restore_points=(FILES, ORDERS),
    )  # fmt: skip
    ledger.append(note(incident="INC-1"), [*records, evidence])

    def open_memory(*_: object) -> Provider:
        return cast("Provider", engine)

    monkeypatch.setattr(registry, "open_provider", open_memory)
    return KeptEstate(configuration, ledger, clock, engine)
