"""Tightens and restores schedules. The tightest demand wins; when the last one ends, what stood before comes back.

Every change is written down before the product is asked (wanted), and afterwards (applied). What lies between is asked
for again by `reconcile`: telling a product twice what its schedule is changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from snaphold.clock import format_duration, format_time
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.errors import SnapholdError
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.ledger import Ledger
from snaphold.providers.base import Provider, Support, Verb
from snaphold.recorded import redact_record
from snaphold.schedules.record import Demand, KeptSchedule, ReadsSchedule, TakenBy, TightenedSchedule, schedule_id
from snaphold.secrets import redact

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True)
class Changed:
    """A schedule after a change, and whether the product (or the service's plan) was changed now."""

    schedule: TightenedSchedule
    changed: bool
    findings: tuple[str, ...] = ()


def tighten(asset: str, pool: str, demand: Demand, context: Context) -> Changed:
    """Add a demand, or make it longer, and bring the product to the tightest interval. Returns the schedule.

    Raises what the product raises; the demand is kept then, and asked for again by `reconcile`.
    """

    def add(schedule: TightenedSchedule) -> TightenedSchedule:
        others = [one for one in schedule.demands if one.reason != demand.reason]
        before = next((one for one in schedule.demands if one.reason == demand.reason), None)
        mine = demand.model_copy(update={"since": before.since, "until": max(before.until, demand.until)}) if before else demand
        return schedule.model_copy(update={"demands": (*others, mine), "last_by": context.actor.id})

    return _change(asset, pool, context, add)


def release(schedule: TightenedSchedule, reason: str, context: Context) -> Changed:
    """Take a demand away and bring the product to what is left of the others, or to what stood before.

    Raises what the product raises; it is tried again by `reconcile`.
    """

    def drop(found: TightenedSchedule) -> TightenedSchedule:
        kept = tuple(one for one in found.demands if one.reason != reason)
        return found.model_copy(update={"demands": kept})

    return _change(schedule.asset, schedule.pool, context, drop)


def bring_up_to_date(schedule: TightenedSchedule, context: Context) -> Changed:
    """End the demands whose time has passed, and do what a crash or a fault left undone."""
    return _change(schedule.asset, schedule.pool, context, lambda found: found)


def is_due(schedule: TightenedSchedule, now: datetime) -> bool:
    """Return whether there is something to do: a demand that has ended, or a change that did not come through."""
    if schedule.try_after is not None and now < schedule.try_after:
        return False
    return not schedule.settled or any(demand.until <= now for demand in schedule.demands)


def tightened_schedules(ledger: Ledger) -> list[TightenedSchedule]:
    """Return the record of every schedule that was ever tightened, oldest first."""
    return ledger.records(TightenedSchedule)


def schedules_of(reason: str, ledger: Ledger, assets: Iterable[str] = ()) -> list[TightenedSchedule]:
    """Return the schedules that a reason keeps tight; only of these assets when some are named."""
    wanted = set(assets)
    return [
        one
        for one in tightened_schedules(ledger)
        if any(demand.reason == reason for demand in one.demands) and (not wanted or one.asset in wanted)
    ]


def schedule_lock(configuration: Configuration, id: str) -> Path:
    """Return the lock that is held while a schedule is changed."""
    return configuration.state_folder / "schedules" / f"{id}.lock"


def _change(asset: str, pool: str, context: Context, alter: Callable[[TightenedSchedule], TightenedSchedule]) -> Changed:
    id = schedule_id(asset, pool)
    with context.ledger.turn(schedule_lock(context.configuration, id)):
        provider = context.provider(pool)
        before = context.ledger.record(TightenedSchedule, id) or _untouched(id, asset, pool, provider, context)
        now = context.clock.now()
        altered = alter(before)
        running = tuple(demand for demand in altered.demands if demand.until > now)
        tightest = min((int(demand.every.total_seconds()) for demand in running), default=None)
        wanted = altered.model_copy(update={"demands": running, "wanted": tightest})
        findings: list[str] = []
        if wanted.settled:
            if wanted != before:
                wanted = _write(wanted, "schedule.demand", context)
            return Changed(wanted, changed=False)
        planned = _write(wanted, "schedule.change", context)
        try:
            if planned.taken_by is TakenBy.PRODUCT:
                planned = _noted(planned, provider, context)
                findings += _apply(planned, provider)
        except SnapholdError as error:
            _write(_failed(planned, error, now), "schedule.fault", context)
            raise
        done = {"applied": tightest, "in_doubt": False, "fault": "", "attempts": 0, "try_after": None}
        if tightest is None:
            done |= {"original": None, "slot": None}
        return Changed(
            _write(planned.model_copy(update=done), "schedule.changed", context), changed=True, findings=tuple(findings)
        )


def _noted(schedule: TightenedSchedule, provider: Provider, context: Context) -> TightenedSchedule:
    """Write down what stands in the product, and that it is about to be changed."""
    original = schedule.original
    if original is None and not schedule.in_doubt and isinstance(provider, ReadsSchedule):
        original = provider.read_schedule(schedule.asset)
    noted = schedule.model_copy(update={"original": original, "in_doubt": True})
    return noted if noted == schedule else _write(noted, "schedule.ask", context)


def _apply(schedule: TightenedSchedule, provider: Provider) -> list[str]:
    """Tell the product; return what of it could not be done."""
    kept: KeptSchedule | None = schedule.original
    if schedule.wanted is None:
        if kept is not None and isinstance(provider, ReadsSchedule):
            provider.restore_schedule(schedule.asset, kept)
        else:
            provider.set_schedule(schedule.asset, None)
        return []
    if kept is not None and kept.every_seconds is not None and kept.every_seconds <= schedule.wanted:
        own = format_duration(timedelta(seconds=kept.every_seconds))
        if schedule.applied is not None and isinstance(provider, ReadsSchedule):
            provider.restore_schedule(schedule.asset, kept)
        return [f"the schedule of {schedule.asset} is tighter already ({own}): it was left alone"]
    provider.set_schedule(schedule.asset, schedule.wanted)
    return []


def _untouched(id: str, asset: str, pool: str, provider: Provider, context: Context) -> TightenedSchedule:
    capability = provider.describe().capabilities.get(Verb.SET_SCHEDULE)
    own = capability is not None and capability.support is not Support.UNSUPPORTED
    return TightenedSchedule(
        id=id, incident=context.incident.id, asset=asset, pool=pool, by=context.actor.id, last_by=context.actor.id,
        taken_by=TakenBy.PRODUCT if own else TakenBy.SERVICE, changed_at=context.clock.now(),
    )  # fmt: skip


def _failed(schedule: TightenedSchedule, error: SnapholdError, now: datetime) -> TightenedSchedule:
    wait = min(FIRST_WAIT * 2 ** min(schedule.attempts, 10), LONGEST_WAIT)
    why = redact(f"{error.what}: {error.why}" if error.why else error.what)
    return schedule.model_copy(update={"fault": why, "attempts": schedule.attempts + 1, "try_after": now + wait})


def _write(schedule: TightenedSchedule, action: str, context: Context) -> TightenedSchedule:
    changed = redact_record(schedule.model_copy(update={"changed_at": context.clock.now(), "by": context.actor.id}))
    detail = {
        "schedule": changed.id, "asset": changed.asset, "pool": changed.pool, "taken_by": changed.taken_by.value,
        "wanted_seconds": changed.wanted, "applied_seconds": changed.applied, "fault": changed.fault,
        "demands": [f"{demand.reason} every {format_duration(demand.every)} until {format_time(demand.until)}"
                    for demand in changed.demands],
    }  # fmt: skip
    entry = NewEntry(
        event=Event.SERVICE, actor=context.actor.id, login=context.actor.login, incident=context.incident.id,
        run=context.run, action=action, justification=redact(context.justification), detail=detail,
    )  # fmt: skip
    context.ledger.append(entry, [changed])
    return changed
