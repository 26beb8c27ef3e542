"""Starts, finds, watches and stops detached backup jobs.

Making the job's folder is the exactly-once point. The job process goes on when its starter dies; whoever asks next
launches a job whose starter died before the launch, and judges one whose process vanished.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import snaphold
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError, StorageError
from snaphold.providers.base import BackupOrder, JobState, JobStatus
from snaphold.providers.job_folder import JobFolder, JobOrder
from snaphold.providers.place import RepositoryPlace

if TYPE_CHECKING:
    from snaphold.providers.local_repository import LocalRepository

JOB_PATTERN = re.compile(r"JOB-[0-9a-f]{16}")
LAUNCH_LIMIT = 3
STOP_SECONDS = 60.0
_POLL_SECONDS = 0.05


def job_id(key: str, pool: str) -> str:
    """Return the id of the job for an idempotency key in a pool."""
    return f"JOB-{hashlib.sha256((key + pool).encode()).hexdigest()[:16]}"


def restore_point_id(asset: str, key: str) -> str:
    """Return the id of the restore point that a key leaves behind."""
    return f"RP-{asset}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def start_job(place: RepositoryPlace, order: BackupOrder) -> str:
    """Make the job's folder, launch its process and return its id. Raises StorageError when the folder cannot be made."""
    job = job_id(order.key, place.pool.name)
    folder = JobFolder(place.jobs / job)
    try:
        place.jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.path.mkdir(mode=0o700)
    except FileExistsError:
        pass  # Another starter came first, or one died right here: its job is ours.
    except OSError as error:
        raise StorageError(f"the job folder {folder.path} cannot be made", error.strerror, "check the state folder") from error
    folder.publish_order(JobOrder(job=job, pool=place.pool, base=str(place.base), state=str(place.state), order=order))
    _ensure_launched(folder)
    return job


def find_job(place: RepositoryPlace, key: str) -> str | None:
    """Return the job of a key, or None. One that was never launched is launched now."""
    folder = JobFolder(place.jobs / job_id(key, place.pool.name))
    if folder.order() is None:
        return None
    _ensure_launched(folder)
    return folder.path.name


def job_status(repository: LocalRepository, job: str) -> JobStatus:
    """Return where a job stands. Raises InputError when there is no such job.

    A process that vanished is settled here, once: its stored copy counts when there is one, else the job failed.
    """
    folder = _folder_of(repository.place, job)
    status = folder.status()
    if status and status.state is not JobState.RUNNING:
        return status
    lock = folder.try_lock()
    if lock is None:
        return status or JobStatus(job=job, state=JobState.RUNNING)
    try:
        status = folder.status()
        if status is None:
            return _launch(folder, lock)
        if status.state is JobState.RUNNING:
            from snaphold.providers.job_recovery import settle_vanished

            status = settle_vanished(repository, folder)
            folder.write_status(status)
        return status
    finally:
        os.close(lock)


def stop_job(place: RepositoryPlace, job: str) -> None:
    """End a job's process and its engine. Raises InputError (no such job) or ProviderError (it does not end).

    The lock is free when both are gone; a job that never began is marked as failed here.
    """
    folder = _folder_of(place, job)
    began = time.monotonic()
    told = False
    while time.monotonic() < began + 2 * STOP_SECONDS:
        lock = folder.try_lock()
        if lock is not None:
            try:
                if folder.status() is None:
                    folder.write_status(_failed(folder, "the job was cancelled before it began"))
            finally:
                os.close(lock)
            return
        process = folder.process()
        late = time.monotonic() > began + STOP_SECONDS
        if process is not None and (late or not told):
            told = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(_POLL_SECONDS)
    raise ProviderError(f"job {job} does not end", "its process or its engine ignores SIGKILL", "look at its storage")


def finished_restore_points(place: RepositoryPlace) -> list[RestorePoint]:
    """Return the restore points that this machine's jobs recorded for the incident in the pool."""
    found: list[RestorePoint] = []
    for path in sorted(place.jobs.glob("JOB-*")):
        status = JobFolder(path).status()
        point = status.restore_point if status else None
        if point and (point.incident, point.pool) == (place.incident, place.pool.name):
            found.append(point)
    return found


def _folder_of(place: RepositoryPlace, job: str) -> JobFolder:
    path = place.jobs / job
    if not JOB_PATTERN.fullmatch(job) or not path.is_dir():
        raise InputError(f"there is no job {job!r}", f"no such folder below {place.jobs}", "check the id that start returned")
    return JobFolder(path)


def _failed(folder: JobFolder, why: str) -> JobStatus:
    return JobStatus(job=folder.path.name, state=JobState.FAILED, outcome=Outcome.FAILED, findings=(why,))


def _ensure_launched(folder: JobFolder) -> None:
    lock = folder.try_lock()
    if lock is None:
        return
    try:
        if folder.status() is None:
            _launch(folder, lock)
    finally:
        os.close(lock)


def _launch(folder: JobFolder, lock: int) -> JobStatus:
    """Start the job process, which inherits the lock: there is no moment in which nobody holds it."""
    if folder.count_launch() > LAUNCH_LIMIT:
        why = f"its process ended {LAUNCH_LIMIT} times before it began: see {folder.path / 'stderr.log'}"
        status = _failed(folder, why)
        folder.write_status(status)
        return status
    packages = str(Path(snaphold.__file__).resolve().parents[1])
    search = os.pathsep.join(part for part in (packages, os.environ.get("PYTHONPATH", "")) if part)
    with (folder.path / "stderr.log").open("ab") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "snaphold.providers.job", str(folder.path), str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd="/",
            env={**os.environ, "PYTHONPATH": search},
            start_new_session=True,
            pass_fds=(lock,),
        )
    # Nobody waits for the job; a long-lived starter must still not collect dead processes.
    threading.Thread(target=child.wait, daemon=True).start()
    return JobStatus(job=folder.path.name, state=JobState.RUNNING)
