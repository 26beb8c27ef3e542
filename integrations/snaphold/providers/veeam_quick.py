"""Quick backup: an increment of one machine within its regular job. It starts at once and reads little.

It cannot carry a key. So a job of our own is made as for every backup, but never run: its description keeps the session.
Its restore point lies among the regular ones, in their repository and under their retention, so a pool must allow it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from snaphold.clock import format_time, parse_time
from snaphold.config import Pool
from snaphold.errors import BusyError, InputError, UnknownOutcomeError
from snaphold.providers.base import BackupOrder
from snaphold.providers.veeam_answers import JobAnswer, SessionAnswer, TaskSession
from snaphold.providers.veeam_job import JOBS, QUICK, SESSION_LINE, OwnJob, machine_of
from snaphold.providers.veeam_session import VeeamSession, after_effect

SESSIONS = "/api/v1/sessions"
_ALLOWED = "incremental"


def is_allowed(pool: Pool) -> bool:
    """Return whether the pool's setting `quick_backup` allows it. Raises InputError for another word than `incremental`."""
    given = pool.settings.get("quick_backup", "")
    if given not in ("", _ALLOWED):
        raise InputError(
            f"quick_backup of the pool {pool.name} is {given!r}", f"known: {_ALLOWED}", "correct it, or leave it out"
        )
    return given == _ALLOWED


def tasks_of(session: VeeamSession, run: SessionAnswer, machine: str) -> list[TaskSession]:
    """Return a machine's parts of a session, the last try last."""
    listed = session.list(f"{SESSIONS}/{run.id}/taskSessions", TaskSession, "the machines of the session")
    return [task for task in listed if task.name == machine]


def find_session(session: VeeamSession, own: OwnJob) -> SessionAnswer | None:
    """Return the session that a job of ours stands for: the one in its description, else the only one since it was made.

    Raises UnknownOutcomeError when there are several that it could be.
    """
    if own.session:
        return session.get(f"{SESSIONS}/{own.session}", SessionAnswer, f"the session {own.session}")
    try:
        since = parse_time(own.asked)
    except ValueError as error:
        raise InputError(
            f"the description of our job for {own.machine} was changed", str(error), "write its line Asked as it was, in RFC 3339"
        ) from error
    return _only_one(session, own, since)


def _only_one(session: VeeamSession, own: OwnJob, since: datetime) -> SessionAnswer | None:
    regular = own.way.removeprefix(QUICK)
    query = {"jobIdFilter": regular, "createdAfterFilter": format_time(since - timedelta(seconds=1))}
    listed = session.list(SESSIONS, SessionAnswer, "the sessions", query)
    runs = [run for run in listed if run.job == regular and session.at(run.created) >= since]
    found = [run for run in runs if tasks_of(session, run, own.machine)]
    if len(found) > 1:
        raise UnknownOutcomeError(
            f"several sessions of {own.machine} may be the quick backup",
            ", ".join(run.id for run in found),
            "look at them in Veeam; start it anew under another key when none is",
        )
    return found[0] if found else None


def start(session: VeeamSession, order: BackupOrder, job: JobAnswer, own: OwnJob) -> str:
    """Start the quick backup that a job of ours stands for, note its session in the job, and return it.

    Raises BusyError while the regular job runs.
    """
    found = find_session(session, own)
    if found is None:
        regular = own.way.removeprefix(QUICK)
        runs = session.list(SESSIONS, SessionAnswer, "the sessions", {"jobIdFilter": regular})
        if any(run.job == regular and run.state != "stopped" for run in runs):
            raise BusyError(f"the regular job of {own.machine} is running", None, "wait until it has ended, then repeat")
        since = session.server_time()
        document = machine_of(order, session.revision())
        found = session.write(
            "POST", f"{JOBS}/quickBackup/vSphere", SessionAnswer, f"starting the quick backup of {own.machine}",
            document=document, look_up=lambda: _only_one(session, own, since), refused_too=True,
        )  # fmt: skip
    if not own.session:
        with after_effect(f"the quick backup of {own.machine} was started as session {found.id}"):
            _note(session, job, found.id)
    return found.id


def _note(session: VeeamSession, job: JobAnswer, run: str) -> None:
    document = session.get(f"{JOBS}/{job.id}", dict[str, Any], f"the job {job.name}")
    line = f"{SESSION_LINE}: {run}"
    changed = {**document, "description": f"{document.get('description') or ''}\n{line}"}

    def look_up() -> dict[str, Any] | None:
        now = session.get(f"{JOBS}/{job.id}", dict[str, Any], f"the job {job.name}")
        return now if line in str(now.get("description") or "") else None

    session.write("PUT", f"{JOBS}/{job.id}", dict[str, Any], f"noting the session {run}", document=changed, look_up=look_up)
