"""Judges a job whose process vanished: by what the repository holds, never by what was probably done."""

from __future__ import annotations

import shutil

from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError
from snaphold.providers.base import JobState, JobStatus
from snaphold.providers.job_folder import JobFolder, JobOrder
from snaphold.providers.job_result import judge
from snaphold.providers.local_repository import LocalRepository

VANISHED = "the job's process vanished before it ended"


def settle_vanished(repository: LocalRepository, folder: JobFolder) -> JobStatus:
    """Return the last status of a job whose process is gone; the caller holds its lock, so its engine is gone too.

    A stored copy with the job's key counts, counted anew and never better than partial: nobody compared it. Without
    one, and when the application had to stay frozen and nothing shows that it did, the job failed.
    """
    order = folder.order()
    if order is None:
        raise InputError(f"job {folder.path.name} has no order", f"look into {folder.path}")
    try:
        return _judge_stored(repository, folder, order)
    finally:
        shutil.rmtree(folder.staging, ignore_errors=True)


def _judge_stored(repository: LocalRepository, folder: JobFolder, order: JobOrder) -> JobStatus:
    facts = folder.facts()
    copied = repository.find_copy(order.order.key, order.job) if repository.repository_exists() else None
    if copied is None:
        return _failed(folder, f"{VANISHED}; its repository holds no copy with its key")
    events = {line.event for line in facts.quiesce_log}
    if facts.frozen and not {"copy_end", "thawed_at"} <= events:
        return _failed(folder, f"{VANISHED}; nothing shows that the freeze lasted until the end of the copy {copied.reference}")
    if not facts.inventory_sha256 or not folder.inventory.exists():
        return _failed(folder, f"{VANISHED}; there is no source inventory for the copy {copied.reference}")
    return judge(order, repository, folder, facts, copied, (f"{VANISHED}; the stored copy was counted afterwards",))


def _failed(folder: JobFolder, why: str) -> JobStatus:
    return JobStatus(
        job=folder.path.name,
        state=JobState.FAILED,
        outcome=Outcome.FAILED,
        quiesce_log=folder.facts().quiesce_log,
        findings=(why,),
    )
