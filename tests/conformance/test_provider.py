"""What every provider with an engine on this machine must do, run against the real engines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, MissingToolError, ProviderError, SnapholdError
from snaphold.evidence.inventory import take_inventory
from snaphold.providers.base import JobState, JobStatus, Provider, Support, Verb
from snaphold.providers.job_folder import JobFolder, JobOrder
from snaphold.providers.jobs import job_id
from snaphold.providers.registry import product_names, provider_names
from support.backup_site import (
    ENGINES,
    INCIDENT,
    KEY,
    PASSWORD,
    Site,
    contents,
    engine_wrapper,
    finish,
    flip_byte,
    make_site,
    real_engine,
    small_storage,
)
from support.waiting import wait_for

pytestmark = pytest.mark.slow
SLOW_KIB, SLOW_MIB = 32, 20
"""An upload limit, and the size of a file that takes ten minutes under it: long enough to look at a running backup."""


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def site(engine: str, tmp_path: Path) -> Site:
    return make_site(tmp_path, engine)


@dataclass(frozen=True)
class Finished:
    """A site with one backup that ended well; tests that share it only read."""

    site: Site
    provider: Provider
    status: JobStatus

    @property
    def point(self) -> RestorePoint:
        assert self.status.restore_point
        return self.status.restore_point


@pytest.fixture(scope="module")
def finished(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    site = make_site(tmp_path_factory.mktemp(engine), engine, fresh=True)
    provider = site.provider()
    return Finished(site, provider, site.back_up(provider))


@pytest.fixture
def running(engine: str, tmp_path: Path) -> Generator[tuple[Site, Provider, str]]:
    """A backup that takes ten minutes, at work; it is cancelled in the end."""
    site = make_site(tmp_path, engine, upload_limit_kib=SLOW_KIB)
    (site.share / "big").write_bytes(os.urandom(SLOW_MIB * 1024 * 1024))
    provider = site.provider()
    job = provider.start(site.order(provider))
    until = time.monotonic() + 240
    while not engine_processes(site):
        assert provider.status(job).state is JobState.RUNNING
        assert time.monotonic() < until
        time.sleep(0.05)
    yield site, provider, job
    provider.cancel(job)


def engine_processes(site: Site) -> list[int]:
    """Return the processes of the engine that copy the share, found by their arguments."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(site.share) in words and any(word in (b"backup", b"copy") for word in words):
            found.append(int(path.parent.name))
    return found


def folder_of(site: Site, job: str) -> JobFolder:
    return JobFolder(site.configuration.state_folder / "jobs" / job)


def test_every_adapter_is_in_this_suite() -> None:
    assert set(provider_names()) - set(product_names()) == set(ENGINES)


def test_every_verb_is_declared_with_a_reason_where_it_is_not_whole(finished: Finished) -> None:
    description = finished.provider.describe()
    assert set(description.capabilities) == set(Verb)
    assert description.engine == finished.point.engine
    for verb, capability in description.capabilities.items():
        assert capability.support is Support.FULL or capability.detail, verb


def test_an_unsupported_verb_refuses_with_its_reason(finished: Finished) -> None:
    capabilities = finished.provider.describe().capabilities
    calls = {
        Verb.SET_SCHEDULE: lambda: finished.provider.set_schedule("files-01", 60),
        Verb.HOLD: lambda: finished.provider.hold(finished.point, "HOLD-1", on=True),
        Verb.PUBLISH: lambda: finished.provider.publish(finished.point, "case"),
        Verb.MARK_INFECTED: lambda: finished.provider.mark_infected(finished.point, "test"),
        Verb.SET_RETENTION: lambda: finished.provider.set_retention(finished.point, datetime.now(timezone.utc)),
    }
    for verb, capability in capabilities.items():
        if capability.support is Support.UNSUPPORTED:
            with pytest.raises(ProviderError) as refused:
                calls[verb]()
            assert refused.value.why == capability.detail


def test_a_backup_ends_with_a_restore_point_that_says_everything(finished: Finished, engine: str) -> None:
    assert (finished.status.state, finished.status.outcome, finished.status.findings) == (JobState.DONE, Outcome.SUCCEEDED, ())
    point = finished.point
    assert point.engine.startswith(engine)
    assert "key" in point.encryption
    assert point.consistency.startswith("crash-consistent")
    assert (point.key, point.pool, point.asset, point.incident) == (KEY, "isolated-01", "files-01", INCIDENT)
    assert (point.files, point.size) == (4, 6 + 256 * 300 + 8 + 10)


def test_the_restored_tree_equals_the_source(finished: Finished, tmp_path: Path) -> None:
    root = finished.provider.open_read_only(finished.point, tmp_path / "restored")
    assert contents(root / str(finished.site.share).lstrip("/")) == contents(finished.site.share)
    again = take_inventory([root / str(finished.site.share).lstrip("/")], tmp_path / "again.jsonl", base=root)
    assert again.sha256 == finished.point.inventory_sha256


def test_nothing_is_restored_over_what_is_there(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    with pytest.raises(InputError):
        finished.provider.open_read_only(finished.point, tmp_path)


def test_the_data_reads_back(finished: Finished) -> None:
    verification = finished.provider.verify(finished.point)
    assert (verification.outcome, verification.findings) == (Outcome.SUCCEEDED, ())


def test_the_restore_point_is_listed_once(finished: Finished) -> None:
    assert [point.id for point in finished.provider.restore_points()] == [finished.point.id]


def test_a_repeated_start_is_the_same_job(finished: Finished) -> None:
    assert finished.provider.start(finished.site.order(finished.provider)) == finished.status.job
    assert finished.provider.find_started(KEY) == finished.status.job
    assert len(finished.provider.restore_points()) == 1


def test_another_key_was_never_started(finished: Finished) -> None:
    assert finished.provider.find_started("INC-1/other/files-01/1") is None


def test_an_unknown_job_is_refused(finished: Finished) -> None:
    for name in ("JOB-0000000000000000", "../../etc"):
        with pytest.raises(InputError):
            finished.provider.status(name)


def test_the_pool_is_healthy_and_has_room(finished: Finished) -> None:
    assert finished.provider.check_health().fit
    capacity = finished.provider.capacity()
    assert capacity.total
    assert capacity.free
    assert capacity.total >= capacity.free


def test_a_second_backup_is_not_estimated_larger_than_the_source(finished: Finished) -> None:
    estimate = finished.provider.estimate(finished.provider.find_workload(finished.site.asset))
    assert 0 <= estimate.bytes <= finished.point.size
    assert estimate.method


def test_nothing_readable_is_stored(finished: Finished) -> None:
    stored = b"".join(path.read_bytes() for path in finished.site.repository.rglob("*") if path.is_file())
    assert b"odd name" not in stored
    assert b"a.txt" not in b"".join(os.fsencode(path) for path in finished.site.repository.rglob("*"))


def test_no_secret_is_in_the_job_folder(finished: Finished) -> None:
    for path in folder_of(finished.site, finished.status.job).path.iterdir():
        assert PASSWORD.encode() not in path.read_bytes(), path


def test_a_missing_source_is_named_before_anything_starts(finished: Finished) -> None:
    asset = finished.site.asset.model_copy(
        update={"protection": finished.site.asset.protection.model_copy(update={"paths": ("share", "gone")})}
    )
    with pytest.raises(ProviderError, match="gone"):
        finished.provider.find_workload(asset)


def test_a_pool_inside_its_own_source_is_refused(finished: Finished) -> None:
    asset = finished.site.asset.model_copy(
        update={"protection": finished.site.asset.protection.model_copy(update={"paths": (".",)})}
    )
    with pytest.raises(ProviderError, match="inside its source"):
        finished.provider.find_workload(asset)


def test_a_missing_engine_is_never_replaced_by_another(finished: Finished) -> None:
    provider = finished.site.provider(program="/nowhere/engine")
    with pytest.raises(MissingToolError) as missing:
        provider.start(finished.site.order(provider, "INC-1/x/files-01/1"))
    assert "install" in (missing.value.do or "")
    assert not provider.check_health().fit


def test_a_wrong_password_is_told_apart(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG", "not-the-password")
    health = finished.site.provider(password="env:WRONG").check_health()
    assert not health.fit
    assert "password does not open" in health.reasons[0]


def test_a_single_file_is_backed_up_and_restored(site: Site, tmp_path: Path) -> None:
    provider = site.provider()
    order = site.order(provider)
    only = order.model_copy(update={"workload": order.workload.model_copy(update={"paths": (str(site.share / "a.txt"),)})})
    status = finish(provider, provider.start(only))
    assert (status.outcome, status.findings) == (Outcome.SUCCEEDED, ())
    assert status.restore_point
    root = provider.open_read_only(status.restore_point, tmp_path / "restored")
    assert (root / str(site.share).lstrip("/") / "a.txt").read_text() == "hello\n"
    assert provider.verify(status.restore_point).outcome is Outcome.SUCCEEDED


def test_a_source_that_goes_away_before_the_copy_fails_the_job(site: Site) -> None:
    provider = site.provider()
    order = site.order(provider)
    (site.share / "a.txt").rename(site.folder / "a.txt")
    order = order.model_copy(
        update={"workload": order.workload.model_copy(update={"paths": (*order.workload.paths, str(site.share / "a.txt"))})}
    )
    status = finish(provider, provider.start(order))
    assert status.state is JobState.FAILED
    assert "went away" in status.findings[0]
    assert provider.restore_points() == []


def test_an_unreadable_file_makes_the_backup_partial(site: Site, engine: str) -> None:
    secret = site.share / "locked.txt"
    secret.write_text("nobody reads this")
    secret.chmod(0)
    # root reads everything: the engine is started without the right to.
    prefix = "setpriv --bounding-set=-dac_override,-dac_read_search" if os.geteuid() == 0 else ""
    status = site.back_up(site.provider(program=engine_wrapper(site.folder, engine, prefix=prefix)))
    assert (status.state, status.outcome) == (JobState.DONE, Outcome.PARTIAL)
    assert status.restore_point
    assert any("locked.txt" in finding for finding in status.findings)


def test_a_file_that_changes_during_the_copy_is_a_finding(site: Site, engine: str) -> None:
    change = f'case "$*" in *share*) echo more >> {site.share}/a.txt;; esac'
    status = site.back_up(site.provider(program=engine_wrapper(site.folder, engine, before=change)))
    assert (status.state, status.outcome) == (JobState.DONE, Outcome.PARTIAL)
    assert any("changed during the copy" in finding and "a.txt" in finding for finding in status.findings)


def test_a_flipped_byte_in_the_stored_data_is_found(site: Site, engine: str) -> None:
    (site.share / "noise").write_bytes(os.urandom(500_000))  # what cannot be compressed is stored as one large piece
    status = site.back_up()
    assert status.restore_point
    largest = max((path for path in site.repository.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    flip_byte(largest)
    if engine == "restic":
        argv = [real_engine(engine), "--no-cache", "-r", str(site.repository), "check"]
        plain = subprocess.run(argv, env={**os.environ, "RESTIC_PASSWORD": PASSWORD}, check=False, capture_output=True)
        assert plain.returncode == 0, "the trap: a plain check sees nothing wrong"
    verification = site.provider().verify(status.restore_point)
    assert verification.outcome is Outcome.FAILED
    assert verification.findings


def test_a_removed_restore_point_is_not_found_again(site: Site) -> None:
    provider = site.provider()
    status = site.back_up(provider)
    assert status.restore_point
    provider.delete(status.restore_point)
    assert provider.restore_points() == []
    with pytest.raises(ProviderError, match="not in the repository"):
        provider.verify(status.restore_point)


def test_a_full_disk_fails_the_job_and_says_so(engine: str, tmp_path: Path) -> None:
    with small_storage(tmp_path / "small", "2m") as small:
        site = make_site(tmp_path / "site", engine, location=str(small / "pool"))
        (site.share / "big").write_bytes(os.urandom(8 * 1024 * 1024))
        status = site.back_up()
        assert status.state is JobState.FAILED
        assert "full" in status.findings[0]
        assert status.restore_point is None


def test_read_only_storage_is_unfit_and_fails_the_job(engine: str, tmp_path: Path) -> None:
    with small_storage(tmp_path / "small", "8m") as small:
        site = make_site(tmp_path / "site", engine, location=str(small / "pool"))
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        provider = site.provider()
        health = provider.check_health()
        assert not health.fit
        assert "cannot be written" in health.reasons[0]
        status = site.back_up(provider)
        assert status.state is JobState.FAILED
        assert "cannot be made" in status.findings[0]


def test_the_password_is_in_no_argument_of_a_running_backup(running: tuple[Site, Provider, str]) -> None:
    site, provider, job = running
    seen = 0
    until = time.monotonic() + 240
    while seen < 100 and time.monotonic() < until:
        for process in engine_processes(site):
            try:
                assert PASSWORD.encode() not in Path(f"/proc/{process}/cmdline").read_bytes()
            except OSError:
                continue
            seen += 1
    assert seen
    assert provider.status(job).state is JobState.RUNNING


def test_the_progress_of_a_running_backup_shows(running: tuple[Site, Provider, str]) -> None:
    _site, provider, job = running
    wait_for(lambda: provider.status(job).bytes_total)
    assert provider.status(job).bytes_total > SLOW_MIB * 1024 * 1024


def test_a_cancelled_backup_has_failed_and_its_engine_is_gone(running: tuple[Site, Provider, str]) -> None:
    site, provider, job = running
    status = provider.cancel(job)
    assert (status.state, status.outcome) == (JobState.FAILED, Outcome.FAILED)
    assert "cancelled" in status.findings[0]
    wait_for(lambda: engine_processes(site) == [])


def test_a_job_process_that_is_killed_has_failed(running: tuple[Site, Provider, str]) -> None:
    site, provider, job = running
    process = folder_of(site, job).process()
    assert process
    os.kill(process, signal.SIGKILL)
    status = finish(provider, job)
    assert (status.state, status.outcome) == (JobState.FAILED, Outcome.FAILED)
    assert "vanished" in status.findings[0]
    wait_for(lambda: engine_processes(site) == [])
    assert provider.start(site.order(provider)) == job, "a repeat does not start a second backup under the key"


def test_a_job_that_died_after_its_copy_was_stored_is_partial(site: Site) -> None:
    provider = site.provider()
    status = site.back_up(provider)
    folder_of(site, status.job).write_status(JobStatus(job=status.job, state=JobState.RUNNING))
    settled = finish(provider, status.job)
    assert (settled.state, settled.outcome) == (JobState.DONE, Outcome.PARTIAL)
    assert settled.restore_point
    assert status.restore_point
    assert settled.restore_point.reference == status.restore_point.reference
    assert provider.status(status.job) == settled


def test_the_job_goes_on_when_its_starter_is_killed(site: Site) -> None:
    provider = site.provider()
    order = site.folder / "order.json"
    order.write_text(site.order(provider).model_dump_json())
    code = (
        "import os, signal, sys; from pathlib import Path; from snaphold.config import Configuration;"
        "from snaphold.clock import SystemClock; from snaphold.providers.base import BackupOrder;"
        "from snaphold.providers.registry import open_provider;"
        "configuration = Configuration.model_validate_json(sys.argv[1]).placed_at(Path(sys.argv[2]));"
        "provider = open_provider(configuration.pools[0], configuration, sys.argv[3], SystemClock());"
        "provider.start(BackupOrder.model_validate_json(Path(sys.argv[4]).read_text()));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    argv = [sys.executable, "-c", code, site.configuration.model_dump_json(), str(site.folder), INCIDENT, str(order)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == -signal.SIGKILL, done.stderr
    job = job_id(KEY, "isolated-01")
    assert provider.find_started(KEY) == job
    assert finish(provider, job).outcome is Outcome.SUCCEEDED
    assert len(provider.restore_points()) == 1


@pytest.mark.parametrize("left", ["folder", "order"])
def test_a_job_that_was_made_but_never_launched_is_launched_by_whoever_asks_next(site: Site, left: str) -> None:
    provider = site.provider()
    order = site.order(provider)
    folder = folder_of(site, job_id(KEY, "isolated-01"))
    folder.path.mkdir(parents=True)
    if left == "order":
        state = site.configuration.state_folder
        folder.publish_order(JobOrder(job=folder.path.name, pool=site.pool, base=str(site.folder), state=str(state), order=order))
        assert provider.find_started(KEY) == folder.path.name
    else:
        assert provider.find_started(KEY) is None
        assert provider.start(order) == folder.path.name
    assert finish(provider, folder.path.name).outcome is Outcome.SUCCEEDED


def test_starters_that_race_start_one_job(site: Site) -> None:
    provider = site.provider()
    order = site.order(provider)
    gate = threading.Barrier(6)
    jobs: list[str] = []

    def begin() -> None:
        gate.wait()
        jobs.append(provider.start(order))

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs) == 6
    assert len(set(jobs)) == 1
    assert finish(provider, jobs[0]).outcome is Outcome.SUCCEEDED
    assert len(provider.restore_points()) == 1
    log = (folder_of(site, jobs[0]).path / "log.jsonl").read_text()
    assert log.count('"started"') == 1


def test_two_first_backups_at_once_share_one_repository(engine: str, tmp_path: Path) -> None:
    site = make_site(tmp_path, engine, fresh=True)
    provider = site.provider()
    keys = [f"INC-1/wave/files-01/{number}" for number in (1, 2)]
    jobs = [provider.start(site.order(provider, key)) for key in keys]
    assert [finish(provider, job).outcome for job in jobs] == [Outcome.SUCCEEDED] * 2
    assert {point.key for point in provider.restore_points()} == set(keys)


def test_a_job_whose_process_never_begins_fails_after_three_launches(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = site.provider(program=real_engine(site.pool.provider))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job = provider.start(site.order(provider))
    status = finish(provider, job)
    assert status.state is JobState.FAILED
    assert "before it began" in status.findings[0]


def test_the_storage_refuses_nothing_that_the_capabilities_promise(site: Site) -> None:
    provider = site.provider()
    status = site.back_up(provider)
    point = status.restore_point
    assert point
    if provider.describe().capabilities[Verb.HOLD].support is Support.UNSUPPORTED:
        return
    held = provider.hold(provider.hold(point, "HOLD-1", on=True), "HOLD-2", on=True)
    assert held.reference != point.reference
    assert point.reference in held.former_references
    assert provider.hold(held, "HOLD-2", on=True) == held, "placing it again changes nothing"
    assert [known.reference for known in provider.restore_points()] == [held.reference], "the former reference still finds it"
    for release in ("HOLD-1", "HOLD-2"):
        with pytest.raises(SnapholdError, match="cannot be deleted"):
            provider.delete(point)
        held = provider.hold(held, release, on=False)
    kept = provider.set_retention(held, datetime.now(timezone.utc) + timedelta(days=1))
    with pytest.raises(SnapholdError, match="cannot be deleted"):
        provider.delete(kept)
    provider.set_retention(kept, datetime.now(timezone.utc) - timedelta(seconds=1))
    provider.delete(point)
    assert provider.restore_points() == []
