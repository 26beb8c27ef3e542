"""Schedules: back up more often while something is wrong, and go back to the regular schedule afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import Field

from snaphold.action import Effect, Name, Names, Needs, Recovery, Request, Result, action
from snaphold.clock import Positive, format_duration, format_time
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, SnapholdError

if TYPE_CHECKING:
    from snaphold.schedules.change import Changed
    from snaphold.schedules.record import TightenedSchedule

_REASON = "The alert that asks for it; left out, the incident."
SHORTEST_INTERVAL = timedelta(minutes=1)


class TightenSchedule(Request):
    """Input of schedule.tighten."""

    asset: Name = Field(description="Id of the asset.", examples=["files-01"])
    every: Positive = Field(description="How often it is to be backed up, at least 1m.", examples=["15m"])
    lasts: Positive = Field(
        default=timedelta(hours=4), description="After this the regular schedule comes back by itself.", examples=["4h"]
    )
    reason: str = Field(default="", max_length=128, description=_REASON, examples=["ALERT-0123456789ab"])
    pool: str = Field(default="", description="The pool; left out, the first one of the route.", examples=["isolated-01"])


class ScheduleTightened(Result):
    """The schedule as it is now."""

    schedule: str = Field(description="Id of its record.", examples=["SCHED-0123456789ab"])
    pool: str = Field(description="The pool.", examples=["isolated-01"])
    every: str = Field(description="The interval that is in force: the tightest that is asked for.", examples=["15m"])
    until: str = Field(description="When this demand ends by itself (RFC 3339).", examples=["2026-11-22T22:00:00.000Z"])
    taken_by: str = Field(
        description="product: its own schedule was changed; service: Snaphold's service starts the backups.", examples=["product"]
    )
    changed: bool = Field(description="Whether the schedule was changed now; false: it was tight enough.", examples=[True])


@action(
    "schedule.tighten",
    title="Back up an asset more often for a while",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("asset", "reason"),
    console="In the backup product, note the schedule of the job, then shorten its interval.",
)
def tighten(request: TightenSchedule, context: Context) -> ScheduleTightened:
    """Tighten the regular schedule of an asset; what stood before is written down first and comes back by itself.

    Of several demands the tightest counts. Engines without a scheduler of their own are served by Snaphold's service.
    """
    from snaphold.incident_register import remember_incident
    from snaphold.providers.choice import find_assets, pools_for, tiers_of_assets
    from snaphold.schedules.change import tighten as change
    from snaphold.schedules.record import Demand, TakenBy

    (asset,) = find_assets([request.asset], context)
    if request.every < SHORTEST_INTERVAL:
        raise InputError("the interval is too short", format_duration(request.every), "ask for at least 1m")
    pool = pools_for(asset, tiers_of_assets(context)[asset.id], context, request.pool)[0]
    now = context.clock.now()
    demand = Demand(
        reason=request.reason or context.incident.id, incident=context.incident.id, every=request.every, since=now,
        until=now + request.lasts, by=context.actor.id,
    )  # fmt: skip
    remember_incident(context.incident, context.ledger, context.actor, context.clock)
    done = change(asset.id, pool, demand, context)
    schedule = done.schedule
    findings = list(done.findings)
    if schedule.taken_by is TakenBy.SERVICE:
        findings.append(f"the engine of {pool} has no scheduler: the backups are taken only while snaphold serve is running")
    until = next((one.until for one in schedule.demands if one.reason == demand.reason), demand.until)
    return ScheduleTightened(
        outcome=Outcome.SUCCEEDED, findings=findings, schedule=schedule.id, pool=pool,
        every=format_duration(timedelta(seconds=schedule.wanted or 0)), until=format_time(until),
        taken_by=schedule.taken_by.value, changed=done.changed,
    )  # fmt: skip


class RestoreSchedule(Request):
    """Input of schedule.restore."""

    reason: str = Field(default="", max_length=128, description=_REASON, examples=["ALERT-0123456789ab"])
    assets: Names = Field(default=[], description="Only of these; left out, of all that the reason concerns.",
                          examples=[["files-01"]])  # fmt: skip


class SchedulesRestored(Result):
    """The schedules that were looked at."""

    restored: list[str] = Field(description="Assets that are back on their regular schedule.", examples=[["files-01"]])
    still_tight: list[str] = Field(description="Assets that another demand keeps tight, and how.", examples=[[]])


@action(
    "schedule.restore",
    title="Bring the regular schedule back",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("reason", "assets"),
    console="In the backup product, set the schedule of the job to what was noted.",
)
def restore(request: RestoreSchedule, context: Context) -> SchedulesRestored:
    """Take a demand for a tighter schedule away. The last one that goes brings back what stood before."""
    from snaphold.schedules.change import release, schedules_of

    reason = request.reason or context.incident.id
    return _each(schedules_of(reason, context.ledger, request.assets), lambda one: release(one, reason, context))


class ReconcileSchedules(Request):
    """Input of schedule.reconcile."""

    assets: Names = Field(default=[], description="Only of these; left out, of all.", examples=[["files-01"]])


@action(
    "schedule.reconcile",
    title="Restore schedules that are due, also after a crash",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("assets",),
    console="In the backup product, look for jobs whose schedule is still tight, and set it to what was noted.",
)
def reconcile(request: ReconcileSchedules, context: Context) -> SchedulesRestored:
    """End the demands whose time has passed, and finish every change that a crash or a fault left half done."""
    from snaphold.schedules.change import bring_up_to_date, tightened_schedules

    wanted = set(request.assets)
    found = [one for one in tightened_schedules(context.ledger) if not wanted or one.asset in wanted]
    open_ones = [one for one in found if one.demands or not one.settled]
    return _each(open_ones, lambda one: bring_up_to_date(one, context))


def _each(schedules: list[TightenedSchedule], change: Callable[[TightenedSchedule], Changed]) -> SchedulesRestored:
    """Change every schedule; one that fails does not keep the others. The outcome is partial then."""
    restored: list[str] = []
    still: list[str] = []
    faults: list[SnapholdError] = []
    findings: list[str] = []
    for schedule in schedules:
        try:
            done = change(schedule)
        except SnapholdError as error:
            faults.append(error)
            findings.append(f"{schedule.asset} in {schedule.pool}: {error.what}" + (f": {error.why}" if error.why else ""))
            continue
        findings += done.findings
        if done.schedule.wanted is None:
            restored.append(schedule.asset)
        else:
            every = format_duration(timedelta(seconds=done.schedule.wanted))
            still.append(f"{schedule.asset}: every {every}")
    if faults and len(faults) == len(schedules):
        raise faults[0]
    outcome = Outcome.PARTIAL if faults else Outcome.SUCCEEDED
    return SchedulesRestored(outcome=outcome, findings=findings, restored=restored, still_tight=still)
