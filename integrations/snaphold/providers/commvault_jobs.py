"""Commvault's jobs: how our key is put into one and found again, what their states mean, and what is listed.

Commvault knows no idempotency key. The key goes into the description of the job; the order that started a job shows it.
A job of ours whose description cannot be read may be any start: then nothing is known, and nothing is started.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, ProviderError, UnknownOutcomeError
from snaphold.providers.base import JobState
from snaphold.providers.commvault_answers import Job, JobList, Started, SubclientEntity, TaskDetails
from snaphold.providers.commvault_session import CommvaultSession, plain_name

MARK = "snaphold:"
PAGE_JOBS = 100
MOST_PAGES = 50
MOST_READ = 500
"""So many orders of jobs are read to find a key."""
_ALL, _ACTIVE = 0, 1
_ENDS = ("completed", "killed", "committed", "failed")
_DIGITS = 18


class Mark(NamedTuple):
    """What the description of a job of ours says: for which pool it was started, and under which key.

    The pool is in it because Commvault's jobs know none: the plan decides into which storage they go.
    """

    pool: str
    key: str

    @property
    def text(self) -> str:
        """The description."""
        return f"{MARK}{self.pool}:{self.key}"


def read_mark(description: str) -> Mark | None:
    """Return what a description says; None when it is none of ours."""
    pool, separator, key = description.removeprefix(MARK).partition(":")
    return Mark(pool, key) if description.startswith(MARK) and separator and pool and key else None


def order_of(entity: SubclientEntity, mark: Mark, *, full: bool) -> dict[str, object]:
    """Return the order for a backup of a subclient, with the mark as the job's description."""
    sub_task = {
        "subTaskOperation": 1,
        "subTask": {"subTaskType": 2, "operationType": 2},
        "options": {
            "backupOpts": {"backupLevel": "Full" if full else "Incremental"},
            "commonOpts": {"jobDescription": mark.text},
        },
    }
    task = {"taskType": 1, "initiatedFrom": 2, "policyType": 0, "taskFlags": {"disabled": False}}
    association = entity.model_dump(mode="json", by_alias=True)
    return {"taskInfo": {"associations": [association], "task": task, "subTasks": [sub_task]}}


def start_job(session: CommvaultSession, entity: SubclientEntity, mark: Mark, *, full: bool) -> str:
    """Start a backup and return its job. Raises UnknownOutcomeError when it may have started although nothing says so."""
    order = order_of(entity, mark, full=full)
    jobs = session.change("POST", "/CreateTask", Started, f"the start of a backup of {entity.path}", order).jobs
    if len(jobs) > 1:
        raise UnknownOutcomeError(f"one order started {len(jobs)} jobs for {entity.path}", f"jobs {', '.join(jobs)}")
    return str(_number(jobs[0]))


def read_job(session: CommvaultSession, job: str) -> Job:
    """Return a job. Raises InputError when it cannot be one of Commvault's, ProviderError when it is not shown."""
    number = _number(job)
    listed = session.get(f"/Job/{number}", JobList, f"reading job {number}")
    found = [row.job for row in listed.rows if row.job.id == number]
    if not found:
        raise ProviderError(
            f"Commvault does not show job {number}",
            "it is not there yet, was removed, or the integration's user may not see it",
            "look at the job history",
            retryable=True,
        )
    return found[0]


def read_description(session: CommvaultSession, job: int) -> str:
    """Return the description that a job was started with; empty when its order shows none."""
    return session.get(f"/Job/{job}/TaskDetails", TaskDetails, f"reading the order of job {job}").description


def jobs_of_clients(
    session: CommvaultSession, clients: Sequence[int], window: timedelta, *, active: bool = False
) -> Iterator[Job]:
    """Yield the backup jobs of clients that run or ended within the window, newest first; no client: of all of them.

    The window counts from the server's own time. Raises ProviderError when there are too many.
    """
    seen: set[int] = set()
    for page in range(MOST_PAGES):
        listed = session.ask("/Jobs", _question(clients, window, page * PAGE_JOBS, active=active), JobList, "reading the jobs")
        for row in listed.rows:
            if row.job.id not in seen:
                seen.add(row.job.id)
                yield row.job
        if (page + 1) * PAGE_JOBS >= listed.total:
            return
        if not listed.rows:
            raise ProviderError("Commvault shows fewer jobs than it counts", f"{len(seen)} of {listed.total}", "try again")
    raise ProviderError(
        "Commvault has too many jobs to look through",
        f"more than {MOST_PAGES * PAGE_JOBS}",
        "shorten lookup_window in the settings of the integration",
    )


def _question(clients: Sequence[int], window: timedelta, offset: int, *, active: bool) -> dict[str, object]:
    return {
        "scope": 1,
        "category": _ACTIVE if active else _ALL,
        "pagingConfig": {"sortDirection": 1, "sortField": "jobId", "offset": offset, "limit": PAGE_JOBS},
        "jobFilter": {
            "completedJobLookupTime": int(window.total_seconds()),
            "showAgedJobs": False,
            "hideAdminJobs": True,
            "clientList": [{"clientId": client} for client in clients],
            "jobTypeList": ["Backup"],
        },
    }


def own_jobs(session: CommvaultSession, clients: Sequence[int], window: timedelta) -> list[Job]:
    """Return the jobs that our own account started. Raises ProviderError when there are too many to look into."""
    mine = [job for job in jobs_of_clients(session, clients, window) if is_ours(job, session.users)]
    if len(mine) > MOST_READ:
        raise ProviderError(
            f"the account {session.user} started too many jobs",
            f"{len(mine)}; the order of each is read",
            "give Snaphold an account of its own, or shorten lookup_window",
        )
    return mine


def is_ours(job: Job, users: frozenset[str]) -> bool:
    """Return whether one of our account's names started a job; one that names nobody may be ours."""
    return not job.user.name or plain_name(job.user.name) in users


def find_by_mark(session: CommvaultSession, jobs: Sequence[Job], mark: Mark) -> str | None:
    """Return the one job among ours that was started with the mark, None when all are known to be others.

    Raises UnknownOutcomeError when there are several, or when one shows no description at all.
    """
    silent: list[int] = []
    found: list[int] = []
    for job in jobs:
        shown = read_description(session, job.id)
        if shown == mark.text:
            found.append(job.id)
        elif not shown:
            silent.append(job.id)
    if len(found) > 1:
        raise UnknownOutcomeError(
            f"{len(found)} jobs were started for the same step", f"jobs {', '.join(map(str, found))}", "decide which one counts"
        )
    if found:
        return str(found[0])
    if silent:
        raise silent_jobs("whether this backup was started already", silent)
    return None


def silent_jobs(what: str, jobs: Sequence[int]) -> UnknownOutcomeError:
    """Return the error for jobs of our account that show no description, so that they may be any of ours."""
    return UnknownOutcomeError(
        f"it is not known {what}",
        f"our account started jobs that show no description: {', '.join(map(str, jobs[:10]))}",
        "use an account of its own for Snaphold; if its own jobs show none, this Commvault cannot tell a repeat",
    )


def state_of(job: Job) -> tuple[JobState, Outcome | None]:
    """Return where a job stands. Only `Completed` without a failed file is a success; words that are not known run on."""
    status = job.status.lower().strip()
    if not any(word in status for word in _ENDS):
        return JobState.RUNNING, None
    if "killed" in status or "failed" in status:
        return JobState.FAILED, Outcome.FAILED
    whole = status == "completed" and not job.failed_files
    return JobState.DONE, Outcome.SUCCEEDED if whole else Outcome.PARTIAL


def findings_of(job: Job) -> tuple[str, ...]:
    """Return what a person should know about a job."""
    found: list[str] = []
    if job.status.lower() not in ("completed", "running"):
        found.append(f"Commvault's status: {job.status}")
    if job.pending_reason:
        found.append(f"pending: {job.pending_reason}")
    if job.failed_files:
        found.append(f"{job.failed_files} files failed")
    return tuple(found)


def _number(job: str) -> int:
    if not (job.isascii() and job.isdigit() and len(job) <= _DIGITS):
        raise InputError(f"{job!r} is not a job of Commvault", "its jobs are numbers", "name the job that backup.start told")
    return int(job)
