"""Commvault: what only it does, and each way in which a configuration or the product can be wrong."""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from snaphold.clock import FixedClock
from snaphold.config import Integration, Pool
from snaphold.domain.outcome import Outcome
from snaphold.errors import CapacityError, InputError, NotAuthorisedError, ProviderError, UnknownOutcomeError
from snaphold.providers.base import JobState
from snaphold.providers.commvault_answers import Job
from snaphold.providers.commvault_jobs import findings_of, is_ours, state_of
from snaphold.providers.commvault_keeping import HELD_UNTIL
from snaphold.providers.commvault_refusals import inner_error
from snaphold.providers.registry import check_connection
from snaphold.simulators.base import Reply
from snaphold.simulators.commvault import USER, Simulator
from snaphold.simulators.faults import FOR_EVER, Fault, parse_fault
from support.commvault_rig import ProductRig
from support.quick_retries import no_pauses
from support.vendor_rigs import ASSET, KEY, finished

OTHER_KEY = KEY[:-1] + "2"
NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
UNTIL = datetime(2036, 3, 1, tzinfo=timezone.utc)
PRIMARY, ISOLATED = 31, 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[ProductRig]:
    made = ProductRig(tmp_path_factory.mktemp("commvault"))
    yield made
    made.close()


@pytest.fixture
def rig(server: ProductRig, monkeypatch: pytest.MonkeyPatch) -> ProductRig:
    """A fresh Commvault for each test, behind an address that stays."""
    no_pauses(monkeypatch)
    server.start_anew()
    return server


def _order_of_the_last_start(rig: ProductRig) -> dict[str, Any]:
    return next(item.call.document() for item in reversed(rig.server.exchanges) if item.call.path.endswith("/CreateTask"))


# ---- the workload and the storage ----


def test_a_workload_is_a_client_or_a_path_to_a_subclient(rig: ProductRig) -> None:
    for name in ("orders-db", "ORDERS-DB/Default", "orders-db/defaultBackupSet/default"):
        rig.name_in_product = name
        workload = rig.provider().find_workload(rig.asset)
        assert (workload.name, workload.reference) == ("orders-db/defaultBackupSet/default", "11")


def test_a_workload_that_is_found_twice_is_refused_with_both_names(rig: ProductRig) -> None:
    estate = rig.simulator.estate
    estate.add_subclient(estate.clients[0], "default", plan=41, backup_set="Second")
    with pytest.raises(ProviderError, match="more than one subclient") as caught:
        rig.provider().find_workload(rig.asset)
    assert "Second/default" in str(caught.value.why)
    rig.name_in_product = "orders-db/second/default"
    assert rig.provider().find_workload(rig.asset).name == "orders-db/Second/default"


def test_a_subclient_that_does_not_exist_is_named_with_those_that_do(rig: ProductRig) -> None:
    rig.name_in_product = "orders-db/nothing"
    with pytest.raises(ProviderError, match="no subclient for 'orders-db/nothing'") as caught:
        rig.provider().find_workload(rig.asset)
    assert "orders-db/defaultBackupSet/default" in str(caught.value.why)


def test_a_plan_without_a_copy_in_the_pool_is_refused(rig: ProductRig) -> None:
    del rig.simulator.estate.copies[ISOLATED]
    with pytest.raises(ProviderError, match="do not go to the storage pool Isolated 01") as caught:
        rig.provider().find_workload(rig.asset)
    assert "Gold" in str(caught.value.why)


def test_a_subclient_without_a_plan_is_refused(rig: ProductRig) -> None:
    rig.simulator.estate.subclients[0].plan = 0
    with pytest.raises(ProviderError, match="has no plan"):
        rig.provider().find_workload(rig.asset)


def test_the_room_is_told_in_bytes_and_never_more_than_there_is(rig: ProductRig) -> None:
    capacity = rig.provider().capacity()
    assert (capacity.total, capacity.free) == (4_000_000_000_000, 2_999_960_000_000)
    rig.simulator.estate.pools[22].free = 5_000_000
    assert rig.provider().capacity().free is None


def test_an_offline_storage_is_no_place_for_a_backup(rig: ProductRig) -> None:
    provider = rig.provider()
    order = rig.order(provider)
    rig.simulator.estate.pools[22].status = "Offline"
    assert rig.provider().check_health().reasons == ("the storage pool Isolated 01 is Offline",)
    with pytest.raises(ProviderError, match="is not online"):
        provider.start(order)
    assert rig.started() == 0


def test_a_full_storage_is_told_with_numbers(rig: ProductRig) -> None:
    provider = rig.provider()
    order = rig.order(provider)
    rig.simulator.estate.pools[22].free = 0
    assert rig.provider().check_health().reasons == ("the storage pool Isolated 01 is full",)
    with pytest.raises(CapacityError, match="is full") as caught:
        provider.start(order)
    assert "4000000 megabytes" in str(caught.value.why)
    assert rig.started() == 0


def test_the_estimate_is_the_largest_earlier_backup(rig: ProductRig) -> None:
    provider = rig.provider()
    workload = provider.find_workload(rig.asset)
    assert provider.estimate(workload).bytes == 40_000_000
    rig.simulator.estate.jobs.clear()
    assert provider.estimate(workload).method == "no earlier backup is known: nothing can be estimated"


# ---- start ----


def test_the_key_goes_into_the_description_of_the_job(rig: ProductRig) -> None:
    provider = rig.provider()
    provider.start(rig.order(provider))
    task = _order_of_the_last_start(rig)["taskInfo"]["subTasks"][0]
    assert task["options"]["commonOpts"]["jobDescription"] == f"snaphold:product-01:{KEY}"
    assert task["options"]["backupOpts"]["backupLevel"] == "Full"


def test_an_incremental_backup_is_ordered_as_one(rig: ProductRig) -> None:
    provider = rig.provider()
    provider.start(rig.order(provider).model_copy(update={"full": False}))
    assert rig.own_jobs()[0].level == "Incremental"


def test_a_subclient_that_is_backed_up_now_is_not_started_again(rig: ProductRig) -> None:
    provider = rig.provider()
    estate = rig.simulator.estate
    running = estate.start(estate.subclients[0], "scheduler", "Full", None)
    with pytest.raises(ProviderError, match="runs already") as caught:
        provider.start(rig.order(provider))
    assert str(running.id) in str(caught.value.why)
    assert caught.value.retryable
    assert rig.started() == 0


def test_another_key_starts_another_backup(rig: ProductRig) -> None:
    provider, first = rig.back_up()
    second = provider.start(rig.order(provider, OTHER_KEY))
    assert second != first.job
    assert rig.started() == 2


def test_a_job_of_our_account_without_a_description_could_be_any_start(rig: ProductRig) -> None:
    estate = rig.simulator.estate
    nobodys = estate.start(estate.subclients[0], USER, "Full", None)
    estate.finish(nobodys)
    with pytest.raises(UnknownOutcomeError, match="not known whether this backup was started") as caught:
        rig.provider().find_started(KEY)
    assert str(nobodys.id) in str(caught.value.why)


def test_a_job_of_another_account_is_none_of_ours(rig: ProductRig) -> None:
    estate = rig.simulator.estate
    estate.start(estate.subclients[0], "DOMAIN\\scheduler", "Full", f"snaphold:product-01:{KEY}")
    assert rig.provider().find_started(KEY) is None


@pytest.mark.parametrize("name", ["snaphold", "SNAPHOLD", "EXAMPLE\\snaphold", "snaphold@example.org", ""])
def test_our_account_is_known_however_commvault_writes_it(name: str) -> None:
    job = Job.model_validate({"jobId": 1, "status": "Running", "userName": {"userName": name}})
    assert is_ours(job, frozenset({"snaphold"}))
    assert not is_ours(job, frozenset({"somebody"})) or not name


def test_two_jobs_of_one_key_are_for_a_person_to_decide(rig: ProductRig) -> None:
    estate = rig.simulator.estate
    for _ in range(2):
        estate.start(estate.subclients[0], f"DOMAIN\\{USER}", "Full", f"snaphold:product-01:{KEY}")
    with pytest.raises(UnknownOutcomeError, match="2 jobs were started"):
        rig.provider().find_started(KEY)


def test_an_order_that_starts_two_jobs_is_no_success(rig: ProductRig) -> None:
    rig.server.faults.switch_on(Fault("started_twice", 1, "POST", "/webconsole/api/CreateTask"))
    provider = rig.provider()
    with pytest.raises(UnknownOutcomeError):
        provider.start(rig.order(provider))


def test_an_asset_that_commvault_does_not_know_was_never_started(rig: ProductRig) -> None:
    rig.name_in_product = "no-such-client"
    assert rig.provider().find_started(KEY) is None


def test_a_key_of_an_unknown_asset_is_looked_for_among_all_clients(rig: ProductRig) -> None:
    estate = rig.simulator.estate
    other = "INC-1/snapshot_wave.start/gone-db/1"
    job = estate.start(estate.subclients[0], USER, "Full", f"snaphold:product-01:{other}")
    assert rig.provider().find_started(other) == str(job.id)


def test_a_start_is_found_on_a_later_page_of_jobs(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snaphold.providers.commvault_jobs.PAGE_JOBS", 3)
    provider, status = rig.back_up()
    estate = rig.simulator.estate
    for _ in range(7):
        estate.finish(estate.start(estate.subclients[0], "scheduler", "Full", None))
    assert provider.find_started(KEY) == status.job
    monkeypatch.setattr("snaphold.providers.commvault_jobs.MOST_PAGES", 1)
    with pytest.raises(ProviderError, match="too many jobs"):
        provider.find_started(KEY)


# ---- status ----


@pytest.mark.parametrize(
    ("word", "state", "outcome"),
    [
        ("Completed", JobState.DONE, Outcome.SUCCEEDED),
        ("Completed w/ one or more errors", JobState.DONE, Outcome.PARTIAL),
        ("Completed w/ one or more warnings", JobState.DONE, Outcome.PARTIAL),
        ("Killed", JobState.FAILED, Outcome.FAILED),
        ("Failed to Start", JobState.FAILED, Outcome.FAILED),
        ("Waiting", JobState.RUNNING, None),
        ("Suspended", JobState.RUNNING, None),
        ("Something new", JobState.RUNNING, None),
    ],
)
def test_each_word_of_commvault_has_one_meaning(word: str, state: JobState, outcome: Outcome | None) -> None:
    job = Job.model_validate({"jobId": 1, "status": word, "pendingReason": "" if outcome else "no media"})
    assert state_of(job) == (state, outcome)
    assert outcome is Outcome.SUCCEEDED or findings_of(job)


def test_files_that_failed_make_a_backup_partial(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.own_jobs()[0].failed_files = 3
    rig.let_jobs_end()
    status = finished(provider, job)
    assert status.outcome is Outcome.PARTIAL
    assert status.restore_point is not None
    assert status.restore_point.findings == ("3 files failed",)


def test_a_backup_is_not_done_before_it_is_in_the_pool(rig: ProductRig) -> None:
    rig.simulator.estate.copies[ISOLATED].immediate = False
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.let_jobs_end()
    waiting = provider.status(job)
    assert waiting.state is JobState.RUNNING
    assert any("waits to be copied into the storage pool Isolated 01" in text for text in waiting.findings)
    assert provider.restore_points() == []
    estate = rig.simulator.estate
    estate.copy_to(estate.jobs[int(job)], [estate.copies[ISOLATED]])
    assert provider.status(job).outcome is Outcome.SUCCEEDED


def test_a_storage_without_encryption_is_told(rig: ProductRig) -> None:
    assert rig.restore_point()[1].encryption == "Commvault AES-256, storage pool Isolated 01"
    rig.simulator.estate.pools[22].encrypted = False
    assert rig.provider().restore_points()[0].encryption.startswith("none")


def test_a_job_that_is_not_of_this_incident_and_pool_is_refused(rig: ProductRig) -> None:
    estate, provider = rig.simulator.estate, rig.provider()
    for description in (None, "nightly", "snaphold:product-01:INC-2/s/orders-db/1", f"snaphold:other:{KEY}"):
        job = estate.start(estate.subclients[0], USER, "Full", description)
        estate.finish(job)
        for ask in (provider.status, provider.cancel):
            with pytest.raises(InputError):
                ask(str(job.id))
        assert job.status == "Completed"
        if description:
            assert provider.restore_points() == []
        else:
            with pytest.raises(UnknownOutcomeError, match="which restore points"):
                provider.restore_points()
            del estate.jobs[job.id]


def test_a_running_job_is_killed_once_and_an_ended_one_left_alone(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    assert provider.cancel(job).outcome is Outcome.FAILED
    assert rig.own_jobs()[0].status == "Killed"
    assert provider.cancel(job).outcome is Outcome.FAILED
    assert sum(item.call.path.endswith("/kill") for item in rig.server.exchanges) == 1


# ---- keeping ----


def test_a_retention_is_set_in_every_copy_of_the_pool_and_in_no_other(rig: ProductRig) -> None:
    from snaphold.simulators.commvault_state import Copy

    rig.simulator.estate.copies[33] = Copy(33, "Isolated too", plan=41, pool=22)
    provider, point = rig.restore_point()
    number = rig.own_jobs()[0].id
    assert point.reference == f"{number}@32+33"
    assert provider.set_retention(point, UNTIL) == point
    assert [rig.retained_until(number, copy) for copy in (31, 32, 33)] == [0, UNTIL.timestamp(), UNTIL.timestamp()]
    assert rig.check_recorded() > 0


def test_a_retention_is_never_shortened(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    number = rig.own_jobs()[0].id
    provider.set_retention(point, UNTIL)
    provider.set_retention(point, UNTIL - timedelta(days=60))
    assert rig.retained_until(number) == UNTIL.timestamp()
    provider.hold(point, "HOLD-1", on=True)
    provider.set_retention(point, UNTIL)
    assert rig.retained_until(number) == HELD_UNTIL.timestamp()


def test_a_retention_that_was_accepted_and_not_kept_is_found_out(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    rig.server.faults.switch_on(Fault("retain_ignored", FOR_EVER))
    with pytest.raises(ProviderError, match="did not do it"):
        provider.set_retention(point, UNTIL)


@pytest.mark.parametrize(("setting", "until"), [("", NOW + timedelta(days=30)), ("2d", NOW + timedelta(days=2)), ("0d", None)])
def test_a_released_hold_does_not_end_at_once_unless_told_so(rig: ProductRig, setting: str, until: datetime | None) -> None:
    rig.settings = {"keep_after_release": setting} if setting else {}
    _, point = rig.restore_point()
    number = rig.own_jobs()[0].id
    provider = rig.provider(clock=FixedClock(NOW))
    provider.hold(point, "HOLD-1", on=True)
    assert rig.retained_until(number) == HELD_UNTIL.timestamp()
    provider.hold(point, "HOLD-1", on=False)
    assert rig.retained_until(number) == (until.timestamp() if until else 0)
    provider.set_retention(point, UNTIL)
    provider.hold(point, "HOLD-1", on=False)
    assert rig.retained_until(number) == UNTIL.timestamp(), "what was not held is not released"


def test_a_retained_job_is_not_deleted(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    provider.hold(point, "HOLD-1", on=True)
    with pytest.raises(ProviderError, match="is not deleted") as caught:
        provider.delete(point)
    assert "2037-12-31" in str(caught.value.why)
    assert len(provider.restore_points()) == 1


@pytest.mark.parametrize("until", [-1, 2**61, int(UNTIL.timestamp())])
def test_a_retention_of_somebody_else_is_left_alone(rig: ProductRig, until: int) -> None:
    provider, point = rig.restore_point()
    job = rig.own_jobs()[0]
    job.retained[ISOLATED] = until
    provider.hold(point, "HOLD-1", on=False)
    provider.set_retention(point, UNTIL)
    with pytest.raises(ProviderError, match="is not deleted"):
        provider.delete(point)
    assert job.retained[ISOLATED] == until


def test_a_job_on_which_others_depend_is_not_deleted(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    rig.own_jobs()[0].dependents = True
    with pytest.raises(ProviderError, match="is not deleted") as caught:
        provider.delete(point)
    assert caught.value.why == "other jobs depend on it"
    assert len(provider.restore_points()) == 1


def test_a_deletion_leaves_the_copies_of_other_pools_alone_and_can_be_repeated(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    provider.delete(point)
    assert list(rig.own_jobs()[0].retained) == [PRIMARY]
    assert provider.restore_points() == []
    provider.delete(point)
    with pytest.raises(ProviderError, match="is not in copy 32"):
        provider.set_retention(point, UNTIL)
    assert rig.check_recorded() > 0


def test_verification_repeats_what_commvault_found(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    words = {"Successful": Outcome.SUCCEEDED, "Failed": Outcome.FAILED, "Not Picked": Outcome.UNKNOWN}
    for word, outcome in words.items():
        rig.own_jobs()[0].checked = word
        assert provider.verify(point).outcome is outcome
    rig.own_jobs()[0].retained.clear()
    assert provider.verify(point).outcome is Outcome.FAILED


def test_a_restore_point_of_something_else_is_refused(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    for reference in ("", "12", "abc@3", "1@2/../3", "@3"):
        with pytest.raises(InputError):
            provider.delete(point.model_copy(update={"reference": reference}))


# ---- the schedule ----


def _schedules(rig: ProductRig) -> list[tuple[str, str, int]]:
    return [
        (item["scheduleName"], item["schedulePattern"]["scheduleFrequencyType"], item["schedulePattern"]["frequency"])
        for item in rig.simulator.estate.plans[41].schedules
    ]


def test_a_schedule_is_tightened_and_brought_back_by_any_process(rig: ProductRig) -> None:
    before = _schedules(rig)
    rig.provider().set_schedule(ASSET, 1800)
    assert _schedules(rig) == [*before, ("snaphold orders-db", "MINUTES", 30)]
    calls = len(rig.server.exchanges)
    rig.provider().set_schedule(ASSET, 1800)
    assert {item.call.method for item in rig.server.exchanges[calls:] if "Login" not in item.call.path} == {"GET"}
    rig.provider().set_schedule(ASSET, 900)
    assert _schedules(rig) == [*before, ("snaphold orders-db", "MINUTES", 15)]
    rig.provider().set_schedule(ASSET, None)
    rig.provider().set_schedule(ASSET, None)
    assert _schedules(rig) == before
    assert rig.check_recorded() > 0


def test_a_schedule_that_was_added_twice_is_made_one(rig: ProductRig) -> None:
    before = _schedules(rig)
    rig.provider().set_schedule(ASSET, 1800)
    plan = rig.simulator.estate.plans[41]
    plan.schedules.append({**plan.schedules[-1], "scheduleId": rig.simulator.estate.new_schedule()})
    rig.provider().set_schedule(ASSET, 1800)
    assert _schedules(rig) == [*before, ("snaphold orders-db", "MINUTES", 30)]


def test_a_plan_whose_backups_are_switched_off_is_not_tightened(rig: ProductRig) -> None:
    rig.simulator.estate.plans[41].status = "BACKUP_DISABLED"
    with pytest.raises(ProviderError, match="are switched off"):
        rig.provider().set_schedule(ASSET, 1800)
    with pytest.raises(InputError, match="no asset 'nobody'"):
        rig.provider().set_schedule("nobody", 1800)


# ---- the connection ----


def test_a_token_is_renewed_and_the_password_is_sent_again_only_when_that_fails(rig: ProductRig) -> None:
    provider = rig.provider()
    provider.check_health()
    rig.simulator.expire()
    provider.check_health()
    assert (rig.simulator.sign_ins, rig.simulator.tokens_given) == (1, 2)
    rig.simulator.forget_sign_ins()
    provider.check_health()
    assert (rig.simulator.sign_ins, rig.simulator.tokens_given) == (2, 3)


def test_wrong_credentials_are_told_and_not_repeated(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    integration, configuration = rig.integration, rig.configuration
    monkeypatch.setenv("COMMVAULT_RIG_PASSWORD", "wrong-one")
    with pytest.raises(NotAuthorisedError, match="does not accept the sign-in") as caught:
        check_connection(integration, configuration)
    assert "wrong-one" not in str(caught.value)
    assert [item.call.path for item in rig.server.exchanges] == ["/webconsole/api/Login"]


def test_a_domain_goes_apart_from_the_user(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    integration, configuration = rig.integration, rig.configuration
    monkeypatch.setenv("COMMVAULT_RIG_USERNAME", f"EXAMPLE\\{USER}")
    assert check_connection(integration, configuration).signed_in_as == USER
    told = rig.server.exchanges[0].call.document()
    assert (told["domain"], told["username"]) == ("EXAMPLE", USER)


def test_an_address_that_is_not_the_api_is_told(rig: ProductRig) -> None:
    wrong = rig.integration.model_copy(update={"url": rig.server.url.removesuffix("/webconsole/api")})
    with pytest.raises(ProviderError, match="does not have the call for the sign-in") as caught:
        check_connection(wrong, rig.configuration)
    assert "/webconsole/api" in str(caught.value.do)
    rig.server.faults.switch_on(Fault("garbage", FOR_EVER))
    with pytest.raises(ProviderError, match="does not answer like Commvault"):
        check_connection(rig.integration, rig.configuration)


def test_a_certificate_of_nobody_is_refused(rig: ProductRig) -> None:
    with pytest.raises(ProviderError, match="is not trusted"):
        check_connection(rig.integration.model_copy(update={"ca_file": ""}), rig.configuration)
    assert rig.server.exchanges == []


def test_a_release_without_the_v4_api_is_told(rig: ProductRig) -> None:
    rig.simulator.knows_v4 = False
    with pytest.raises(ProviderError, match="does not have the call") as caught:
        rig.provider().check_health()
    assert "release" in str(caught.value.do)


def test_a_missing_right_is_named(rig: ProductRig) -> None:
    rig.server.faults.switch_on(Fault("access_denied", FOR_EVER, "GET", "/webconsole/api/V4/Storage"))
    rig.server.faults.switch_on(Fault("forbidden", FOR_EVER, "GET", "/webconsole/api/V4/Plan"))
    assert check_connection(rig.integration, rig.configuration).missing == (
        "may not see any disk storage pools",
        "may not see any plans",
    )
    with pytest.raises(NotAuthorisedError, match="does not allow reading the storage pools"):
        rig.provider().check_health()


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"errorCode": 0}, 0),
        ({"errorCode": "0", "jobs": []}, 0),
        ({"errorCode": 7, "errorMessage": "no"}, 7),
        ({"errorCode": "7", "errorMessage": "no"}, 7),
        ({"error": {"errorCode": 7, "errorMessage": "no"}}, 7),
        ({"response": {"errorCode": 7, "errorString": "no"}}, 7),
        ({"response": [{"errorCode": 0}, {"errorCode": 7, "errorMessage": "no"}]}, 7),
        ({"resp": {"errorCode": 7, "errLogMessage": "no"}}, 7),
        ({"errList": [{"errorCode": 7, "errLogMessage": "no"}]}, 7),
        ({"errors": [{"errList": [{"errorCode": 7, "errLogMessage": "no"}]}]}, 7),
        ({"error": {"errList": [{"errorCode": 7, "errorMessage": "no"}]}}, 7),
        ({"errorCode": "E7", "errorMessage": "no"}, -1),
        ([1], 0),
    ],
)
def test_an_error_inside_a_success_is_found_wherever_it_stands(told: object, code: int) -> None:
    from snaphold.http import Answer

    assert inner_error(Answer(200, {}, Reply(200, told).content())) == (code, "no" if code else "")


@pytest.mark.parametrize("name", ["lookup_window", "keep_after_release"])
def test_a_setting_that_is_no_duration_is_named(rig: ProductRig, name: str) -> None:
    integration = rig.integration.model_copy(update={"settings": {name: "long"}})
    pool = rig.pool.model_copy(update={"settings": {name: "long"}})
    configuration = rig.configuration.model_copy(update={"integrations": (integration,)}).placed_at(rig.folder)
    from snaphold.clock import SystemClock
    from snaphold.providers.commvault import connect

    with pytest.raises(InputError, match=name):
        connect(pool, configuration, "INC-1", SystemClock())


def test_calls_of_v4_are_checked_against_the_published_document(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    check_connection(rig.integration, rig.configuration)
    provider.verify(point)
    provider.set_schedule(ASSET, 1800)
    provider.hold(point, "HOLD-1", on=True)
    provider.hold(point, "HOLD-1", on=False)
    paths = {item.call.path.removeprefix("/webconsole/api") for item in rig.server.exchanges}
    assert rig.check_recorded() >= 15
    assert {path for path in paths if path.startswith("/V4/")} == {
        "/V4/Storage/Disk",
        "/V4/Storage/Disk/22",
        "/V4/Storage/22/associatedCopies",
        "/V4/Plan/Summary",
        "/V4/Plan/BackupDestination/32/Jobs",
        "/V4/Plan/BackupDestination/JobOperations",
        "/V4/ServerPlan/41/RPO",
    }


def test_the_how_to_shows_a_configuration_and_a_fault_that_are_valid() -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/connect-commvault.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(integrations:.*?)```", text, re.DOTALL)
    document = yaml.safe_load(block)
    (integration,) = [Integration.model_validate(item) for item in document["integrations"]]
    (pool,) = [Pool.model_validate(item) for item in document["pools"]]
    assert (integration.kind, pool.provider, pool.integration) == ("commvault", "commvault", integration.name)
    (fault,) = re.findall(r"--fault (\S+)", text)
    assert parse_fault(fault, list(Simulator.own_faults)).path == "/webconsole/api/CreateTask"
    assert set(re.findall(r"`(description_hidden|retain_ignored)`", text)) <= set(Simulator.own_faults)
