"""Keeps a restore point in Veeam: our job's retention is raised, and a copy is put into a repository that locks it.

Veeam has no retention of one restore point. The copy is another restore point; the original stays what it was.
"""

from __future__ import annotations

import copy
import re
from datetime import datetime, timedelta
from typing import Any

from snaphold.clock import Clock, format_time
from snaphold.config import Pool
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import BusyError, ProviderError
from snaphold.platforms.marker import is_ours, marker_of
from snaphold.providers.veeam_answers import BackupAnswer, PointAnswer, RepositoryState, SessionAnswer, as_document
from snaphold.providers.veeam_job import JOBS, OWN_RUN, find_job, read_description
from snaphold.providers.veeam_session import VeeamSession, after_effect
from snaphold.providers.veeam_storage import (
    POINTS,
    backup_objects,
    backup_of,
    immutable_days,
    points_of,
    usable_repository,
)

_COPY_SESSION = re.compile(r"copy session ([0-9a-f-]{36})")
_COPY_NAMES = ("copybackup", "pervmcopybackup")
_PERIODS = (
    (7, "In1Week"), (14, "In2Weeks"), (31, "In1Month"), (92, "In3Months"), (184, "In6Months"), (366, "In1Year"),
    (731, "In2Years"), (1096, "In3Years"), (1827, "In5Years"), (2557, "In7Years"),
)  # fmt: skip


class _CopySession(SessionAnswer):
    """A session with its kind, to find a copy whose answer was lost."""

    sessionType: str = ""  # noqa: N815  Veeam's own name


def set_retention(session: VeeamSession, pool: Pool, point: RestorePoint, until: datetime, clock: Clock) -> RestorePoint:
    """Keep a restore point until then, never shorter than before; return it with what was done as findings.

    The copy goes on at Veeam. A repeat looks at it instead of beginning another.
    """
    kept = session.find(f"{POINTS}/{point.reference}", PointAnswer, "the restore point")
    if kept is None:
        raise ProviderError(f"Veeam has no restore point {point.reference} any more", None, "use another restore point")
    findings = [
        finding for finding in point.findings if not finding.startswith(("copied to ", "being copied to ", "locked only "))
    ]
    _raise_job_retention(session, point, until)
    locked = pool.settings.get("locked_repository", "")
    if locked:
        findings += _copy(session, usable_repository(session, locked), kept, point, until, clock)
    return point.model_copy(update={"findings": tuple(findings)})


def _raise_job_retention(session: VeeamSession, point: RestorePoint, until: datetime) -> None:
    """Raise the days for which our own job keeps its restore point. Other people's jobs are never changed for it."""
    own = find_job(session, point.key)
    # A job that was deleted after the incident leaves its backup alone, and one that stands for a quick backup has none.
    if own is None or read_description(own).way != OWN_RUN:
        return
    job = session.get(f"{JOBS}/{own.id}", dict[str, Any], f"the job {own.name}")
    days = (until - point.taken_at) // timedelta(days=1) + 1
    if _days(job) >= days:
        return
    changed = copy.deepcopy(job)
    as_document(changed.get("storage"))["retentionPolicy"] = {"type": "Days", "quantity": days}

    def look_up() -> dict[str, Any] | None:
        now = session.get(f"{JOBS}/{own.id}", dict[str, Any], f"the job {own.name}")
        return now if _days(now) >= days else None

    what = f"raising the retention of the job {own.name}"
    session.write("PUT", f"{JOBS}/{own.id}", dict[str, Any], what, document=changed, look_up=look_up)
    with after_effect(f"the retention of the job {own.name} was raised"):
        as_set = look_up() is not None
    if not as_set:
        raise ProviderError(f"the retention of the job {own.name} is not as it was set", None, "look at the job, then repeat")


def _days(job: dict[str, Any]) -> int:
    policy = as_document(as_document(job.get("storage")).get("retentionPolicy"))
    quantity = policy.get("quantity")
    return quantity if isinstance(quantity, int) and str(policy.get("type")).lower() == "days" else 0


def _copy(
    session: VeeamSession, target: RepositoryState, kept: PointAnswer, point: RestorePoint, until: datetime, clock: Clock
) -> list[str]:
    days = immutable_days(session, target.id)
    if not days:
        raise ProviderError(
            f"the repository {target.name} does not lock what is written to it",
            "its immutability is off",
            "switch its immutability on, or name another locked_repository",
        )
    locked_until = clock.now() + timedelta(days=days)
    short = f"locked only until {format_time(locked_until)}: raise the immutability of {target.name} and repeat"
    remarks = [short] if locked_until < until else []
    source = backup_of(session, kept)
    if source.repository == target.id or _is_copied(session, target, kept):
        return [f"copied to {target.name}", *remarks]
    running = _copy_session(session, point)
    if running is not None:
        return [f"being copied to {target.name}, copy session {running.id}", *remarks]
    begun = _begin_copy(session, target, source, kept, point, until, clock)
    return [f"being copied to {target.name}, copy session {begun.id}", *remarks]


def _is_copied(session: VeeamSession, target: RepositoryState, kept: PointAnswer) -> bool:
    backups = session.list("/api/v1/backups", BackupAnswer, "the backups")
    there = {backup.id for backup in backups if backup.repository == target.id}
    made = session.at(kept.created)
    return any(copied.backup in there and session.at(copied.created) == made for copied in points_of(session, kept.name))


def _copy_session(session: VeeamSession, point: RestorePoint) -> SessionAnswer | None:
    """Return the copy of this restore point that goes on, or that an earlier call began and did not fail.

    A copy has no key. Ours is told by the mark in the name of our job, which is also the backup's. Raises BusyError while
    a copy goes on that carries no mark: it may be of this restore point.
    """
    told = next((match for finding in point.findings if (match := _COPY_SESSION.search(finding))), None)
    if told is not None:
        run = session.find(f"/api/v1/sessions/{told[1]}", SessionAnswer, "the copy")
        if run is not None and not _has_failed(run):
            return run
    running = [run for run in _copies(session, point.taken_at) if run.state != "stopped"]
    mine = [run for run in running if marker_of(point.key) in run.name]
    unmarked = [run.name for run in running if not is_ours(run.name)]
    if not mine and unmarked:
        raise BusyError(
            f"another copy goes on in Veeam: {', '.join(unmarked)[:200]}",
            f"it cannot be told whether it is one of {point.id}",
            "repeat when it has ended",
        )
    return mine[0] if mine else None


def _has_failed(run: SessionAnswer) -> bool:
    return run.state == "stopped" and (run.result is None or run.result.result == "failed")


def _copies(session: VeeamSession, since: datetime) -> list[_CopySession]:
    query = {"createdAfterFilter": format_time(since - timedelta(seconds=1))}
    runs = session.list("/api/v1/sessions", _CopySession, "the sessions", query)
    return [run for run in runs if run.sessionType.lower() in _COPY_NAMES and session.at(run.created) >= since]


def _begin_copy(
    session: VeeamSession,
    target: RepositoryState,
    source: BackupAnswer,
    kept: PointAnswer,
    point: RestorePoint,
    until: datetime,
    clock: Clock,
) -> SessionAnswer:
    revision = session.revision()
    if not revision.copies:
        raise ProviderError(
            f"Veeam's API {revision.name} cannot copy a backup to {target.name}",
            "the call came with Veeam Backup & Replication 13",
            "copy it in Veeam's console, or update the server",
        )
    if revision.name == "1.3-rev1":
        path, document = "/api/v1/backups/copyTo", {"backupIds": [source.id], "backupRepository": target.id}
    else:
        path, document = "/api/v1/backups/machines/copyTo", _machines_copy(session, target, source, kept, until, clock)
    since = session.server_time()

    def look_up() -> SessionAnswer | None:
        found = [run for run in _copies(session, since) if marker_of(point.key) in run.name]
        return found[-1] if found else None

    return session.write("POST", path, SessionAnswer, f"copying to {target.name}", document=document, look_up=look_up)


def _machines_copy(
    session: VeeamSession, target: RepositoryState, source: BackupAnswer, kept: PointAnswer, until: datetime, clock: Clock
) -> dict[str, Any]:
    """Return the order for a copy of one machine that deletes itself after the shortest period that is long enough."""
    objects = [item.id for item in backup_objects(session, kept.name, source.id)]
    days = (until - clock.now()) // timedelta(days=1) + 1
    period = next((word for length, word in _PERIODS if length >= days), "")
    document: dict[str, Any] = {"backupId": source.id, "repositoryId": target.id, "deleteAutomatically": bool(period)}
    if objects:
        document["backupObjects"] = objects
    return {**document, "retentionPeriod": period} if period else document
