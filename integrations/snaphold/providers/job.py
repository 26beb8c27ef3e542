"""The process of one detached backup job: `python -m snaphold.providers.job FOLDER [LOCK]`.

LOCK is the file descriptor of the job's lock, inherited from the starter; without it the process takes the lock
itself, and ends when another one holds it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from snaphold.clock import SystemClock
from snaphold.domain.outcome import Outcome
from snaphold.errors import EXIT_DONE, EXIT_FAILED, SnapholdError
from snaphold.providers.base import JobState, JobStatus
from snaphold.providers.job_folder import JobFolder, JobJournal
from snaphold.providers.job_run import run_job
from snaphold.providers.registry import open_local
from snaphold.secrets import redact


class JobStoppedError(SnapholdError):
    """Somebody cancelled the job."""


def main(argv: Sequence[str]) -> int:
    """Do the job of a folder once and return 0 when it left a result, 1 when it failed."""
    if not argv:
        raise SystemExit("usage: python -m snaphold.providers.job FOLDER [LOCK]")
    folder = JobFolder(Path(argv[0]).resolve())
    lock = int(argv[1]) if len(argv) > 1 else folder.try_lock()
    if lock is None or folder.status() is not None:
        return EXIT_DONE  # Another process is at it, or was: a backup is never made twice.
    signal.signal(signal.SIGTERM, _stop)
    journal = JobJournal(folder, SystemClock())
    journal.begin()
    try:
        status = _do(folder, journal, lock)
        # The copy is whole: a cancel that comes now comes too late. It would leave it without its status.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except SnapholdError as error:
        status = _failed(folder, journal, _sentence(error))
    except BaseException as error:
        journal.end(_failed(folder, journal, f"the job ended by an unforeseen fault: {type(error).__name__}"))
        raise
    journal.end(status)
    return EXIT_FAILED if status.state is JobState.FAILED else EXIT_DONE


def _do(folder: JobFolder, journal: JobJournal, lock: int) -> JobStatus:
    order = folder.order()
    if order is None:
        raise SnapholdError("the job has no order", f"{folder.path} holds no order.json")
    return run_job(order, open_local(order.place, journal.clock), folder, journal, keep_open=(lock,))


def _failed(folder: JobFolder, journal: JobJournal, why: str) -> JobStatus:
    return JobStatus(
        job=folder.path.name,
        state=JobState.FAILED,
        outcome=Outcome.FAILED,
        quiesce_log=journal.facts.quiesce_log,
        findings=(redact(why),),
    )


def _sentence(error: SnapholdError) -> str:
    return "; ".join(part for part in (error.what, error.why, error.do) if part)


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise JobStoppedError("the job was cancelled")


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
