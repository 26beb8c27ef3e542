"""The clocks of the backup team: how long until it answered, until the backup started, until the asset was protected.

All begin when the incident is declared (the first one when the team was told). A target comes from the asset's tier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum

from pydantic import Field

from snaphold.domain.tier import Tier
from snaphold.domain.value import Identifier, Moment, Value


class ClockName(str, Enum):
    """What a clock measures."""

    ACKNOWLEDGE = "acknowledge"
    START = "start"
    PROTECT = "protect"


class ClockState(str, Enum):
    """met and missed are final; running is still within its target, overdue is past it and not stopped yet."""

    MET = "met"
    MISSED = "missed"
    RUNNING = "running"
    OVERDUE = "overdue"


class SlaClock(Value):
    """One clock of one asset in one incident."""

    name: ClockName
    incident: Identifier
    asset: Identifier
    tier: Identifier
    began_at: Moment
    stopped_at: Moment | None = Field(default=None, description="None while it runs.")
    target_seconds: int
    seconds: float = Field(description="Until it stopped, or until now.")
    state: ClockState


def targets(tier: Tier) -> dict[ClockName, timedelta]:
    """Return what a tier demands of each clock."""
    return {
        ClockName.ACKNOWLEDGE: tier.acknowledge_within,
        ClockName.START: tier.start_within,
        ClockName.PROTECT: tier.protect_within or tier.rto,
    }


def run_clock(
    name: ClockName, incident: str, asset: str, tier: Tier, began_at: datetime, stopped_at: datetime | None, now: datetime
) -> SlaClock:
    """Return a clock as it stands at `now`. One that stopped before it began (told afterwards) took no time."""
    target = targets(tier)[name]
    elapsed = max((stopped_at or now) - began_at, timedelta())
    in_time = elapsed <= target
    if stopped_at is not None:
        state = ClockState.MET if in_time else ClockState.MISSED
    else:
        state = ClockState.RUNNING if in_time else ClockState.OVERDUE
    return SlaClock(
        name=name,
        incident=incident,
        asset=asset,
        tier=tier.id,
        began_at=began_at,
        stopped_at=stopped_at,
        target_seconds=int(target.total_seconds()),
        seconds=elapsed.total_seconds(),
        state=state,
    )


def share_met(clocks: Iterable[SlaClock]) -> float | None:
    """Return the share (0 to 1) of decided clocks that were met; overdue counts as missed. None when none is decided."""
    decided = [clock.state for clock in clocks if clock.state is not ClockState.RUNNING]
    return decided.count(ClockState.MET) / len(decided) if decided else None


def by_name(clocks: Iterable[SlaClock]) -> Mapping[ClockName, list[SlaClock]]:
    """Return the clocks of each kind."""
    found: dict[ClockName, list[SlaClock]] = {name: [] for name in ClockName}
    for clock in clocks:
        found[clock.name].append(clock)
    return found
