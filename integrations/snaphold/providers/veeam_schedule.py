"""Tightens the schedule of a machine's regular job in Veeam, and restores it.

What stood before is kept in the job's own description, so that it survives us. A job is written as a whole and has no
version: it is read again afterwards and compared.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from snaphold.config import Pool
from snaphold.errors import InputError, ProviderError
from snaphold.providers.veeam_answers import as_document
from snaphold.providers.veeam_job import JOBS, job_called, regular_jobs
from snaphold.providers.veeam_session import VeeamSession, after_effect

_KEPT = re.compile(r"\n?\[snaphold-schedule ([^\]\n]*)\]")
_SECTIONS = ("daily", "monthly", "continuously", "afterThisJob")
_HOUR, _MINUTE = 3600, 60


def set_schedule(session: VeeamSession, pool: Pool, machine: str, every_seconds: int | None) -> None:
    """Have the machine's regular job run every so many seconds, in whole minutes; None restores what stood before.

    A repeat changes nothing. Raises ProviderError when the job cannot be told, InputError for less than a minute.
    """
    if every_seconds is not None and every_seconds < _MINUTE:
        raise InputError("Veeam cannot run a job that often", f"every {every_seconds} s", "give at least 60 s")
    listed = _regular_job(session, pool, machine)
    job = session.get(f"{JOBS}/{listed['id']}", dict[str, Any], f"the job {listed.get('name')}")
    changed = _restored(job) if every_seconds is None else _tightened(job, every_seconds)
    if changed == job:
        return

    def look_up() -> dict[str, Any] | None:
        now = session.get(f"{JOBS}/{job['id']}", dict[str, Any], f"the job {job.get('name')}")
        return now if _essence(now) == _essence(changed) else None

    session.write(
        "PUT", f"{JOBS}/{job['id']}", dict[str, Any], f"changing the schedule of the job {job.get('name')}",
        document=changed, look_up=look_up,
    )  # fmt: skip
    with after_effect(f"the schedule of the job {job.get('name')} was changed"):
        as_set = look_up() is not None
    if not as_set:
        raise ProviderError(
            f"the schedule of the job {job.get('name')} is not as it was set",
            "somebody else changed the job at the same time",
            "look at the job in Veeam, then repeat",
        )


def _regular_job(session: VeeamSession, pool: Pool, machine: str) -> dict[str, Any]:
    if pool.settings.get("job"):
        return job_called(session, pool.settings["job"])
    jobs = regular_jobs(session, machine)
    if len(jobs) != 1:
        names = ", ".join(str(job.get("name")) for job in jobs)
        raise ProviderError(
            f"{'no' if not jobs else 'more than one'} regular job of Veeam names the machine {machine!r}",
            names or "a job that takes it in through a folder or a tag does not name it",
            "name the job in the setting job of the pool",
        )
    return jobs[0]


def _tightened(job: dict[str, Any], every_seconds: int) -> dict[str, Any]:
    changed = copy.deepcopy(job)
    schedule = as_document(changed.get("schedule"))
    text = str(changed.get("description") or "")
    if not _KEPT.search(text):
        changed["description"] = f"{text}\n[snaphold-schedule {_note(schedule)}]"
    for name in _SECTIONS:
        if as_document(schedule.get(name)).get("isEnabled") is True:
            schedule[name] = {**as_document(schedule[name]), "isEnabled": False}
    whole_hours = every_seconds % _HOUR == 0
    schedule["periodically"] = {
        **_without_nulls(as_document(schedule.get("periodically"))),
        "isEnabled": True,
        "periodicallyKind": "Hours" if whole_hours else "Minutes",
        "frequency": every_seconds // (_HOUR if whole_hours else _MINUTE),
    }
    schedule["runAutomatically"] = True
    changed["schedule"] = schedule
    return changed


def _restored(job: dict[str, Any]) -> dict[str, Any]:
    text = str(job.get("description") or "")
    kept = _KEPT.search(text)
    if not kept:
        return job
    told = dict(part.split("=", 1) for part in kept[1].split() if "=" in part)
    changed = copy.deepcopy(job)
    schedule = as_document(changed.get("schedule"))
    for name in _SECTIONS:
        if told.get(name) == "1":
            schedule[name] = {**as_document(schedule.get(name)), "isEnabled": True}
    enabled, kind, frequency = [*told.get("periodically", "absent").split("/"), "", ""][:3]
    if enabled == "absent":
        schedule.pop("periodically", None)
    else:
        before = {**as_document(schedule.get("periodically")), "isEnabled": enabled == "1"}
        before |= {"periodicallyKind": kind} if kind else {}
        before |= {"frequency": int(frequency)} if frequency.isdigit() else {}
        schedule["periodically"] = before
    schedule["runAutomatically"] = told.get("run") == "1"
    changed["schedule"] = schedule
    changed["description"] = text[: kept.start()] + text[kept.end() :]
    return changed


def _note(schedule: dict[str, Any]) -> str:
    """Return what is switched on, in one line that a person can read."""
    parts = [f"run={_bit(schedule.get('runAutomatically'))}"]
    parts += [f"{name}={_bit(as_document(schedule.get(name)).get('isEnabled'))}" for name in _SECTIONS]
    period = schedule.get("periodically")
    if isinstance(period, dict):
        given = as_document(period)
        words = (_bit(given.get("isEnabled")), str(given.get("periodicallyKind") or ""), str(given.get("frequency") or ""))
        parts.append(f"periodically={'/'.join(words)}")
    else:
        parts.append("periodically=absent")
    return " ".join(parts)


def _bit(value: Any) -> str:
    return "1" if value is True else "0"


def _without_nulls(section: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value is not None}


def _essence(job: dict[str, Any]) -> tuple[Any, ...]:
    """Return what of a job was set, for comparing: a server may add defaults and change the case of words."""
    schedule = as_document(job.get("schedule"))
    period = as_document(schedule.get("periodically"))
    frequency = period.get("frequency") if period.get("isEnabled") is True else None
    kind = str(period.get("periodicallyKind") or "").lower() if period.get("isEnabled") is True else ""
    enabled = tuple(as_document(schedule.get(name)).get("isEnabled") is True for name in _SECTIONS)
    return schedule.get("runAutomatically"), enabled, frequency, kind, str(job.get("description") or "").strip()
