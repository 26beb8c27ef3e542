from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from snaphold.actions.backup import (
    BackupProgress,
    BackupStatus,
    BackupVerified,
    CheckCapacity,
    CheckHealth,
    StartBackup,
    VerifyBackup,
    check_capacity,
    check_health,
    start,
    status,
    verify,
)
from snaphold.clock import SystemClock
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import CapacityError, InputError, MissingToolError, ProviderError
from snaphold.providers.base import JobState
from snaphold.providers.choice import Storage, wants_full
from support.backup_site import ENGINES, PASSWORD, Site, finish, flip_byte, make_site, real_engine
from support.incident_context import RegisterOnlyLedger, make_configuration, make_context
from support.quiesce_rigs import bank_application, live_bank

HUGE = 0.9999999
"""A reserve that leaves no room on any disk."""


def two_pools(folder: Path, engine: str = "rclone", **first: Any) -> Site:
    pool = {"provider": engine, "password": "file:keys/pool", "reserve": 0}
    pools = [
        {**pool, "name": "first", "location": "pools/first", **first},
        {**pool, "name": "second", "location": "pools/second"},
    ]
    routes = [{"tiers": ["T1"], "primary": "first", "alternate": "second"}]
    return make_site(folder, engine, fresh=True, document={"pools": pools, "routes": routes})


def context_of(site: Site, *records: RestorePoint, **changes: Any) -> Context:
    given = {"key": "INC-1/snapshot_wave.start/files-01/1", "clock": SystemClock(), **changes}
    return make_context(*records, configuration=site.configuration, **given)


def finished(context: Context, asset: str = "files-01") -> BackupProgress:
    """Start a backup, wait for it, and put its restore point into the context's register."""
    started = start(StartBackup(asset=asset), context)
    finish(context.provider(started.pool), started.job)
    found = status(BackupStatus(asset=asset, pool=started.pool, job=started.job), context)
    assert isinstance(context.ledger, RegisterOnlyLedger)
    context.ledger.kept += context.staged
    context.staged.clear()
    return found


def proved(context: Context, restore_point: str) -> BackupVerified:
    result = verify(VerifyBackup(restore_point=restore_point), context)
    scratch = context.configuration.state_folder / "scratch"
    assert list(scratch.iterdir()) == [], "the restored copy is removed"
    return result


def test_the_numbers_of_the_capacity_check_add_up(tmp_path: Path) -> None:
    site = two_pools(tmp_path)
    result = check_capacity(CheckCapacity(assets=["files-01"]), context_of(site))
    assert (result.fits, result.pools, result.rerouted) == (True, ["files-01=first"], [])
    assert result.needed_bytes == 6 + 256 * 300 + 8 + 10
    assert result.free_bytes > result.needed_bytes
    assert result.reserve_bytes == 0


@pytest.mark.slow
def test_a_full_primary_gives_way_to_the_alternate_with_numbers(tmp_path: Path) -> None:
    site = two_pools(tmp_path, reserve=HUGE)
    context = context_of(site)
    checked = check_capacity(CheckCapacity(assets=["files-01"]), context)
    assert checked.pools == ["files-01=second"]
    assert "too full: needed" in checked.rerouted[0]
    started = start(StartBackup(asset="files-01"), context)
    assert started.pool == "second"
    assert "too full" in started.findings[0]
    finish(context.provider("second"), started.job)


def test_a_compromised_primary_gives_way_to_the_alternate(tmp_path: Path) -> None:
    site = two_pools(tmp_path, compromised=True)
    checked = check_capacity(CheckCapacity(assets=["files-01"]), context_of(site))
    assert checked.pools == ["files-01=second"]
    assert "compromised" in checked.rerouted[0]


def test_no_room_anywhere_is_refused_with_needed_free_and_reserve(tmp_path: Path) -> None:
    context = context_of(make_site(tmp_path, "rclone", reserve=HUGE))
    checked = check_capacity(CheckCapacity(assets=["files-01"]), context)
    assert not checked.fits
    assert checked.findings
    with pytest.raises(CapacityError) as refused:
        start(StartBackup(asset="files-01"), context)
    for word in ("needed", "free", "reserve"):
        assert word in (refused.value.why or "")
    assert not (context.configuration.state_folder / "jobs").exists()


def test_a_chosen_pool_has_no_alternate(tmp_path: Path) -> None:
    context = context_of(two_pools(tmp_path, compromised=True))
    with pytest.raises(ProviderError, match="no pool"):
        start(StartBackup(asset="files-01", pool="first"), context)
    with pytest.raises(InputError, match="no pool 'frist'"):
        start(StartBackup(asset="files-01", pool="frist"), context)


def test_a_missing_engine_is_said_and_no_other_pool_is_taken(tmp_path: Path) -> None:
    context = context_of(two_pools(tmp_path, program="/nowhere/rclone"))
    with pytest.raises(MissingToolError, match="rclone"):
        start(StartBackup(asset="files-01"), context)
    health = check_health(CheckHealth(assets=["files-01"]), context)
    assert health.healthy, "the alternate pool makes up for it"
    assert "not installed" in health.reasons[0]


def test_health_names_missing_sources_and_applications_that_are_not_ready(tmp_path: Path) -> None:
    site = make_site(tmp_path, "rclone")
    (site.share / "app.db").write_text("no database")
    broken = site.asset.model_copy(update={"application": bank_application(location="share/app.db")})
    gone = site.asset.model_copy(update={"id": "gone", "protection": site.asset.protection.model_copy(update={"paths": ("x",)})})
    configuration = site.configuration.model_copy(update={"assets": (broken, gone)}).placed_at(tmp_path)
    health = check_health(CheckHealth(assets=["files-01", "gone"]), context_of(Site(tmp_path, configuration)))
    assert not health.healthy
    assert any("files-01" in reason for reason in health.reasons)
    assert any("does not exist" in reason for reason in health.reasons)


def test_an_unknown_asset_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        start(StartBackup(asset="files-1"), context_of(make_site(tmp_path, "rclone")))
    assert 'did you mean "files-01"?' in (refused.value.why or "")


@pytest.mark.slow
def test_a_repeat_finds_the_job_in_the_pool_that_was_chosen_first(tmp_path: Path) -> None:
    site = two_pools(tmp_path)
    context = context_of(site)
    first = start(StartBackup(asset="files-01"), context)
    pools = (site.configuration.pools[0].model_copy(update={"compromised": True}), site.configuration.pools[1])
    later = Site(tmp_path, site.configuration.model_copy(update={"pools": pools}).placed_at(tmp_path))
    again = start(StartBackup(asset="files-01"), context_of(later))
    assert (again.pool, again.job) == (first.pool, first.job)
    finish(context.provider(first.pool), first.job)


@pytest.mark.slow
def test_the_restore_point_is_registered_once_the_job_is_done(tmp_path: Path) -> None:
    context = context_of(make_site(tmp_path, "rclone"))
    started = start(StartBackup(asset="files-01"), context)
    asked = BackupStatus(asset="files-01", pool=started.pool, job=started.job)
    first = status(asked, context)
    if first.state is JobState.RUNNING:
        assert (first.outcome, first.backup_outcome, first.restore_point) == (Outcome.SUCCEEDED, "", "")
        assert context.staged == []
    context.staged.clear()
    finish(context.provider(started.pool), started.job)
    done = status(asked, context)
    assert (done.state, done.backup_outcome) == (JobState.DONE, "succeeded")
    (point,) = context.staged
    assert isinstance(point, RestorePoint)
    assert point.id == done.restore_point
    registered = context_of(Site(tmp_path, context.configuration), point)
    status(asked, registered)
    assert registered.staged == [], "what is in the register already, perhaps verified, is not written over"
    with pytest.raises(InputError, match="not a backup of other"):
        status(asked.model_copy(update={"asset": "other"}), context)


def test_a_failed_job_is_a_failed_outcome(tmp_path: Path) -> None:
    site = make_site(tmp_path, "rclone")
    context = context_of(site)
    started = start(StartBackup(asset="files-01"), context)
    context.provider(started.pool).cancel(started.job)  # whatever had happened by then
    found = status(BackupStatus(asset="files-01", pool=started.pool, job=started.job), context)
    assert (found.state, found.outcome) in {(JobState.FAILED, Outcome.FAILED), (JobState.DONE, Outcome.SUCCEEDED)}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_share_is_proved_and_the_register_says_so(tmp_path: Path, engine: str) -> None:
    context = context_of(make_site(tmp_path, engine))
    result = proved(context, finished(context).restore_point)
    assert (result.outcome, result.verified) == (Outcome.SUCCEEDED, True)
    assert [text.split(":")[0] for text in result.checks] == ["passed"] * 3
    assert any("no consistency query applies" in finding for finding in result.findings)
    (point,) = context.staged
    assert isinstance(point, RestorePoint)
    assert point.verified_at
    assert "read back" in point.verification


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_flipped_byte_in_the_repository_is_not_verified(tmp_path: Path, engine: str) -> None:
    site = make_site(tmp_path, engine)
    (site.share / "noise").write_bytes(os.urandom(500_000))
    context = context_of(site)
    found = finished(context)
    flip_byte(max((path for path in site.repository.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size))
    result = proved(context, found.restore_point)
    assert (result.outcome, result.verified) == (Outcome.FAILED, False)
    assert any(text.startswith("failed: read back") for text in result.checks)
    (point,) = context.staged
    assert isinstance(point, RestorePoint)
    assert point.verified_at is None


@pytest.fixture
def bank(tmp_path: Path) -> Generator[Site]:
    """A site whose asset is a SQLite application that never stops writing."""
    site = make_site(tmp_path, "rclone")
    with live_bank(site.share):
        asset = site.asset.model_copy(update={"application": bank_application(location="share/bank.db")})
        yield Site(tmp_path, site.configuration.model_copy(update={"assets": (asset,)}).placed_at(tmp_path))


@pytest.mark.slow
def test_a_live_application_is_backed_up_and_its_invariant_holds_in_the_restored_copy(bank: Site) -> None:
    context = context_of(bank)
    found = finished(context)
    assert found.backup_outcome == "succeeded", found.findings
    result = proved(context, found.restore_point)
    assert result.verified, result.checks
    assert any(text.startswith("passed: consistency: ") for text in result.checks)
    (point,) = context.staged
    assert isinstance(point, RestorePoint)
    assert point.consistency.startswith("application-consistent (sqlite")
    events = [line.event for line in point.quiesce_log]
    assert events.index("frozen_at") < events.index("copy_begin") < len(events) - events[::-1].index("copy_end") <= len(events)
    assert events[0] == "health"


@pytest.mark.slow
def test_a_restored_application_with_a_false_answer_is_not_verified(bank: Site) -> None:
    context = context_of(bank)
    found = finished(context)
    wrong = bank.asset.model_copy(update={"application": bank_application(location="share/bank.db", expected="0|0")})
    configuration = bank.configuration.model_copy(update={"assets": (wrong,)}).placed_at(bank.folder)
    assert isinstance(context.ledger, RegisterOnlyLedger)
    later = context_of(Site(bank.folder, configuration), *context.ledger.records(RestorePoint))
    result = proved(later, found.restore_point)
    assert not result.verified
    assert any(text.startswith("failed: consistency") for text in result.checks)


@pytest.mark.slow
def test_an_application_without_a_consistency_query_is_said(bank: Site) -> None:
    silent = bank.asset.model_copy(
        update={"application": bank_application(location="share/bank.db", consistency_query="", expected="")}
    )
    context = context_of(Site(bank.folder, bank.configuration.model_copy(update={"assets": (silent,)}).placed_at(bank.folder)))
    result = proved(context, finished(context).restore_point)
    assert result.verified
    assert any("no consistency query is configured" in finding for finding in result.findings)


@pytest.mark.slow
def test_a_changed_source_inventory_proves_nothing(tmp_path: Path) -> None:
    context = context_of(make_site(tmp_path, "rclone"))
    found = finished(context)
    (point,) = context.ledger.records(RestorePoint)
    with Path(point.inventory).open("a") as stream:
        stream.write("\n")
    result = proved(context, found.restore_point)
    assert not result.verified
    assert any("inventory was changed" in text for text in result.checks)


@pytest.mark.slow
def test_files_that_changed_during_the_copy_are_known_gaps(tmp_path: Path) -> None:
    from support.backup_site import engine_wrapper

    site = make_site(tmp_path, "rclone")
    change = f'case "$*" in *copy*share*) echo more >> {site.share}/a.txt;; esac'
    pool = site.pool.model_copy(update={"program": engine_wrapper(tmp_path, "rclone", before=change)})
    context = context_of(Site(tmp_path, site.configuration.model_copy(update={"pools": (pool,)}).placed_at(tmp_path)))
    found = finished(context)
    assert found.backup_outcome == "partial"
    result = proved(context, found.restore_point)
    assert result.verified
    assert result.outcome is Outcome.PARTIAL
    assert any("changed during the copy" in finding and "a.txt" in finding for finding in result.findings)
    (point,) = context.ledger.records(RestorePoint)
    listed = Path(point.inventory).with_name("changed.json")
    listed.write_text(listed.read_text().replace("a.txt", "b.txt"))
    assert not proved(context, found.restore_point).verified, "a list that was changed excuses nothing"


def test_a_restore_point_of_another_incident_is_not_proved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no restore point"):
        verify(VerifyBackup(restore_point="RP-x-00000000"), context_of(make_site(tmp_path, "rclone")))


@pytest.mark.slow
def test_stock_restic_opens_the_repository_and_restores_the_same_bytes(tmp_path: Path) -> None:
    import subprocess

    from support.backup_site import PASSWORD, contents

    site = make_site(tmp_path, "restic")
    context = context_of(site)
    assert finished(context).backup_outcome == "succeeded"
    argv = ["restic", "--no-cache", "-r", str(site.repository), "restore", "latest", "--target", str(tmp_path / "out")]
    subprocess.run(argv, env={**os.environ, "RESTIC_PASSWORD": PASSWORD}, check=True, capture_output=True)
    assert contents(tmp_path / "out" / str(site.share).lstrip("/")) == contents(site.share)


def test_the_route_is_named_primary_alternate_or_none(tmp_path: Path) -> None:
    asked = CheckCapacity(assets=["files-01"])
    whole = check_capacity(asked, context_of(two_pools(tmp_path / "whole")))
    assert (whole.route, whole.fits) == ("primary", True)
    compromised = check_capacity(asked, context_of(two_pools(tmp_path / "compromised", compromised=True)))
    assert (compromised.route, compromised.fits) == ("alternate", True)
    full = check_capacity(asked, context_of(make_site(tmp_path / "full", "rclone", reserve=HUGE)))
    assert (full.route, full.fits) == ("none", False)


def test_the_alternate_storage_alone_is_checked_when_the_primary_must_not_be_touched(tmp_path: Path) -> None:
    context = context_of(two_pools(tmp_path))
    checked = check_capacity(CheckCapacity(assets=["files-01"], storage=Storage.ALTERNATE), context)
    assert (checked.route, checked.pools, checked.rerouted) == ("alternate", ["files-01=second"], [])


def test_a_tier_without_alternate_storage_is_refused_by_name(tmp_path: Path) -> None:
    context = context_of(make_site(tmp_path, "rclone"))
    with pytest.raises(InputError, match="there is no alternate storage for files-01"):
        start(StartBackup(asset="files-01", storage=Storage.ALTERNATE), context)


@pytest.mark.slow
def test_a_backup_into_the_alternate_storage_leaves_the_primary_untouched(tmp_path: Path) -> None:
    site = two_pools(tmp_path)
    context = context_of(site)
    started = start(StartBackup(asset="files-01", storage=Storage.ALTERNATE), context)
    assert started.pool == "second"
    assert finish(context.provider("second"), started.job).state is JobState.DONE
    assert not (tmp_path / "pools/first").exists()


def ruled(*rules: tuple[int, str | None, str]) -> dict[str, Any]:
    """Return a configuration's part that maps severity and category to a kind of backup."""
    return {
        "severities": [
            {"severity": severity, "playbook": "snapshot-asset", "backup": kind, **({"category": category} if category else {})}
            for severity, category, kind in rules
        ]
    }


@pytest.mark.parametrize(
    ("rules", "full"),
    [
        ((), True),
        (((1, None, "full"),), True),
        (((1, None, "incremental"),), False),
        (((2, None, "incremental"),), True),
        (((1, "ransomware", "incremental"), (1, None, "full")), False),
        (((1, "outage", "incremental"), (1, None, "full")), True),
        (((1, "outage", "incremental"),), True),
    ],
)
def test_the_rule_of_the_severity_decides_between_full_and_incremental(rules: Any, full: bool) -> None:
    incident = make_context().incident.model_copy(update={"severity": 1, "category": "ransomware"})
    context = make_context(configuration=make_configuration(**ruled(*rules)), incident=incident)
    assert wants_full(context) is full, "a full one when nothing is said: it reads every byte again"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_the_kind_of_backup_of_the_severity_reaches_restic(tmp_path: Path, kind: str) -> None:
    site = make_site(tmp_path, "restic", document=ruled((1, None, kind)))
    severe = context_of(site).incident.model_copy(update={"severity": 1})
    for number in (1, 2):
        context = context_of(site, key=f"INC-1/start/files-01/{number}", incident=severe)
        started = start(StartBackup(asset="files-01"), context)
        assert finish(context.provider(started.pool), started.job).outcome is Outcome.SUCCEEDED
    argv = [real_engine("restic"), "--no-cache", "-r", str(site.repository), "snapshots", "--json"]
    told = subprocess.run(argv, env={**os.environ, "RESTIC_PASSWORD": PASSWORD}, check=True, capture_output=True).stdout
    first, second = sorted(json.loads(told), key=lambda snapshot: snapshot["time"])
    assert "parent" not in first
    assert ("parent" in second) is (kind == "incremental"), "only an incremental one trusts the times of an earlier snapshot"
    assert f"kind={kind}" in second["tags"]
