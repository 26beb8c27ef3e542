"""The extra backups of engines without a scheduler: one for each interval, however many services and restarts there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from snaphold.action import find_action
from snaphold.context import Context
from snaphold.domain.incident import IncidentRecord
from snaphold.domain.people import Actor
from snaphold.errors import BusyError, InputError, SnapholdError
from snaphold.execute import action_key, execute
from snaphold.ledger.entry import Event, NewEntry
from snaphold.recorded import redact_record
from snaphold.runtime import Runtime
from snaphold.schedules.change import schedule_lock
from snaphold.schedules.record import Demand, TakenBy, TightenedSchedule
from snaphold.secrets import redact


@dataclass(frozen=True)
class Extra:
    """What became of a schedule's extra backup: `started`, `ended`, or nothing; `fault` says why it failed."""

    started: bool = False
    ended: bool = False
    fault: str = ""


def is_backup_due(schedule: TightenedSchedule, now: datetime) -> bool:
    """Return whether the service has to start an extra backup now, or to look at the one that is at work."""
    if schedule.job:
        return True
    return schedule.taken_by is TakenBy.SERVICE and schedule.wanted is not None and schedule.slot != _slot(schedule, now)


def take_extra(id: str, runtime: Runtime, actor: Actor) -> Extra:
    """Start the extra backup of this interval, or look at the one that is at work; return what became of it.

    The interval is part of the key, so a repeat after a crash finds the backup and never starts it twice. An interval
    during which nothing ran is not made up for.
    """
    acting = replace(runtime, actor=actor)
    with runtime.ledger.turn(schedule_lock(runtime.configuration, f"{id}.extra")):
        schedule = runtime.ledger.record(TightenedSchedule, id)
        now = runtime.clock.now()
        if schedule is None or not is_backup_due(schedule, now):
            return Extra()
        try:
            return _look_at(schedule, acting) if schedule.job else _start(schedule, acting, now)
        except BusyError:
            return Extra()  # another service is at it
        except SnapholdError as error:
            fault = redact(f"{error.what}: {error.why}" if error.why else error.what)
            # This interval is over for it; the next one tries again.
            _keep(id, {"slot": _slot(schedule, now), "job": "", "fault": fault}, acting, "schedule.extra_failed")
            return Extra(fault=fault)


def _start(schedule: TightenedSchedule, runtime: Runtime, now: datetime) -> Extra:
    demand = _tightest(schedule, now)
    if demand is None:
        return Extra()
    slot = _slot(schedule, now)
    given = {"asset": schedule.asset, "pool": schedule.pool}
    key = action_key(find_action("backup.start"), given, demand.incident, f"schedule.extra.{schedule.pool}.{slot}")
    started = execute("backup.start", given, _context(demand.incident, runtime, key)).model_dump(mode="json")
    told = {"slot": slot, "job": started["job"], "job_incident": demand.incident, "fault": ""}
    _keep(schedule.id, told, runtime, "schedule.extra")
    return Extra(started=True)


def _look_at(schedule: TightenedSchedule, runtime: Runtime) -> Extra:
    given = {"asset": schedule.asset, "pool": schedule.pool, "job": schedule.job}
    stands = execute("backup.status", given, _context(schedule.job_incident, runtime, "")).model_dump(mode="json")
    if stands["state"] == "running":
        return Extra()
    good = stands["backup_outcome"] == "succeeded"
    fault = "" if good else f"{schedule.job} ended {stands['backup_outcome'] or stands['state']}"
    _keep(schedule.id, {"job": "", "fault": fault}, runtime, "schedule.extra_ended")
    return Extra(ended=True, fault=fault)


def _context(incident: str, runtime: Runtime, key: str) -> Context:
    known = runtime.ledger.record(IncidentRecord, incident)
    if known is None:
        raise InputError(f"the incident {incident} is not known here", "an extra backup belongs to an incident")
    return runtime.context(known.declared, justification="The schedule is tightened, and the engine has no scheduler", key=key)


def _tightest(schedule: TightenedSchedule, now: datetime) -> Demand | None:
    return min((one for one in schedule.demands if one.until > now), key=lambda one: one.every, default=None)


def _slot(schedule: TightenedSchedule, now: datetime) -> int:
    return int(now.timestamp()) // max(schedule.wanted or 1, 1)


def _keep(id: str, told: Mapping[str, object], runtime: Runtime, action: str) -> None:
    """Change the record under the lock of the schedule: its demands may have changed meanwhile."""
    with runtime.ledger.turn(schedule_lock(runtime.configuration, id)):
        current = runtime.ledger.record(TightenedSchedule, id)
        if current is None:
            return
        changed = redact_record(current.model_copy(update=told))
        entry = NewEntry(
            event=Event.SERVICE, actor=runtime.actor.id, login=runtime.actor.login, incident=changed.incident, action=action,
            detail={"schedule": id, "asset": changed.asset, **told},
        )  # fmt: skip
        runtime.ledger.append(entry, [changed])
