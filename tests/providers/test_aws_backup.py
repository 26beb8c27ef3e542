"""AWS Backup against a vault that speaks as the client's model says: jobs, lifecycles, legal holds, refusals."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from snaphold.domain.outcome import Outcome
from snaphold.errors import CapacityError, InputError, NotAuthorisedError, ProviderError, UnknownOutcomeError
from snaphold.providers.aws_backup import token_of
from snaphold.providers.base import JobState
from snaphold.providers.registry import check_connection
from support.aws_backup_rig import ProductRig
from support.aws_backup_world import RESOURCE, ROLE
from support.aws_model_server import Refusal
from support.fault_proxy import FAULTS, FaultProxy, between
from support.quick_aws import no_aws_pauses
from support.vendor_rigs import KEY, finished

QUICK = tuple(fault for fault in FAULTS if fault not in ("slow", "drip"))


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_aws_pauses(monkeypatch)
    made = ProductRig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def proxy(rig: ProductRig) -> Generator[FaultProxy]:
    with between(rig.address) as made:
        rig.address = made.url
        yield made


def in_days(days: float) -> datetime:
    return datetime.now(timezone.utc) + timedelta(days=days)


def asked(rig: ProductRig, operation: str) -> list[dict[str, object]]:
    return [members for name, members in rig.world.server.said if name == operation]


# ---- starts and their ends ----


def test_a_start_carries_a_token_that_is_made_of_our_key(rig: ProductRig) -> None:
    rig.settings["delete_after"] = "90d"
    provider = rig.provider()
    provider.start(rig.order(provider))
    (said,) = asked(rig, "StartBackupJob")
    assert said["IdempotencyToken"] == token_of(KEY, "product-01")
    assert said["Lifecycle"] == {"DeleteAfterDays": 90}
    assert (said["ResourceArn"], said["IamRoleArn"]) == (RESOURCE, ROLE)
    assert "BackupOptions" not in said
    assert token_of(KEY, "product-01") != token_of(KEY, "product-02")


def test_a_job_without_a_recovery_point_yet_is_not_started_twice(rig: ProductRig) -> None:
    rig.world.points_at_once = False
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    assert provider.find_started(KEY) is None
    assert rig.provider().start(rig.order(provider)) == job
    assert rig.started() == 1
    rig.let_jobs_end()
    assert provider.find_started(KEY) == job


def test_another_key_starts_another_job(rig: ProductRig) -> None:
    provider, first = rig.restore_point()
    _, second = rig.restore_point(KEY[:-1] + "2")
    _, third = rig.restore_point(KEY[:-1] + "3")
    assert rig.started() == 3
    assert [point.id for point in provider.restore_points()] == [first.id, second.id, third.id]
    assert provider.find_started(third.key) in rig.world.jobs


@pytest.mark.parametrize(
    ("state", "category", "job_state", "outcome"),
    [
        ("COMPLETED", "SUCCESS", JobState.DONE, Outcome.SUCCEEDED),
        ("COMPLETED", "VSSTimeout", JobState.DONE, Outcome.PARTIAL),
        ("PARTIAL", "SUCCESS", JobState.DONE, Outcome.PARTIAL),
        ("FAILED", "AccessDenied", JobState.FAILED, Outcome.FAILED),
        ("EXPIRED", "", JobState.FAILED, Outcome.FAILED),
        ("ABORTED", "", JobState.FAILED, Outcome.FAILED),
        ("CREATED", "", JobState.RUNNING, None),
    ],
)
def test_each_end_of_a_job_has_its_outcome(
    rig: ProductRig, state: str, category: str, job_state: JobState, outcome: Outcome | None
) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.world.end_jobs(state, "said so", category)
    status = provider.status(job)
    assert (status.state, status.outcome) == (job_state, outcome)
    assert (status.restore_point is not None) == (outcome in (Outcome.SUCCEEDED, Outcome.PARTIAL))
    if outcome not in (None, Outcome.SUCCEEDED):
        assert "said so" in status.findings[0]


def test_a_state_that_nobody_knows_is_no_success(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.world.jobs[job]["State"] = "AGGREGATE_ALL"
    assert provider.status(job).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("loss", ["recovery point", "mark"])
def test_a_completed_job_whose_recovery_point_is_not_shown_is_unknown(rig: ProductRig, loss: str) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.let_jobs_end()
    if loss == "mark":
        rig.world.tags.clear()
    else:
        rig.world.points.clear()
    status = provider.status(job)
    assert status.outcome is Outcome.UNKNOWN
    assert status.restore_point is None
    assert status.findings


def test_vss_is_told_as_the_job_tells_it(rig: ProductRig) -> None:
    rig.settings["consistency"] = "vss"
    provider, status = rig.back_up()
    assert asked(rig, "StartBackupJob")[0]["BackupOptions"] == {"WindowsVSS": "enabled"}
    assert status.restore_point is not None
    assert status.restore_point.consistency.startswith("application-consistent: Windows VSS")
    assert provider.restore_points()[0].consistency.startswith("not known")


def test_vss_that_ended_with_a_warning_is_degraded(rig: ProductRig) -> None:
    rig.settings["consistency"] = "vss"
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.world.end_jobs("COMPLETED", "Windows VSS Backup attempt failed", "VSSTimeout")
    point = finished(provider, job).restore_point
    assert point is not None
    assert point.consistency.startswith("degraded: crash-consistent")
    assert point.outcome is Outcome.PARTIAL


def test_a_running_job_is_stopped_and_an_ended_one_left_alone(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    assert provider.cancel(job).outcome is Outcome.FAILED
    assert provider.cancel(job).outcome is Outcome.FAILED


def test_a_job_of_another_vault_is_not_ours(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.world.jobs[job]["BackupVaultName"] = "daily"
    with pytest.raises(ProviderError, match="there is no job"):
        provider.status(job)


# ---- how long it is kept ----


def test_retention_is_the_lifecycle_and_never_shortened(rig: ProductRig) -> None:
    rig.settings["delete_after"] = "30d"
    provider, point = rig.restore_point()
    rig.world.points[point.reference]["Lifecycle"]["MoveToColdStorageAfterDays"] = 7
    provider.set_retention(point, in_days(10))
    assert asked(rig, "UpdateRecoveryPointLifecycle") == []
    kept = provider.set_retention(point, in_days(199.5))
    assert rig.world.points[point.reference]["Lifecycle"] == {"DeleteAfterDays": 200, "MoveToColdStorageAfterDays": 7}
    assert "200 days" in kept.findings[0]
    with pytest.raises(InputError, match="past"):
        provider.set_retention(point, in_days(-1))


def test_a_recovery_point_without_an_end_is_left_as_it_is(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    assert provider.set_retention(point, in_days(30)).findings == ("its lifecycle has no end",)
    assert asked(rig, "UpdateRecoveryPointLifecycle") == []


def test_a_lifecycle_that_was_not_taken_is_no_success(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.settings["delete_after"] = "30d"
    provider, point = rig.restore_point()

    def ignored(_given: dict[str, object]) -> None:
        return None

    monkeypatch.setattr(rig.world, "UpdateRecoveryPointLifecycle", ignored)
    with pytest.raises(ProviderError, match="is not kept for"):
        provider.set_retention(point, in_days(90))


def test_a_legal_hold_is_placed_once_and_cancelled(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    held = provider.hold(point, "HOLD-1", on=True)
    provider.hold(held, "HOLD-1", on=True)
    provider.hold(held, "HOLD-2", on=True)
    provider.hold(held, "HOLD-3", on=True)
    assert len(rig.world.holds) == 3
    (said, *_) = asked(rig, "CreateLegalHold")
    selection = said["RecoveryPointSelection"]
    assert isinstance(selection, dict)
    assert (selection["VaultNames"], selection["ResourceIdentifiers"]) == (["incidents"], [RESOURCE])
    assert selection["DateRange"]["FromDate"] <= point.taken_at < selection["DateRange"]["ToDate"]
    with pytest.raises(ProviderError, match="cannot be deleted") as caught:
        provider.delete(point)
    assert "legal holds keep it" in (caught.value.why or "")
    for hold in ("HOLD-1", "HOLD-2", "HOLD-3", "HOLD-3"):
        provider.hold(point, hold, on=False)
    assert {hold["Status"] for hold in rig.world.holds.values()} == {"CANCELING"}
    provider.delete(point)
    provider.delete(point)
    assert rig.world.points == {}


def test_a_hold_placed_again_after_its_end_is_another_one(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    for _ in range(2):
        provider.hold(point, "HOLD-1", on=True)
        provider.hold(point, "HOLD-1", on=False)
    assert len(rig.world.holds) == 2


def test_a_hold_that_is_still_being_made_is_told_as_such(rig: ProductRig) -> None:
    rig.world.holds_at_once = False
    provider, point = rig.restore_point()
    assert provider.hold(point, "HOLD-1", on=True).findings[0].endswith("is being created")


def test_a_hold_that_does_not_catch_the_recovery_point_is_no_success(rig: ProductRig) -> None:
    rig.world.holds_catch = False
    provider, point = rig.restore_point()
    with pytest.raises(ProviderError, match="does not hold"):
        provider.hold(point, "HOLD-1", on=True)


def test_what_a_locked_vault_keeps_is_not_deleted(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    rig.world.vault = {"Locked": True}
    with pytest.raises(ProviderError, match="refused delete_recovery_point") as caught:
        provider.delete(point)
    assert "The vault is locked" in (caught.value.why or "")
    assert point.reference in rig.world.points


def test_a_suspect_recovery_point_bears_a_warning(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    assert provider.mark_infected(point, "YARA: locker").findings == ("may hold malware: YARA: locker",)
    assert rig.world.tags[point.reference]["snaphold:infected"] == "YARA:@20locker"


def test_verification_tells_what_is_gone(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    assert provider.verify(point).outcome is Outcome.UNKNOWN
    rig.world.points.clear()
    assert provider.verify(point).outcome is Outcome.FAILED
    with pytest.raises(ProviderError, match="is gone"):
        provider.set_retention(point, in_days(9))


# ---- what does not fit ----


@pytest.mark.slow
def test_the_lock_of_a_vault_must_fit_what_is_asked(rig: ProductRig) -> None:
    rig.settings["delete_after"] = "30d"
    rig.world.vault = {"Locked": True, "MinRetentionDays": 90}
    assert "at least 90 days" in rig.provider().check_health().reasons[0]
    rig.world.vault = {"Locked": True, "MaxRetentionDays": 7}
    assert "at most 7 days" in rig.provider().check_health().reasons[0]
    rig.world.vault = {"Locked": True, "MinRetentionDays": 7, "MaxRetentionDays": 90}
    assert rig.provider().check_health().fit


@pytest.mark.slow
def test_a_vault_that_does_not_exist_is_named(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(rig), "location", "elsewhere")
    health = rig.provider().check_health()
    assert not health.fit
    assert "elsewhere" in health.reasons[0]


@pytest.mark.slow
def test_a_resource_of_another_region_is_refused(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = RESOURCE.replace("eu-west-1", "us-east-1")
    monkeypatch.setattr(rig, "workloads", lambda: {"my-aws-backup": elsewhere})
    with pytest.raises(ProviderError, match="another region"):
        rig.provider().find_workload(rig.asset)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "names no role"),
        ({"backup_role": "admin"}, "names no role"),
        ({"backup_role": ROLE, "consistency": "best"}, "consistency of the pool"),
        ({"backup_role": ROLE, "delete_after": "ever"}, "delete_after of the pool"),
        ({"backup_role": ROLE, "lock": "x"}, "settings that nobody reads: lock"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_sent(rig: ProductRig, settings: dict[str, str], text: str) -> None:
    rig.settings = settings
    with pytest.raises(InputError, match=text):
        rig.provider()
    assert rig.world.server.said == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("refusal", "kind", "text"),
    [
        (Refusal("AccessDeniedException", "No.", 403), NotAuthorisedError, "does not allow start_backup_job"),
        (Refusal("LimitExceededException", "No."), CapacityError, "has no room"),
        (Refusal("UnrecognizedClientException", "No.", 403), NotAuthorisedError, "does not accept the sign-in"),
        (Refusal("InvalidParameterValueException", "No."), ProviderError, "refused start_backup_job"),
        (Refusal("ServiceUnavailableException", "No.", 500), UnknownOutcomeError, "it is not known whether"),
    ],
    ids=lambda item: getattr(item, "code", None),
)
def test_refusals_of_a_start_differ(rig: ProductRig, refusal: Refusal, kind: type[Exception], text: str) -> None:
    rig.world.server.refuse["StartBackupJob"] = refusal
    provider = rig.provider()
    with pytest.raises(kind, match=text):
        provider.start(rig.order(provider))
    assert rig.started() == 0


@pytest.mark.slow
def test_rights_to_read_that_lack_are_named(rig: ProductRig) -> None:
    rig.world.server.refuse["ListLegalHolds"] = Refusal("AccessDeniedException", "No.", 403)
    (missing,) = check_connection(rig.integration, rig.configuration).missing
    assert missing.startswith("list_legal_holds is refused")


# ---- a bad network ----


@pytest.mark.slow
@pytest.mark.parametrize("fault", QUICK)
def test_a_start_of_which_the_answer_is_lost_begins_one_job(rig: ProductRig, proxy: FaultProxy, fault: str) -> None:
    rig.world.points_at_once = False
    provider = rig.provider()
    order = rig.order(provider)
    proxy.only, proxy.faults = b"PUT /backup-jobs", [fault]
    with contextlib.suppress(UnknownOutcomeError):
        provider.start(order)
    proxy.faults.clear()
    job = rig.provider().start(order)
    assert rig.started() == 1
    rig.let_jobs_end()
    assert finished(provider, job).outcome is Outcome.SUCCEEDED


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["find_started", "status", "restore_points", "hold", "set_retention", "delete", "mark"])
@pytest.mark.parametrize("fault", QUICK)
def test_a_fault_that_stays_is_never_a_success(rig: ProductRig, proxy: FaultProxy, fault: str, verb: str) -> None:
    rig.settings["delete_after"] = "30d"
    provider, point = rig.restore_point()
    (job,) = rig.world.jobs
    proxy.faults = [fault] * 200
    calls = {
        "find_started": lambda: provider.find_started(KEY),
        "status": lambda: provider.status(job),
        "restore_points": provider.restore_points,
        "hold": lambda: provider.hold(point, "HOLD-1", on=True),
        "set_retention": lambda: provider.set_retention(point, in_days(60)),
        "delete": lambda: provider.delete(point),
        "mark": lambda: provider.mark_infected(point, "x"),
    }
    with pytest.raises(ProviderError):
        calls[verb]()
    proxy.faults.clear()


@pytest.mark.slow
@pytest.mark.parametrize("call", [b"DELETE ", b"POST /tags/", b"POST /legal-holds"])
@pytest.mark.parametrize("fault", ["gateway_html", "empty_200"])
def test_a_page_of_a_gateway_is_not_taken_for_an_answer(rig: ProductRig, proxy: FaultProxy, fault: str, call: bytes) -> None:
    provider, point = rig.restore_point()
    proxy.only, proxy.faults = call, [fault] * 20
    verbs = {
        b"DELETE ": lambda: provider.delete(point),
        b"POST /tags/": lambda: provider.mark_infected(point, "x"),
        b"POST /legal-holds": lambda: provider.hold(point, "HOLD-1", on=True),
    }
    with pytest.raises(ProviderError):
        verbs[call]()
    assert point.reference in rig.world.points
    assert rig.world.holds == {}
