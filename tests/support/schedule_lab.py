"""A backup product with schedules, kept in a file, so that it outlives a process that is killed; and contexts on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import snaphold.providers.registry
from snaphold.clock import FixedClock
from snaphold.config import Configuration, Pool
from snaphold.context import Context
from snaphold.domain.incident import Incident
from snaphold.errors import ProviderError
from snaphold.execute import execute
from snaphold.ledger.database import DatabaseLedger
from snaphold.providers.base import Capability, Description, Provider, Support, Verb
from snaphold.runtime import Runtime
from snaphold.schedules.record import KeptSchedule, TightenedSchedule
from support.ledgers import NOW, actor, configure

REGULAR = 86_400


class ScheduleBook:
    """What the product has: the interval of each asset, and every change that it was asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """Return `every` by asset, and the list of changes."""
        return json.loads(self.path.read_text()) if self.path.exists() else {"every": {}, "changes": []}

    def every(self, asset: str = "files-01") -> int:
        """Return the interval of an asset in seconds."""
        return int(self.read()["every"].get(asset, REGULAR))

    def change(self, asset: str, seconds: int) -> None:
        """Change an interval."""
        book = self.read()
        book["every"][asset] = seconds
        book["changes"].append([asset, seconds])
        self.path.write_text(json.dumps(book))

    @property
    def changes(self) -> list[tuple[str, int]]:
        """Every change, in order."""
        return [(asset, seconds) for asset, seconds in self.read()["changes"]]


class ScheduledProvider:
    """A product with a scheduler. Unless `forgets`, it brings back by itself what stood before."""

    support = Support.FULL

    def __init__(self, book: ScheduleBook, faults: list[Exception]) -> None:
        self.book = book
        self.faults = faults

    def describe(self) -> Description:
        """Return that it can do schedules, or not."""
        capability = Capability(support=self.support, detail="it has no scheduler")
        return Description(provider="scheduled", engine="1.0", capabilities={Verb.SET_SCHEDULE: capability}, proved_on="nothing")

    def set_schedule(self, asset: str, every_seconds: int | None) -> None:
        """Change the interval, or fail as told: before, or (`lost`) after it took effect."""
        fault = self.faults.pop(0) if self.faults else None
        if fault is None or "lost" in str(fault):
            self.book.change(asset, REGULAR if every_seconds is None else every_seconds)
        if fault is not None:
            raise fault


class ForgetfulProvider(ScheduledProvider):
    """A product that does not know what stood before: its adapter reads the schedule, and is given it back."""

    def read_schedule(self, asset: str) -> KeptSchedule:
        """Return the interval as it stands."""
        return KeptSchedule(every_seconds=self.book.every(asset), document=f"every {self.book.every(asset)}")

    def restore_schedule(self, asset: str, kept: KeptSchedule) -> None:
        """Bring it back."""
        self.book.change(asset, int(kept.document.removeprefix("every ")))

    def set_schedule(self, asset: str, every_seconds: int | None) -> None:
        """Change the interval; it cannot be asked for what it does not know."""
        if every_seconds is None:
            raise ProviderError("it does not know what stood before")
        super().set_schedule(asset, every_seconds)


class UnscheduledProvider(ScheduledProvider):
    """An engine without a scheduler."""

    support = Support.UNSUPPORTED


KINDS: Mapping[str, type[ScheduledProvider]] = {
    "remembers": ScheduledProvider, "forgets": ForgetfulProvider, "has-none": UnscheduledProvider,
}  # fmt: skip


@dataclass
class ScheduleLab:
    """Actions of schedules on one product, as any number of processes would call them."""

    folder: Path
    kind: str = "remembers"
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    faults: list[Exception] = field(default_factory=list[Exception])
    calls: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configuration: Configuration = configure(
            self.folder, sign=False,
            roles=[{"name": "analyst", "members": ["ana"], "may": ["*"]}],
            pools=[{"name": "product-01", "provider": "restic", "location": "pool", "password": "env:NOTHING"}],
            routes=[{"tiers": ["T0", "T1"], "primary": "product-01"}],
        )  # fmt: skip
        self.ledger = DatabaseLedger.open(self.configuration, self.clock)
        self.book = ScheduleBook(self.folder / "product.json")
        self.provider = KINDS[self.kind](self.book, self.faults)

    def install(self, patch: Any) -> ScheduleLab:
        """Put the product where providers are opened; `patch` is pytest's monkeypatch or anything with its setattr."""

        def opened(_pool: Pool, _configuration: Configuration, _incident: str, _clock: object) -> Provider:
            return cast("Provider", self.provider)

        patch.setattr(snaphold.providers.registry, "open_provider", opened)
        return self

    @property
    def runtime(self) -> Runtime:
        """A runtime of ana."""
        return Runtime(self.configuration, self.ledger, self.clock, actor(self.configuration))

    def incident(self, id: str = "INC-1") -> Incident:
        """Return an incident of files-01."""
        return Incident(
            id=id, title="Mass renames", severity=4, category="alert", declared_at=self.clock.now(), assets=("files-01",)
        )

    def context(self, incident: str = "INC-1") -> Context:
        """Return a context under a key of its own, as each delivery has one."""
        self.calls += 1
        return self.runtime.context(self.incident(incident), key=f"{incident}/test/{self.calls}/1", justification="A test")

    def tighten(self, every: str = "15m", *, reason: str = "A1", lasts: str = "4h", incident: str = "INC-1") -> dict[str, Any]:
        """Ask for a tighter schedule of files-01."""
        given = {"asset": "files-01", "every": every, "reason": reason, "lasts": lasts}
        return execute("schedule.tighten", given, self.context(incident)).model_dump(mode="json")

    def restore(self, reason: str = "A1") -> dict[str, Any]:
        """Tell that a reason is gone."""
        return execute("schedule.restore", {"reason": reason}, self.context()).model_dump(mode="json")

    def reconcile(self) -> dict[str, Any]:
        """Bring everything up to date."""
        return execute("schedule.reconcile", {}, self.context()).model_dump(mode="json")

    @property
    def record(self) -> TightenedSchedule:
        """The one record of a schedule."""
        (found,) = self.ledger.records(TightenedSchedule)
        return found
