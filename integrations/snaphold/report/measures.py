"""The measures of a period: how fast and how reliably incident backups were made, what is stored, what is held."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol, TypeVar

from pydantic import Field

from snaphold.config import Configuration
from snaphold.domain.authority import EvidenceRecord, Hold, PromotionException
from snaphold.domain.classification import classify
from snaphold.domain.escalation import Notice
from snaphold.domain.incident import Incident, IncidentRecord
from snaphold.domain.outcome import Outcome
from snaphold.domain.plan import effective_tiers
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.tier import Tier
from snaphold.domain.value import Moment, Value
from snaphold.engine.run import Run
from snaphold.report.clocks import ClockName, SlaClock, run_clock, share_met
from snaphold.report.trail_facts import StartedBackup, TrailFacts

Record = TypeVar("Record", bound=Value)
_ANY_TIME = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""For a classification without exceptions, where the time says nothing."""


class Trail(Protocol):
    """What the measures need of the ledger."""

    def each_stored(self, incident: str | None = None, run: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the fields of entries in order."""
        ...

    def records(self, model: type[Record], incident: str | None = None) -> list[Record]:
        """Return the register records of one kind."""
        ...


class _Nothing:
    """The trail where nothing was ever recorded."""

    def each_stored(self, incident: str | None = None, run: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield nothing."""
        return iter(())

    def records(self, model: type[Record], incident: str | None = None) -> list[Record]:
        """Return nothing."""
        return []


NOTHING = _Nothing()


class Backups(Value):
    """Backups that were asked for, by how they ended. `unfinished` are within their target still."""

    asked: int = 0
    succeeded: int = 0
    partial: int = 0
    failed: int = 0
    unknown: int = 0
    unfinished: int = 0

    @property
    def success_rate(self) -> float | None:
        """The share (0 to 1) of ended backups that succeeded; partial, failed and unknown ones did not."""
        ended = self.asked - self.unfinished
        return self.succeeded / ended if ended else None


class StoredOn(Value):
    """Bytes of source data in restore points at the end of a day (UTC)."""

    day: str
    bytes: int


class Measures(Value):
    """One period, `since` included and `until` not. Times are in seconds, sizes in bytes."""

    since: Moment
    until: Moment
    incidents: int
    backups: Backups
    seconds_to_backup: tuple[float, ...] = Field(description="From the declaration to each asset's first whole restore point.")
    clocks: tuple[SlaClock, ...]
    stored_bytes: int = Field(description="Of all restore points that exist now.")
    growth: tuple[StoredOn, ...] = Field(description="A day each, within the period.")
    open_holds: int
    evidence_packages: int
    runs: Mapping[str, int] = Field(description="Runs that began in the period, by status.")

    @property
    def mean_time_to_backup(self) -> float | None:
        """Seconds; None when nothing was backed up."""
        return statistics.fmean(self.seconds_to_backup) if self.seconds_to_backup else None

    @property
    def sla_met(self) -> float | None:
        """The share (0 to 1) of decided clocks that were met; None when none is decided."""
        return share_met(self.clocks)


@dataclass(frozen=True)
class _Known:
    """The registers, read once."""

    points: Mapping[str, RestorePoint]
    ended: Mapping[str, bool]
    notices: Mapping[str, list[Notice]]


def measure(
    configuration: Configuration, trail: Trail, since: datetime, until: datetime, now: datetime, facts: TrailFacts | None = None
) -> Measures:
    """Return the measures of a period; what is open is looked at as it stands `now`.

    `facts` are those of an earlier call, to be fed with what is new only. Raises LedgerError when the ledger is damaged.
    """
    facts = facts or TrailFacts()
    facts.feed(trail.each_stored())
    incidents = [record.declared for record in trail.records(IncidentRecord)]
    mine = {incident.id: incident for incident in incidents if since <= incident.declared_at < until}
    points = trail.records(RestorePoint)
    runs = trail.records(Run)
    notices: dict[str, list[Notice]] = {}
    for notice in trail.records(Notice):
        notices.setdefault(notice.incident, []).append(notice)
    known = _Known({point.key: point for point in points}, {run.id: run.has_ended for run in runs}, notices)
    tiers = _tiers(configuration, trail)
    starts = [start for start in facts.starts.values() if start.incident in mine]
    by_asset: dict[tuple[str, str], list[StartedBackup]] = {}
    for start in starts:
        by_asset.setdefault((start.incident, start.asset), []).append(start)
    clocks = [clock for incident in mine.values() for clock in _clocks(incident, tiers(incident), by_asset, known, facts, now)]
    protected = [clock for clock in clocks if clock.name is ClockName.PROTECT and clock.stopped_at is not None]
    began = [run for run in runs if since <= run.started_at < until]
    return Measures(
        since=since,
        until=until,
        incidents=len(mine),
        backups=_backups(starts, mine, tiers, known, now),
        seconds_to_backup=tuple(clock.seconds for clock in protected),
        clocks=tuple(clocks),
        stored_bytes=sum(point.size for point in points),
        growth=_growth(points, since, min(until, now)),
        open_holds=sum(1 for hold in trail.records(Hold) if hold.released_at is None),
        evidence_packages=sum(1 for one in trail.records(EvidenceRecord) if since <= one.sealed_at < until),
        runs={
            status: sum(1 for run in began if run.status.value == status) for status in sorted({r.status.value for r in began})
        },
    )


def _tiers(configuration: Configuration, trail: Trail) -> Callable[[Incident], dict[str, Tier]]:
    """Return a function from an incident to the effective tier of each asset, its own exceptions included."""
    by_id = {tier.id: tier for tier in configuration.tiers}
    needs = {asset.id: asset.depends_on for asset in configuration.assets}
    exceptions: dict[str, list[PromotionException]] = {}
    for one in trail.records(PromotionException):
        exceptions.setdefault(one.incident, []).append(one)

    def of(mine: Sequence[PromotionException], at: datetime) -> dict[str, Tier]:
        found = classify(configuration.assets, configuration.tiers, configuration.classification, exceptions=mine, now=at)
        return {asset: by_id[tier] for asset, tier in effective_tiers(found, needs).items()}

    usual = of((), _ANY_TIME)

    def find(incident: Incident) -> dict[str, Tier]:
        mine = exceptions.get(incident.id)
        return of(mine, max(one.recorded_at for one in mine)) if mine else usual

    return find


def _clocks(
    incident: Incident,
    tiers: Mapping[str, Tier],
    starts: Mapping[tuple[str, str], Sequence[StartedBackup]],
    known: _Known,
    facts: TrailFacts,
    now: datetime,
) -> Iterator[SlaClock]:
    told = known.notices.get(incident.id, [])
    for asset in dict.fromkeys(incident.assets):
        if asset not in tiers:
            continue  # the configuration no longer has it: nobody knows what was promised
        mine = starts.get((incident.id, asset), ())
        if told:
            answers = [notice.acknowledged_at for notice in told if notice.acknowledged_at is not None]
            raised = min(notice.raised_at for notice in told)
            yield run_clock(ClockName.ACKNOWLEDGE, incident.id, asset, tiers[asset], raised, min(answers, default=None), now)
        begun = [start.asked_at for start in mine if start.outcome == Outcome.SUCCEEDED.value]
        whole = [
            facts.known_at[known.points[start.key].id]
            for start in mine
            if start.key in known.points
            and known.points[start.key].outcome is Outcome.SUCCEEDED
            and known.points[start.key].id in facts.known_at
        ]
        declared = incident.declared_at
        yield run_clock(ClockName.START, incident.id, asset, tiers[asset], declared, min(begun, default=None), now)
        yield run_clock(ClockName.PROTECT, incident.id, asset, tiers[asset], declared, min(whole, default=None), now)


def _backups(
    starts: Sequence[StartedBackup],
    incidents: Mapping[str, Incident],
    tiers: Callable[[Incident], dict[str, Tier]],
    known: _Known,
    now: datetime,
) -> Backups:
    counts = Counter(_ending(start, tiers(incidents[start.incident]), known, now) for start in starts)
    return Backups(asked=len(starts), **counts)


def _ending(start: StartedBackup, tiers: Mapping[str, Tier], known: _Known, now: datetime) -> str:
    """Return how a backup ended. One without a restore point failed when its run ended or its time is over."""
    point = known.points.get(start.key)
    if point is not None:
        return point.outcome.value
    if start.outcome in (Outcome.FAILED.value, Outcome.UNKNOWN.value):
        return start.outcome
    tier = tiers.get(start.asset)
    patience = (tier.protect_within or tier.rto) if tier else timedelta(days=1)
    return Outcome.FAILED.value if known.ended.get(start.run) or now - start.asked_at > patience else "unfinished"


def _growth(points: Sequence[RestorePoint], since: datetime, until: datetime) -> tuple[StoredOn, ...]:
    taken = sorted((point.taken_at, point.size) for point in points)
    found: list[StoredOn] = []
    stored = position = 0
    day = since.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < until:
        day += timedelta(days=1)
        while position < len(taken) and taken[position][0] < day:
            stored += taken[position][1]
            position += 1
        found.append(StoredOn(day=f"{day - timedelta(days=1):%Y-%m-%d}", bytes=stored))
    return tuple(found)
