"""Tightens the schedule of a server plan by one more schedule of our own, named after the asset, and takes it away again.

What stood before is not touched, so that restoring it needs no memory, also after a crash.
"""

from __future__ import annotations

from snaphold.providers.commvault_answers import Acknowledged, Schedule, Schedules
from snaphold.providers.commvault_keeping import settle
from snaphold.providers.commvault_session import CommvaultSession

_SECONDS = 60


def schedule_name(asset: str) -> str:
    """Return the name of our schedule for an asset."""
    return f"snaphold {asset}"


def tighten(session: CommvaultSession, plan: int, asset: str, every_seconds: int) -> None:
    """Have the plan back up at least that often, in whole minutes; when it does so already, nothing is changed."""
    minutes = max(every_seconds // _SECONDS, 1)
    first, *others = _ours(session, plan, asset) or [None]
    if first is None or not _is_as_wanted(first, minutes):
        _put(session, plan, asset, "MODIFY" if first else "ADD", first, minutes)
    for other in others:
        _put(session, plan, asset, "DELETE", other, minutes)


def restore(session: CommvaultSession, plan: int, asset: str) -> None:
    """Take our schedule for an asset away; where there is none, nothing is changed."""
    for schedule in _ours(session, plan, asset):
        _put(session, plan, asset, "DELETE", schedule, max(schedule.pattern.frequency, 1))


def _ours(session: CommvaultSession, plan: int, asset: str) -> list[Schedule]:
    listed = session.get(f"/V4/ServerPlan/{plan}/RPO", Schedules, f"reading the schedules of plan {plan}").schedules
    return sorted((item for item in listed if item.name == schedule_name(asset)), key=lambda item: item.id)


def _is_as_wanted(schedule: Schedule, minutes: int) -> bool:
    return schedule.pattern.kind == "MINUTES" and schedule.pattern.frequency == minutes


def _put(session: CommvaultSession, plan: int, asset: str, operation: str, schedule: Schedule | None, minutes: int) -> None:
    given: dict[str, object] = {
        "scheduleName": schedule_name(asset),
        "scheduleOperation": operation,
        "backupType": "INCREMENTAL",
        "schedulePattern": {"scheduleFrequencyType": "MINUTES", "frequency": minutes},
    }
    if schedule is not None:
        given["scheduleId"] = schedule.id
    document = {"backupFrequency": {"operationType": operation, "schedules": [given]}}
    what = f"the change of schedule {schedule_name(asset)!r} of plan {plan}"

    def change() -> None:
        session.change("PUT", f"/V4/ServerPlan/{plan}/RPO", Acknowledged, what, document)

    def is_done() -> bool:
        found = _ours(session, plan, asset)
        if operation == "DELETE":
            return schedule is None or all(item.id != schedule.id for item in found)
        return any(_is_as_wanted(item, minutes) for item in found)

    settle(change, is_done, what)
