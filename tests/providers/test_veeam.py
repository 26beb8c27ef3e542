"""Veeam in each revision that we speak: what is asked, what is kept as evidence, and how each fault of a set-up reads."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import (
    BusyError,
    CapacityError,
    InputError,
    NotAuthorisedError,
    ProviderError,
    TimedOutError,
    UnknownOutcomeError,
)
from snaphold.providers.base import JobState, Provider
from snaphold.providers.registry import check_connection
from snaphold.providers.veeam_job import regular_jobs
from snaphold.providers.veeam_revision import revision_of
from snaphold.providers.veeam_session import VeeamSession, forget_sign_ins
from snaphold.simulators.faults import FOR_EVER, Fault
from snaphold.simulators.veeam_world import LOCKED, REPOSITORY
from support.quick_retries import no_pauses
from support.veeam_rig import MACHINE, ProductRig
from support.vendor_rigs import ASSET, KEY, finished


# The revision in the middle differs from the newest in its copies only: its other tests run with the slow ones.
@pytest.fixture(params=["1.2-rev1", pytest.param("1.3-rev1", marks=pytest.mark.slow), "1.3-rev2"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_pauses(monkeypatch)
    made = ProductRig(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_pauses(monkeypatch)
    made = ProductRig(tmp_path)
    yield made
    made.close()


def own_job(rig: ProductRig) -> dict[str, Any]:
    return next(job for job in rig.world.jobs.values() if str(job["name"]).startswith("Snaphold INC-1 orders-db [snaphold-"))


def regular_job(rig: ProductRig) -> dict[str, Any]:
    return next(job for job in rig.world.jobs.values() if job["name"] == "Nightly databases")


def sent(rig: ProductRig, method: str, path: str) -> list[dict[str, Any]]:
    calls = [exchange.call for exchange in rig.server.exchanges]
    return [json.loads(call.body or b"{}") for call in calls if call.method == method and call.path.endswith(path)]


# ---- a backup from start to end ----


def test_guest_processing_must_succeed_and_leaves_the_logs_of_the_guest_alone(rig: ProductRig) -> None:
    rig.provider().start(rig.order(rig.provider()))
    (job,) = sent(rig, "POST", "/api/v1/jobs")
    processing = job["guestProcessing"]
    (settings,) = processing["appAwareProcessing"]["appSettings"]
    words = (settings["vss"], settings["transactionLogs"], settings["oracle"]["archiveLogs"])
    old = rig.revision == "1.2-rev1"
    assert words == (("requireSuccess", "copyOnly", "preserve") if old else ("RequireSuccess", "CopyOnly", "Preserve"))
    assert job["type"] == ("Backup" if old else "VSphereBackup")
    assert job["virtualMachines"]["includes"][0]["platform"] == ("VMware" if old else "VSphere")
    assert processing["guestCredentials"] == regular_job(rig)["guestProcessing"]["guestCredentials"]
    assert job["schedule"] == {"runAutomatically": False}
    assert job["storage"]["backupRepositoryId"] == rig.world.repository(REPOSITORY).id


def test_the_log_of_the_guest_is_kept_and_makes_the_backup_consistent(rig: ProductRig) -> None:
    _, status = rig.back_up()
    assert [event.event for event in status.quiesce_log] == ["guest_processing", "frozen_at", "guest_processing", "thawed_at"]
    assert status.quiesce_log[1].detail == "Freezing guest operating system"
    assert status.restore_point is not None
    assert status.restore_point.consistency == "application-consistent"
    assert status.restore_point.quiesce_log == status.quiesce_log
    assert status.restore_point.size == 50 * 1024**3


@pytest.mark.slow
def test_everything_that_is_said_is_as_veeam_publishes_it(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    provider.check_health()
    provider.capacity()
    provider.estimate(provider.find_workload(rig.asset))
    provider.verify(point)
    provider.restore_points()
    provider.set_schedule(ASSET, 3600)
    provider.set_schedule(ASSET, None)
    provider.end_publication(provider.publish(point, "forensics").reference)
    check_connection(rig.integration, rig.configuration)
    if rig.revision != "1.2-rev1":
        provider.set_retention(point, point.taken_at + timedelta(days=20))
        provider.mark_infected(point, "Ransom note")
    second = provider.start(rig.order(provider, KEY + "0"))
    provider.cancel(second)
    with pytest.raises(InputError):
        provider.status("00000000-0000-4000-8000-000000000000")
    assert rig.check_recorded() > 40


def test_a_freeze_that_failed_is_told_and_is_no_whole_success(newest: ProductRig) -> None:
    provider = newest.provider()
    job = provider.start(newest.order(provider))
    newest.world.runs[job].log.insert(2, ("Warning", "Failed to freeze guest: VSS writer SqlServerWriter timed out"))
    newest.let_jobs_end()
    status = finished(provider, job)
    assert (status.state, status.outcome) == (JobState.DONE, Outcome.PARTIAL)
    assert "SqlServerWriter" in status.findings[0]
    assert status.restore_point is not None
    assert status.restore_point.consistency.startswith("degraded: [warning]")


def test_a_log_without_a_freeze_proves_no_consistency(newest: ProductRig) -> None:
    provider = newest.provider()
    job = provider.start(newest.order(provider))
    newest.world.runs[job].log = [("Succeeded", "Saving disk data")]
    newest.let_jobs_end()
    status = finished(provider, job)
    assert status.outcome is Outcome.PARTIAL
    assert status.restore_point is not None
    assert status.restore_point.consistency == "degraded: the log shows no freeze and thaw of the guest"


def test_guest_processing_can_be_switched_off_and_then_claims_nothing(newest: ProductRig) -> None:
    newest.pool_extra["guest_processing"] = "off"
    _, point = newest.restore_point()
    assert (point.outcome, point.consistency) == (Outcome.SUCCEEDED, "crash-consistent")
    newest.pool_extra["guest_processing"] = "sometimes"
    with pytest.raises(InputError, match="sometimes"):
        newest.provider().start(newest.order(newest.provider(), KEY + "0"))


def test_a_warning_is_partial_and_a_result_that_is_not_given_is_unknown(newest: ProductRig) -> None:
    provider = newest.provider()
    job = provider.start(newest.order(provider))
    newest.let_jobs_end()
    newest.world.runs[job].result, newest.world.runs[job].message = "Warning", "The repository is nearly full"
    status = finished(provider, job)
    assert (status.outcome, status.findings) == (Outcome.PARTIAL, ("The repository is nearly full",))
    newest.world.runs[job].result, newest.world.runs[job].message = "None", ""
    assert finished(provider, job).outcome is Outcome.UNKNOWN
    newest.world.runs[job].result = "Splendid"
    assert finished(provider, job).outcome is Outcome.UNKNOWN


def test_a_success_without_a_restore_point_is_unknown(newest: ProductRig) -> None:
    provider = newest.provider()
    job = provider.start(newest.order(provider))
    newest.let_jobs_end()
    newest.world.points.clear()
    status = finished(provider, job)
    assert (status.outcome, status.restore_point) == (Outcome.UNKNOWN, None)
    assert status.findings == ("Veeam shows no restore point of this session",)


def test_a_session_that_waits_for_a_person_runs_on_and_says_so(newest: ProductRig) -> None:
    provider = newest.provider()
    job = provider.start(newest.order(provider))
    newest.world.runs[job].state = "ActionRequired"
    status = provider.status(job)
    assert status.state is JobState.RUNNING
    assert status.findings == ("Veeam waits for a decision in its console",)


def test_a_stopped_backup_is_a_failed_one(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    status = provider.cancel(job)
    assert (status.state, status.outcome) == (JobState.FAILED, Outcome.FAILED)
    assert "it was stopped before its end" in status.findings
    assert provider.cancel(job) == status


def test_the_first_run_of_our_job_counts_when_somebody_ran_it_again(newest: ProductRig) -> None:
    provider = newest.provider()
    job = provider.start(newest.order(provider))
    newest.let_jobs_end()
    newest.world.advance(60)
    newest.world.run_job(str(own_job(newest)["id"]), full=False)
    newest.let_jobs_end()
    assert provider.find_started(KEY) == job
    assert len(provider.restore_points()) == 1


def test_two_jobs_for_one_key_are_shown_to_a_person(newest: ProductRig) -> None:
    provider = newest.provider()
    provider.start(newest.order(provider))
    newest.world.add_job(own_job(newest))
    with pytest.raises(UnknownOutcomeError, match="two jobs"):
        provider.find_started(KEY)
    with pytest.raises(UnknownOutcomeError, match="two jobs"):
        provider.start(newest.order(provider))
    assert newest.started() == 1


def test_a_job_that_was_made_but_never_run_is_run(newest: ProductRig) -> None:
    newest.server.faults.switch_on(Fault("error", FOR_EVER, "POST", "/api/v1/jobs/"))
    provider = newest.provider()
    with pytest.raises(UnknownOutcomeError):
        provider.start(newest.order(provider))
    newest.server.faults.clear()
    assert provider.find_started(KEY) is None
    provider.start(newest.order(provider))
    assert len([job for job in newest.world.jobs.values() if str(job["name"]).startswith("Snaphold")]) == 1
    assert newest.started() == 1


@pytest.mark.parametrize("fault", ["no_content", "already_running", "reset_after", "error_after", "truncated", "garbage"])
def test_a_start_without_a_usable_answer_is_looked_up(newest: ProductRig, fault: str) -> None:
    provider = newest.provider()
    order = newest.order(provider)
    newest.server.faults.switch_on(Fault(fault, 1, "POST", "/api/v1/jobs/"))
    assert provider.start(order) in newest.world.runs
    assert newest.started() == 1


def test_times_without_a_zone_are_the_servers(newest: ProductRig) -> None:
    provider, point = newest.restore_point()
    newest.server.faults.switch_on(Fault("zoneless", FOR_EVER, "GET", "/api/v1/"))
    (again,) = newest.provider().restore_points()
    assert again.taken_at == point.taken_at
    assert again.quiesce_log[0].at == point.quiesce_log[0].at
    assert again.quiesce_log[0].detail.endswith("[no zone given: server time]")
    assert provider.find_started(KEY)


@pytest.mark.slow
def test_without_a_regular_job_ours_stands_alone(newest: ProductRig) -> None:
    newest.world.jobs.clear()
    newest.pool_extra["encryption_password"] = "11111111-2222-4333-8444-555555555555"
    _, point = newest.restore_point()
    assert point.encryption == "Veeam job encryption (AES-256), key 11111111-2222-4333-8444-555555555555"
    assert newest.check_recorded()
    newest.pool_extra["encryption_password"] = "hunter2"
    with pytest.raises(InputError, match="encryption_password"):
        newest.provider().start(newest.order(newest.provider(), KEY + "0"))


# ---- sign-in ----


def test_one_sign_in_serves_every_adapter_of_a_process(newest: ProductRig) -> None:
    for _ in range(3):
        newest.provider().capacity()
    assert newest.simulator.sign_ins == 1


def test_a_refresh_token_is_used_once_and_replaced_by_the_password_when_it_is_lost(newest: ProductRig) -> None:
    newest.provider().capacity()
    newest.simulator.expire()
    newest.provider().capacity()
    assert newest.simulator.sign_ins == 1
    newest.simulator.expire()
    newest.server.faults.switch_on(Fault("reset_after", 1, "POST", "/api/oauth2/token"))
    newest.provider().capacity()
    assert newest.simulator.sign_ins == 2
    newest.simulator.expire()
    newest.server.faults.switch_on(Fault("reset_after", FOR_EVER, "POST", "/api/oauth2/token"))
    with pytest.raises(ProviderError, match="cannot be reached"):
        newest.provider().capacity()
    newest.server.faults.clear()
    newest.provider().capacity()
    forms = [call.body.decode() for call in (e.call for e in newest.server.exchanges) if call.path.endswith("/token")]
    used = [form for form in forms if "refresh_token=" in form]
    assert len(used) == len(set(used)) == 3


def test_no_secret_stands_in_an_error(newest: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    integration, configuration = newest.integration, newest.configuration
    monkeypatch.setenv("RIG_PASSWORD", "wrong-one")
    with pytest.raises(NotAuthorisedError, match="sign-in") as caught:
        check_connection(integration, configuration)
    assert "wrong-one" not in str(caught.value)
    assert "second factor" in str(caught.value.do)


# ---- each fault of a set-up is an error of its own ----


@pytest.mark.parametrize(
    ("build", "name"),
    [("12.3.1.1139", "1.2-rev1"), ("12.3.2.4165", "1.2-rev1"), ("13.0.0.4967", "1.2-rev1"), ("13.0.1.180", "1.3-rev1"),
     ("13.1.0.411", "1.3-rev2"), ("14.0.0.1", "1.3-rev2")],
)  # fmt: skip
def test_the_newest_revision_that_both_know_is_spoken(build: str, name: str) -> None:
    assert revision_of(build).name == name


@pytest.mark.parametrize("build", ["12.2.0.334", "12.3.0.310", "11.0"])
def test_a_server_that_is_too_old_is_told_by_its_build(build: str) -> None:
    with pytest.raises(ProviderError, match="is too old") as caught:
        revision_of(build)
    assert caught.value.do == "update the backup server"


def test_a_version_that_is_none_is_told() -> None:
    with pytest.raises(ProviderError, match="cannot be read"):
        revision_of("thirteen")


def test_a_server_that_does_not_know_our_oldest_revision_is_explained(newest: ProductRig) -> None:
    newest.simulator.build = "12.1.0.2131"
    with pytest.raises(ProviderError, match="API revision") as caught:
        check_connection(newest.integration, newest.configuration)
    assert "12.3.1 is too old" in str(caught.value.do)


def test_a_revision_that_is_named_is_used_and_a_wrong_one_explained(newest: ProductRig) -> None:
    newest.settings["api_version"] = "1.3-rev1"
    newest.provider().capacity()
    assert {exchange.call.headers["x-api-version"] for exchange in newest.server.exchanges} == {"1.3-rev1"}
    newest.settings["api_version"] = "1.1-rev2"
    with pytest.raises(InputError, match=r"1\.1-rev2"):
        newest.provider()
    newest.settings["api_version"] = "1.3-rev2"
    newest.simulator.build = "13.0.1.180"
    forget_sign_ins()
    with pytest.raises(ProviderError, match="API revision"):
        newest.provider().capacity()


def test_a_user_who_is_no_administrator_is_spoken_to_in_the_oldest_revision(newest: ProductRig) -> None:
    newest.simulator.administrator = False
    newest.provider().capacity()
    assert newest.server.exchanges[-1].call.headers["x-api-version"] == "1.2-rev1"
    found = check_connection(newest.integration, newest.configuration)
    assert any("no Backup Administrator" in text for text in found.missing)


def test_a_right_that_lacks_is_named(newest: ProductRig) -> None:
    newest.server.faults.switch_on(Fault("forbidden", FOR_EVER, "GET", "/api/v1/dataIntegration"))
    found = check_connection(newest.integration, newest.configuration)
    assert found.missing == ("dataIntegration may not be read: restore points cannot be published",)
    newest.server.faults.switch_on(Fault("forbidden", FOR_EVER, "POST", "/api/v1/jobs"))
    with pytest.raises(NotAuthorisedError, match="does not allow making the job"):
        newest.provider().start(newest.order(newest.provider()))


def test_a_wrong_address_and_a_certificate_of_nobody_are_told(newest: ProductRig) -> None:
    configuration = newest.configuration

    def told(**changes: Any) -> str:
        with pytest.raises((ProviderError, InputError)) as caught:
            check_connection(newest.integration.model_copy(update=changes), configuration)
        return caught.value.what

    assert "cannot be reached" in told(url="https://127.0.0.1:9")
    assert "not trusted" in told(ca_file="")
    assert "no Veeam REST API at this address" in told(url=newest.server.url + "/elsewhere")
    assert "without TLS" in told(url="http://vbr.example.org")
    assert "no credential" in told(credentials={})


def test_another_page_behind_the_address_is_told(newest: ProductRig) -> None:
    newest.server.faults.switch_on(Fault("garbage", FOR_EVER, "POST", "/api/oauth2/token"))
    with pytest.raises(ProviderError, match="is not understood") as caught:
        check_connection(newest.integration, newest.configuration)
    assert "9419" in str(caught.value.do)


def test_a_machine_that_is_found_twice_or_on_no_server_is_told(newest: ProductRig) -> None:
    newest.world.add_machine(MACHINE, "vcenter02.example.org")
    assert newest.provider().find_workload(newest.asset).reference == "vcenter01.example.org/vm-101"
    newest.settings["hosts"] = "vcenter01.example.org, vcenter02.example.org"
    with pytest.raises(ProviderError, match="more than one virtual machine") as twice:
        newest.provider().find_workload(newest.asset)
    assert "vcenter02.example.org/vm-103" in str(twice.value.why)
    newest.settings["hosts"] = "vcenter09.example.org"
    with pytest.raises(ProviderError, match=r"no server 'vcenter09\.example\.org'"):
        newest.provider().find_workload(newest.asset)


def test_the_name_of_a_machine_is_no_pattern(newest: ProductRig) -> None:
    newest.world.add_machine("ORDERS-VM0X")
    workloads = {"vbr": "ORDERS-VM*"}
    asset = newest.asset.model_copy(update={"protection": newest.asset.protection.model_copy(update={"workloads": workloads})})
    with pytest.raises(ProviderError, match="no virtual machine"):
        newest.provider().find_workload(asset)


def test_a_repository_that_is_offline_full_or_unknown_is_told(newest: ProductRig) -> None:
    provider = newest.provider()
    order = newest.order(provider)
    repository = newest.world.repository(REPOSITORY)
    repository.online = False
    assert provider.check_health().reasons[0] == f"the repository {REPOSITORY} is offline"
    for call in (provider.capacity, lambda: provider.start(order)):
        with pytest.raises(ProviderError, match="is offline"):
            call()
    repository.online, repository.free = True, 0.0
    assert not provider.check_health().fit
    with pytest.raises(CapacityError, match="is full"):
        provider.start(order)
    repository.name = "Renamed"
    with pytest.raises(ProviderError, match="no repository"):
        provider.capacity()
    assert newest.started() == 0


def test_a_repository_that_can_be_changed_is_remarked_but_used(newest: ProductRig) -> None:
    newest.world.repository(REPOSITORY).immutable_days = 0
    health = newest.provider().check_health()
    assert health.fit
    assert health.reasons == (f"the repository {REPOSITORY} does not keep backups from being changed",)


def test_a_locked_repository_that_veeam_does_not_have_is_remarked_before_it_is_needed(newest: ProductRig) -> None:
    newest.pool_extra["locked_repository"] = "Immutable 99"
    health = newest.provider().check_health()
    assert health.fit
    assert health.reasons == (
        "nothing can be kept for longer: Veeam has no repository 'Immutable 99', which locked_repository names",
    )


def test_the_size_is_taken_from_what_is_known(newest: ProductRig) -> None:
    provider = newest.provider()
    workload = provider.find_workload(newest.asset)
    assert provider.estimate(workload).bytes == 50 * 1024**3
    assert "inventory" in provider.estimate(workload).method
    newest.world.machines[0]["size"] = "0"
    newest.pool_extra["assumed_gib"] = "7"
    assert newest.provider().estimate(workload).bytes == 7 * 1024**3
    newest.pool_extra["assumed_gib"] = "many"
    with pytest.raises(InputError, match="assumed_gib"):
        newest.provider().estimate(workload)
    newest.back_up()
    assert "last restore point" in newest.provider().estimate(workload).method


# ---- schedule ----


def test_a_schedule_is_tightened_once_and_restored_as_it_stood(rig: ProductRig) -> None:
    provider = rig.provider()
    before = json.loads(json.dumps(regular_job(rig)))
    provider.set_schedule(ASSET, 900)
    tight = regular_job(rig)["schedule"]
    assert tight["periodically"] == {"isEnabled": True, "periodicallyKind": "Minutes", "frequency": 15}
    assert (tight["runAutomatically"], tight["daily"]["isEnabled"]) == (True, False)
    assert "[snaphold-schedule run=1 daily=1 " in regular_job(rig)["description"]
    writes = len(sent(rig, "PUT", ""))
    provider.set_schedule(ASSET, 900)
    assert len(sent(rig, "PUT", "")) == writes
    provider.set_schedule(ASSET, 7200)
    assert regular_job(rig)["schedule"]["periodically"]["periodicallyKind"] == "Hours"
    rig.provider().set_schedule(ASSET, None)
    after = json.loads(json.dumps(regular_job(rig)))
    assert after["schedule"] == before["schedule"]
    assert after["description"] == before["description"]
    rig.provider().set_schedule(ASSET, None)
    assert not any("allowOldGfsPointsRetention" in exchange.call.query for exchange in rig.server.exchanges)


def test_the_job_of_a_machine_must_be_clear(newest: ProductRig) -> None:
    newest.world.add_regular_job("Weekly databases", MACHINE)
    with pytest.raises(ProviderError, match="more than one regular job") as caught:
        newest.provider().set_schedule(ASSET, 900)
    assert caught.value.why == "Nightly databases, Weekly databases"
    newest.pool_extra["job"] = "Weekly databases"
    newest.provider().set_schedule(ASSET, 900)
    assert regular_job(newest)["schedule"]["daily"]["isEnabled"]
    newest.pool_extra["job"] = "Monthly databases"
    with pytest.raises(ProviderError, match="no job 'Monthly databases'"):
        newest.provider().set_schedule(ASSET, 900)
    with pytest.raises(InputError, match="that often"):
        newest.provider().set_schedule(ASSET, 59)
    with pytest.raises(InputError, match="no asset"):
        newest.provider().set_schedule("nobody", 900)


def test_jobs_of_our_own_are_no_regular_jobs(newest: ProductRig) -> None:
    newest.back_up()
    session = VeeamSession(newest.integration, newest.configuration)
    assert [job["name"] for job in regular_jobs(session, MACHINE)] == ["Nightly databases"]


# ---- retention ----


def days_after(point: RestorePoint, days: int) -> Any:
    return point.taken_at + timedelta(days=days)


def keep(rig: ProductRig, provider: Provider, point: RestorePoint, days: int) -> RestorePoint:
    fixed = rig.provider(clock=FixedClock(point.taken_at))
    assert provider.describe() == fixed.describe()
    return fixed.set_retention(point, days_after(point, days))


@pytest.mark.parametrize("rig", ["1.3-rev1", "1.3-rev2"], indirect=True)
def test_a_restore_point_is_copied_once_into_the_locked_repository(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    kept = keep(rig, provider, point, 20)
    assert kept.findings[-1].startswith(f"being copied to {LOCKED}, copy session ")
    again = keep(rig, provider, kept, 20)
    assert again == kept
    copies = [run for run in rig.world.runs.values() if "Copy" in run.kind]
    assert len(copies) == 1
    rig.let_jobs_end()
    done = keep(rig, provider, again, 20)
    assert done.findings[-1] == f"copied to {LOCKED}"
    assert done.reference == point.reference
    assert len([run for run in rig.world.runs.values() if "Copy" in run.kind]) == 1
    if rig.revision == "1.3-rev2":
        (order,) = sent(rig, "POST", "/copyTo")
        assert (order["deleteAutomatically"], order["retentionPeriod"]) == (True, "In1Month")


def test_a_copy_that_nobody_can_tell_is_waited_for(newest: ProductRig) -> None:
    provider, point = newest.restore_point()
    keep(newest, provider, point, 20)
    (run,) = [run for run in newest.world.runs.values() if "Copy" in run.kind]
    assert keep(newest, provider, point, 20).findings[-1].endswith(run.id)
    run.name = "Copy of something"
    with pytest.raises(BusyError, match="Copy of something"):
        keep(newest, provider, point, 20)
    run.name = "Copy of Snaphold INC-2 shop [snaphold-00000000000000000000]"
    keep(newest, provider, point, 20)
    assert len([run for run in newest.world.runs.values() if "Copy" in run.kind]) == 2


def test_a_copy_that_failed_is_begun_again(newest: ProductRig) -> None:
    provider, point = newest.restore_point()
    kept = keep(newest, provider, point, 20)
    newest.let_jobs_end(well=False)
    again = keep(newest, provider, kept, 20)
    assert again.findings[-1] != kept.findings[-1]
    assert len([run for run in newest.world.runs.values() if "Copy" in run.kind]) == 2


def test_the_job_of_our_own_keeps_for_longer_and_never_for_shorter(rig: ProductRig) -> None:
    rig.pool_extra.pop("locked_repository")
    provider, point = rig.restore_point()
    keep(rig, provider, point, 400)
    assert own_job(rig)["storage"]["retentionPolicy"] == {"type": "Days", "quantity": 401}
    keep(rig, provider, point, 30)
    assert own_job(rig)["storage"]["retentionPolicy"]["quantity"] == 401
    assert regular_job(rig)["storage"]["retentionPolicy"]["quantity"] == 14


def test_a_lock_that_ends_too_early_is_told(newest: ProductRig) -> None:
    provider, point = newest.restore_point()
    kept = keep(newest, provider, point, 400)
    assert kept.findings[-1].startswith("locked only until ")
    newest.world.repository(LOCKED).immutable_days = 0
    with pytest.raises(ProviderError, match="does not lock"):
        keep(newest, provider, point, 400)


def test_the_longest_copy_never_deletes_itself(newest: ProductRig) -> None:
    provider, point = newest.restore_point()
    keep(newest, provider, point, 8 * 366)
    (order,) = sent(newest, "POST", "/copyTo")
    assert order["deleteAutomatically"] is False
    assert "retentionPeriod" not in order


@pytest.mark.parametrize("rig", ["1.2-rev1"], indirect=True)
def test_what_an_old_server_cannot_do_is_refused_with_the_reason(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    with pytest.raises(ProviderError, match=r"1\.2-rev1 cannot copy"):
        keep(rig, provider, point, 20)
    with pytest.raises(ProviderError, match=r"1\.2-rev1 cannot mark"):
        provider.mark_infected(point, "Ransom note")


# ---- publication and infection ----


def test_a_restore_point_is_published_once_and_only_to_the_investigators(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    first = provider.publish(point, "forensics")
    assert rig.provider().publish(point, "forensics") == first
    (order,) = sent(rig, "POST", "/dataIntegration/publish")
    assert (order["type"], order["allowedIps"]) == ("ISCSITarget", ["192.0.2.9", "2001:db8::9"])
    assert order["reason"].startswith("forensics: evidence for INC-1")
    provider.end_publication(first.reference)
    provider.end_publication(first.reference)
    assert len(sent(rig, "POST", "/unpublish")) == 1
    provider.end_publication("00000000-0000-4000-8000-000000000000")
    with pytest.raises(InputError, match="is not a publication"):
        provider.end_publication("../jobs")


def test_nothing_is_published_to_everybody(newest: ProductRig) -> None:
    _, point = newest.restore_point()
    for given, expected in (("", "to whom"), ("anybody", "no address")):
        newest.pool_extra["investigators"] = given
        with pytest.raises(InputError, match=expected):
            newest.provider().publish(point, "forensics")
    assert newest.world.mounts == {}


def test_a_publication_that_does_not_come_up_is_not_claimed(newest: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    from snaphold.providers import veeam_publication

    monkeypatch.setattr(veeam_publication, "LOOKS", 3)
    provider, point = newest.restore_point()
    provider.publish(point, "forensics")
    (mount,) = newest.world.mounts.values()
    mount["mountState"] = "MountFailed"
    newest.server.faults.switch_on(Fault("error", FOR_EVER, "POST", "/api/v1/dataIntegration"))
    with pytest.raises(UnknownOutcomeError):
        provider.publish(point, "forensics")
    newest.server.faults.clear()
    monkeypatch.setattr(veeam_publication, "LOOKS", 1)
    with pytest.raises(TimedOutError, match="not ready"):
        provider.publish(point, "forensics")


def test_an_infected_restore_point_is_marked_once_and_fails_its_check(newest: ProductRig) -> None:
    provider, point = newest.restore_point()
    marked = provider.mark_infected(point, "Ransom note")
    assert newest.provider().mark_infected(marked, "Ransom note") == marked
    (event,) = newest.world.events
    assert (event["severity"], event["engine"], event["machine"]["restorePointId"]) == ("Infected", "Snaphold", point.reference)
    verification = provider.verify(point)
    assert verification.outcome is Outcome.FAILED
    assert verification.findings == ("Veeam marks it as infected",)


def test_a_restore_point_that_is_gone_fails_its_check(newest: ProductRig) -> None:
    provider, point = newest.restore_point()
    newest.world.points.clear()
    assert provider.verify(point).outcome is Outcome.FAILED
    for call in (lambda: provider.mark_infected(point, "x"), lambda: keep(newest, provider, point, 20)):
        with pytest.raises(ProviderError, match="any more"):
            cast("Any", call)()


def test_more_pages_than_one_are_read(newest: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    from snaphold.providers import veeam_session

    provider, _ = newest.restore_point()
    monkeypatch.setattr(veeam_session, "PAGE_ITEMS", 1)
    assert provider.find_started(KEY)
    assert len(provider.restore_points()) == 1
    monkeypatch.setattr(veeam_session, "MOST_PAGES", 1)
    with pytest.raises(ProviderError, match="too much"):
        provider.set_schedule(ASSET, 900)


def test_without_servers_to_look_in_the_setting_is_named(newest: ProductRig) -> None:
    newest.settings.clear()
    with pytest.raises(InputError, match="hosts"):
        newest.provider().find_workload(newest.asset)
