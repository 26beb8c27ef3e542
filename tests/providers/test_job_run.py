"""What a job does around the copy, with an engine and an application that only pretend."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.asset import Application
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import QuiesceEvent
from snaphold.errors import ProviderError
from snaphold.evidence.inventory import read_inventory
from snaphold.providers import job_recovery
from snaphold.providers.base import BackupOrder, JobState, JobStatus, Workload
from snaphold.providers.job_folder import JobFolder, JobJournal, JobOrder
from snaphold.providers.job_run import run_job
from snaphold.providers.local_repository import Copied, CopyOrder, LocalRepository
from snaphold.providers.source import count_inventory, path_of
from snaphold.quiesce import registry
from snaphold.quiesce.base import FreezeError, FreezeToken, QuiesceCheck, QuiesceDescription, QuiesceKind, Thaw
from support.backup_site import make_site

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)


class PretendedEngine:
    """Stores nothing and says that it stored everything; `during` runs while it copies."""

    def __init__(self) -> None:
        self.copied: list[Path] = []
        self.excluded: list[Path] = []
        self.during: Callable[[], None] = lambda: None
        self.missing_files = 0
        self.stored: Copied | None = None

    def prepare(self, keep_open: Sequence[int] = ()) -> str:
        return "pretended, key 1"

    def engine(self) -> str:
        return "pretended 1.0"

    def repository_exists(self) -> bool:
        return True

    def find_copy(self, key: str, job: str) -> Copied | None:
        return self.stored

    def copy(self, order: CopyOrder) -> Copied:
        self.copied, self.excluded = list(order.sources), list(order.excluded)
        self.during()
        counted = count_inventory(order.inventory)
        return Copied("snapshot-1", counted.files - self.missing_files, counted.bytes, complete=True)


class PretendedQuiescer:
    """Freezes nothing and writes down the order of calls."""

    def __init__(self, clock: FixedClock, kind: QuiesceKind) -> None:
        self.clock, self.kind = clock, kind
        self.calls: list[str] = []
        self.ready = True
        self.thaw_valid = True
        self.freeze_fails = False

    def describe(self) -> QuiesceDescription:
        return QuiesceDescription(name="pretended", kind=self.kind, proved_on="nothing")

    def check(self, application: Application, base: Path) -> QuiesceCheck:
        self.calls.append("check")
        return QuiesceCheck(ready=self.ready, version="9", reasons=() if self.ready else ("writer stuck",))

    def freeze(self, application: Application, base: Path, staging: Path) -> FreezeToken:
        self.calls.append("freeze")
        if self.freeze_fails:
            raise FreezeError("not frozen", "busy", "wait", log=(QuiesceEvent(at=self.clock.now(), event="thawed_at"),))
        (staging / "copy.db").write_text("consistent")
        deadline = self.clock.now() + application.freeze_deadline
        paths = (str(staging / "copy.db"),) if self.kind is QuiesceKind.ONLINE else (str(base / application.location),)
        return FreezeToken(id="F1", frozen_at=self.clock.now(), deadline=deadline, copy_paths=paths)

    def evidence(self, token: FreezeToken) -> list[QuiesceEvent]:
        return [QuiesceEvent(at=token.frozen_at, event="frozen_at")]

    def thaw(self, token: FreezeToken) -> Thaw:
        self.calls.append("thaw")
        return Thaw(at=self.clock.now(), reason="released" if self.thaw_valid else "deadline", valid=self.thaw_valid)


class Bench:
    """A job folder and the two pretenders."""

    def __init__(self, folder: Path, kind: QuiesceKind, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FixedClock(NOW)
        self.engine = PretendedEngine()
        self.quiescer = PretendedQuiescer(self.clock, kind)
        monkeypatch.setattr(registry, "open_quiescer", self.open)
        site = make_site(folder, "rclone")
        (site.share / "app.db").write_text("live")
        (site.share / "app.db-wal").write_text("journal")
        application = Application(quiesce="pretended", location="share/app.db", freeze_deadline=timedelta(seconds=60))
        workload = Workload(asset="files-01", paths=(str(site.share),), application=application)
        order = BackupOrder(key="INC-1/s/files-01/1", incident="INC-1", workload=workload)
        state = site.configuration.state_folder
        self.order = JobOrder(job="JOB-0123456789abcdef", pool=site.pool, base=str(folder), state=str(state), order=order)
        self.folder = JobFolder(state / "jobs" / self.order.job)
        self.folder.path.mkdir(parents=True)
        self.folder.publish_order(self.order)
        self.share = site.share
        self.journal = JobJournal(self.folder, self.clock)

    def open(self, _name: str) -> PretendedQuiescer:
        return self.quiescer

    @property
    def repository(self) -> LocalRepository:
        return cast("LocalRepository", cast("Any", self.engine))

    def run(self) -> JobStatus:
        return run_job(self.order, self.repository, self.folder, self.journal, keep_open=())


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, QuiesceKind.ONLINE, monkeypatch)


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, QuiesceKind.FILESYSTEM, monkeypatch)


def test_the_copy_lies_between_freeze_and_thaw(frozen: Bench) -> None:
    frozen.engine.during = lambda: frozen.quiescer.calls.append("copy")
    status = frozen.run()
    assert frozen.quiescer.calls == ["check", "freeze", "copy", "thaw"]
    assert status.outcome is Outcome.SUCCEEDED
    events = [line.event for line in status.quiesce_log]
    assert events == ["health", "freeze_requested", "copy_begin", "copy_end", "frozen_at", "thawed_at"] or events[0] == "health"
    assert status.restore_point
    assert status.restore_point.consistency == "application-consistent (pretended 9, filesystem)"


def test_an_online_copy_replaces_the_live_files_and_is_removed_afterwards(online: Bench) -> None:
    status = online.run()
    assert online.engine.copied == [online.share, online.folder.staging / "copy.db"]
    assert {path.name for path in online.engine.excluded} >= {"app.db", "app.db-wal"}
    names = {path_of(entry).name for entry in read_inventory(online.folder.inventory)}
    assert {"app.db", "app.db-wal"} & names == set()
    assert {"copy.db", "a.txt", "deep"} <= names
    assert not online.folder.staging.exists()
    assert status.restore_point
    begun = next(line for line in status.quiesce_log if line.event == "copy_begin")
    assert json.loads(begun.detail) == [str(online.folder.staging / "copy.db")]


def test_an_application_that_is_not_ready_is_not_copied_at_all(frozen: Bench) -> None:
    frozen.quiescer.ready = False
    with pytest.raises(ProviderError, match="consistent state") as refused:
        frozen.run()
    assert refused.value.why == "writer stuck"
    assert frozen.engine.copied == []
    assert frozen.journal.facts.quiesce_log[0].detail == "writer stuck"


def test_a_freeze_that_fails_leaves_its_log(frozen: Bench) -> None:
    frozen.quiescer.freeze_fails = True
    with pytest.raises(FreezeError):
        frozen.run()
    assert [line.event for line in frozen.journal.facts.quiesce_log] == ["health", "freeze_requested", "thawed_at"]
    assert frozen.engine.copied == []


def test_an_engine_that_fails_is_followed_by_a_thaw(frozen: Bench) -> None:
    def fail() -> None:
        raise ProviderError("disk broke")

    frozen.engine.during = fail
    with pytest.raises(ProviderError, match="disk broke"):
        frozen.run()
    assert frozen.quiescer.calls[-1] == "thaw"


def test_a_copy_that_outlasts_the_deadline_is_invalid(frozen: Bench) -> None:
    frozen.engine.during = lambda: frozen.clock.advance(61)
    with pytest.raises(ProviderError, match="invalid"):
        frozen.run()
    assert frozen.quiescer.calls[-1] == "thaw"


def test_a_thaw_that_came_early_makes_the_copy_invalid(online: Bench) -> None:
    online.quiescer.thaw_valid = False
    with pytest.raises(ProviderError, match="invalid"):
        online.run()


def test_an_engine_that_stored_less_than_the_inventory_is_partial(online: Bench) -> None:
    online.engine.missing_files = 1
    status = online.run()
    assert (status.state, status.outcome) == (JobState.DONE, Outcome.PARTIAL)
    assert "the source inventory counts" in status.findings[0]


def test_a_source_that_is_gone_stops_the_job_before_the_freeze(frozen: Bench) -> None:
    frozen.share.rename(frozen.share.with_name("moved"))
    with pytest.raises(ProviderError, match="went away"):
        frozen.run()
    assert frozen.quiescer.calls == []


def test_a_vanished_job_that_stored_nothing_has_failed(frozen: Bench) -> None:
    status = job_recovery.settle_vanished(frozen.repository, frozen.folder)
    assert (status.state, status.outcome) == (JobState.FAILED, Outcome.FAILED)


def test_a_vanished_job_whose_freeze_is_not_shown_to_have_lasted_has_failed(frozen: Bench) -> None:
    frozen.engine.stored = Copied("snapshot-1", 1, 1, complete=True)
    frozen.journal.learn(taken_at=NOW, frozen=True, inventory_sha256="x")
    frozen.journal.note_quiesce("copy_begin")
    status = job_recovery.settle_vanished(frozen.repository, frozen.folder)
    assert status.state is JobState.FAILED
    assert "freeze lasted" in status.findings[0]


def test_a_vanished_job_without_an_inventory_has_failed(frozen: Bench) -> None:
    frozen.engine.stored = Copied("snapshot-1", 1, 1, complete=True)
    status = job_recovery.settle_vanished(frozen.repository, frozen.folder)
    assert status.state is JobState.FAILED
    assert "no source inventory" in status.findings[0]


def test_the_first_published_order_counts(frozen: Bench) -> None:
    other = frozen.order.model_copy(update={"base": "/elsewhere"})
    frozen.folder.publish_order(other)
    kept = frozen.folder.order()
    assert kept
    assert kept.base == frozen.order.base


def test_the_order_file_holds_references_and_no_secret(frozen: Bench) -> None:
    text = (frozen.folder.path / "order.json").read_text()
    assert "file:keys/pool" in text
    assert "correct-horse-battery" not in text
