"""The process of one backup job: what a cancel does to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.domain.outcome import Outcome
from snaphold.providers import job
from snaphold.providers.base import JobState, JobStatus
from snaphold.providers.job_folder import JobFolder, JobJournal


@pytest.fixture
def _signals_as_before() -> Generator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("_signals_as_before")
def test_a_cancel_that_comes_when_the_copy_is_whole_leaves_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = JobFolder(tmp_path / "JOB-0000000000000000")
    folder.path.mkdir()
    whole = JobStatus(job=folder.path.name, state=JobState.DONE, outcome=Outcome.SUCCEEDED)

    def do(*_: object) -> JobStatus:
        return whole

    def end(journal: JobJournal, status: JobStatus) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        journal.folder.write_status(status)

    monkeypatch.setattr(job, "_do", do)
    monkeypatch.setattr(JobJournal, "end", end)
    assert job.main([str(folder.path)]) == 0
    assert folder.status() == whole


@pytest.mark.usefixtures("_signals_as_before")
def test_a_cancel_in_the_middle_fails_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = JobFolder(tmp_path / "JOB-0000000000000000")
    folder.path.mkdir()

    def do(*_: object) -> JobStatus:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the cancel was not heard")

    monkeypatch.setattr(job, "_do", do)
    assert job.main([str(folder.path)]) == 1
    status = folder.status()
    assert status is not None
    assert (status.state, status.findings) == (JobState.FAILED, ("the job was cancelled",))
