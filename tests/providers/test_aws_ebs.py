"""EBS snapshots against moto's server: locks, copies, sharing, VSS, and every refusal by its own name."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from snaphold.clock import FixedClock
from snaphold.config import Integration
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import CapacityError, InputError, NotAuthorisedError, ProviderError, UnknownOutcomeError
from snaphold.providers.aws_ebs import AwsEbs
from snaphold.providers.base import JobState, Provider
from snaphold.providers.registry import check_connection, open_provider
from support.aws_ebs_rig import ProductRig
from support.aws_moto import ISOLATED_ACCOUNT, ISOLATED_ROLE, OTHER_REGION, REGION
from support.quick_aws import no_aws_pauses
from support.vendor_rigs import ASSET, INCIDENT, KEY, finished

DAY = timedelta(days=1)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_aws_pauses(monkeypatch)
    made = ProductRig(tmp_path)
    yield made
    made.close()


def in_days(days: float) -> datetime:
    return datetime.now(timezone.utc) + timedelta(days=days)


def locked_until(rig: ProductRig) -> list[datetime]:
    return sorted(lock.until for lock in rig.world.locks.values())


# ---- what is started ----


def test_all_volumes_of_the_instance_are_snapshotted_with_our_marks(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    snapshots = rig.world.snapshots()
    assert sorted(point.reference.split(",")) == sorted(item.id for item in snapshots)
    marks = {tag["key"]: tag["value"] for tag in snapshots[0].get_tags()}
    assert marks["snaphold:incident"] == INCIDENT
    assert marks["snaphold:key"] == KEY
    assert marks["snaphold:tier"] == "T0"
    assert marks["snaphold:volumes"] == "2"
    assert point.size == 2 * 8 * 1024**3
    assert point.consistency.startswith("crash-consistent")
    assert provider.estimate(provider.find_workload(rig.asset)).bytes == 2 * 8 * 1024**3


def test_a_key_with_any_characters_comes_back_whole(rig: ProductRig) -> None:
    key = "INC-1/start/órders db;Key=x,Value=*+a/1"
    _, point = rig.restore_point(key)
    assert point.key == key
    assert rig.provider().restore_points()[0].key == key


def test_tags_that_appear_late_do_not_start_a_second_time(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.world.late_tags = 1
    assert rig.provider().start(rig.order(provider)) == job
    assert rig.started() == 1


def test_running_work_is_told_with_what_it_has_to_copy(rig: ProductRig) -> None:
    provider = rig.provider()
    status = provider.status(provider.start(rig.order(provider)))
    assert (status.state, status.outcome) == (JobState.RUNNING, None)
    assert status.bytes_total == 2 * 8 * 1024**3


def test_a_volume_that_fails_makes_the_backup_partial(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.let_jobs_end()
    bad = rig.world.snapshots()[0]
    bad.status = "error"
    status = finished(provider, job)
    assert (status.state, status.outcome) == (JobState.DONE, Outcome.PARTIAL)
    assert bad.id in status.findings[0]
    assert status.restore_point is not None
    assert bad.id not in status.restore_point.reference
    assert status.restore_point.outcome is Outcome.PARTIAL


def test_a_snapshot_that_never_appeared_makes_the_backup_partial(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.let_jobs_end()
    rig.world.backend().snapshots.pop(rig.world.snapshots()[0].id)
    status = finished(provider, job)
    assert status.outcome is Outcome.PARTIAL
    assert status.findings == ("1 of 2 volumes have a snapshot",)


def test_a_state_that_nobody_knows_is_no_success(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.world.set_states("recoverable")
    assert provider.status(job).outcome is Outcome.UNKNOWN
    assert provider.restore_points() == []


@pytest.mark.parametrize("job", ["*", "JOB-*", "JOB-0123456789abcdef", "snap-1"])
def test_a_job_cannot_be_a_pattern(rig: ProductRig, job: str) -> None:
    provider, _ = rig.back_up()
    with pytest.raises(ProviderError, match="there is no job"):
        provider.status(job)


def test_too_many_calls_are_waited_out(rig: ProductRig) -> None:
    rig.world.throttle["CreateSnapshots"] = 3
    rig.world.throttle["DescribeSnapshots"] = 3
    provider = rig.provider()
    provider.start(rig.order(provider))
    assert rig.started() == 1


# ---- workloads ----


@pytest.mark.slow
def test_an_instance_is_found_by_its_id_too(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "workloads", lambda: {"my-aws": rig.instance})
    assert rig.provider().find_workload(rig.asset).reference == rig.instance


@pytest.mark.slow
def test_a_name_that_two_instances_bear_is_not_guessed(rig: ProductRig) -> None:
    second = rig.world.run_instance(ASSET)
    with pytest.raises(ProviderError, match="more than one instance") as caught:
        rig.provider().find_workload(rig.asset)
    assert second in str(caught.value)


@pytest.mark.slow
def test_an_id_that_does_not_exist_is_named(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "workloads", lambda: {"my-aws": "i-0123456789abcdef0"})
    with pytest.raises(ProviderError, match="i-0123456789abcdef0"):
        rig.provider().find_workload(rig.asset)


@pytest.mark.slow
def test_an_instance_that_is_gone_is_told_as_such(rig: ProductRig) -> None:
    rig.world.client().terminate_instances(InstanceIds=[rig.instance])
    with pytest.raises(ProviderError, match="EC2 has no instance") as caught:
        rig.provider().find_workload(rig.asset)
    assert "terminated" in (caught.value.why or "")


# ---- locks ----


@pytest.mark.slow
def test_retention_is_a_lock_that_is_never_shortened(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    kept = provider.set_retention(point, in_days(30))
    assert "governance mode until" in kept.findings[0]
    first = locked_until(rig)
    assert len(first) == 2
    assert all(in_days(29.9) < until < in_days(30.1) for until in first)
    provider.set_retention(point, in_days(10))
    assert locked_until(rig) == first
    provider.set_retention(point, in_days(60))
    assert locked_until(rig)[0] > in_days(59)


@pytest.mark.slow
def test_a_lock_lasts_at_least_the_day_that_ec2_asks_for(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    provider.set_retention(point, in_days(0.1))
    assert locked_until(rig)[0] > in_days(1)
    with pytest.raises(InputError, match="past"):
        provider.set_retention(point, in_days(-1))


@pytest.mark.slow
def test_what_is_locked_is_not_deleted_and_the_lock_is_named(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    held = provider.hold(point, "HOLD-1", on=True)
    assert locked_until(rig)[0] > in_days(3600)
    with pytest.raises(ProviderError, match="cannot be deleted") as caught:
        provider.delete(held)
    assert "governance mode until" in (caught.value.why or "")
    assert "release its holds" in (caught.value.do or "")
    assert rig.started() == 1


@pytest.mark.slow
def test_the_last_hold_to_end_frees_the_snapshots(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    provider.hold(point, "HOLD-1", on=True)
    provider.hold(point, "HOLD-2", on=True)
    provider.hold(point, "HOLD-1", on=False)
    assert len(rig.world.locks) == 2
    provider.hold(point, "HOLD-2", on=False)
    assert rig.world.locks == {}
    provider.hold(point, "HOLD-2", on=False)
    provider.delete(point)
    assert rig.started() == 0
    provider.delete(point)


@pytest.mark.slow
def test_the_end_of_a_hold_leaves_the_retention(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    provider.set_retention(point, in_days(30))
    provider.hold(point, "HOLD-1", on=True)
    provider.hold(point, "HOLD-1", on=False)
    assert all(in_days(29.9) < until < in_days(30.1) for until in locked_until(rig))


@pytest.mark.slow
def test_a_longer_lock_of_somebody_else_stays(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    provider.hold(point, "HOLD-1", on=True)
    for lock in rig.world.locks.values():
        lock.until = in_days(9000)
    provider.hold(point, "HOLD-1", on=False)
    assert locked_until(rig)[0] > in_days(8999)


@pytest.mark.slow
def test_a_lock_in_compliance_mode_is_lifted_by_nobody(rig: ProductRig) -> None:
    rig.settings = {"lock_mode": "compliance", "hold_lasts": "40d"}
    provider, point = rig.restore_point()
    provider.hold(point, "HOLD-1", on=True)
    assert {lock.mode for lock in rig.world.locks.values()} == {"compliance"}
    with pytest.raises(ProviderError, match="cannot be released") as caught:
        provider.hold(point, "HOLD-1", on=False)
    assert "lifted by nobody" in (caught.value.why or "")
    with pytest.raises(ProviderError, match="cannot be deleted") as refused:
        provider.delete(point)
    assert "nobody can lift it" in (refused.value.do or "")


@pytest.mark.slow
def test_a_lock_that_was_not_made_is_no_success(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    provider, point = rig.restore_point()

    def other_lock(_self: object, _name: str) -> str:
        return "<lockState>governance</lockState>"

    monkeypatch.setattr(type(rig.world), "_lock_xml", other_lock)
    with pytest.raises(ProviderError, match="is not locked until"):
        provider.set_retention(point, in_days(30))


@pytest.mark.slow
def test_an_endpoint_without_locks_says_so(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    rig.world.refuse["DescribeLockedSnapshots"] = (400, "InvalidAction", "The action is not valid for this web service.")
    with pytest.raises(ProviderError, match="does not know describe_locked_snapshots"):
        provider.hold(point, "HOLD-1", on=True)


# ---- isolated copies ----


def isolated(rig: ProductRig, settings: dict[str, str], **pool: str) -> tuple[Provider, RestorePoint]:
    """Back up with a second integration as the isolated place; return the adapter and the restore point."""
    rig.settings = {"copy_to": "isolated", **pool}
    given = {**rig.integration.settings, **settings}
    other = rig.integration.model_copy(update={"name": "isolated", "settings": given})
    configuration = rig.configuration
    configuration = configuration.model_copy(update={"integrations": (*configuration.integrations, other)}).placed_at(rig.folder)
    provider = open_provider(configuration.pools[0], configuration, INCIDENT, FixedClock(datetime.now(timezone.utc)))
    job = provider.start(rig.order(provider))
    rig.let_jobs_end()
    point = finished(provider, job).restore_point
    assert point is not None
    return provider, point


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "region", "account"),
    [({"region": OTHER_REGION}, OTHER_REGION, ""), ({"role_arn": ISOLATED_ROLE}, REGION, ISOLATED_ACCOUNT)],
    ids=["other region", "other account"],
)
def test_a_held_restore_point_is_copied_out_of_reach_once(
    rig: ProductRig, settings: dict[str, str], region: str, account: str
) -> None:
    provider, point = isolated(rig, settings)
    place = {"region": region, "account": account} if account else {"region": region}
    held = provider.hold(point, "HOLD-1", on=True)
    copies = rig.world.snapshots(**place)
    assert len(copies) == 2
    assert len(rig.world.locks) == 4
    assert len(held.findings) == 2
    provider.hold(point, "HOLD-2", on=True)
    provider.set_retention(point, in_days(30))
    assert rig.world.calls["CopySnapshot"] == 2
    with pytest.raises(ProviderError, match="cannot be deleted"):
        provider.delete(point)
    for hold in ("HOLD-1", "HOLD-2"):
        provider.hold(point, hold, on=False)
    assert len(rig.world.locks) == 4
    rig.world.locks.clear()
    provider.delete(point)
    assert rig.world.snapshots(**place) == rig.world.snapshots() == []


@pytest.mark.slow
def test_only_the_isolated_account_may_read_what_is_copied_there(rig: ProductRig) -> None:
    provider, point = isolated(rig, {"role_arn": ISOLATED_ROLE})
    provider.hold(point, "HOLD-1", on=True)
    for item in rig.world.snapshots():
        assert item.create_volume_permission_userids == {ISOLATED_ACCOUNT}
        assert item.create_volume_permission_groups == set()


@pytest.mark.slow
def test_a_copy_of_which_nothing_is_heard_is_unknown(rig: ProductRig) -> None:
    provider, point = isolated(rig, {"region": OTHER_REGION})
    rig.world.refuse["CopySnapshot"] = (500, "InternalError", "An internal error has occurred.")
    with pytest.raises(UnknownOutcomeError, match="is being copied"):
        provider.hold(point, "HOLD-1", on=True)
    assert rig.world.calls["CopySnapshot"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("place", ["nowhere", "my-aws"])
def test_a_place_of_copies_that_does_not_fit_is_named(rig: ProductRig, place: str) -> None:
    _, point = rig.restore_point()
    rig.settings = {"copy_to": place}
    with pytest.raises(InputError, match="names no other aws_ebs integration"):
        rig.provider().hold(point, "HOLD-1", on=True)


# ---- investigators ----


@pytest.mark.slow
def test_a_restore_point_is_shared_with_the_investigators_and_no_longer(rig: ProductRig) -> None:
    rig.settings = {"publish_to": "333333333333"}
    provider, point = rig.restore_point()
    published = provider.publish(point, "case-1")
    assert "333333333333" in published.address
    assert provider.publish(point, "case-1") == published
    assert [item.create_volume_permission_userids for item in rig.world.snapshots()] == [{"333333333333"}] * 2
    provider.end_publication(published.reference)
    provider.end_publication(published.reference)
    assert [item.create_volume_permission_userids for item in rig.world.snapshots()] == [set(), set()]


@pytest.mark.slow
def test_nobody_is_shared_with_unless_named(rig: ProductRig) -> None:
    rig.settings = {}
    provider, point = rig.restore_point()
    with pytest.raises(InputError, match="no account of investigators"):
        provider.publish(point, "case-1")


@pytest.mark.slow
def test_a_suspect_restore_point_bears_a_warning(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    assert provider.mark_infected(point, "YARA: locker").findings == ("may hold malware: YARA: locker",)
    marks = [{tag["key"]: tag["value"] for tag in item.get_tags()} for item in rig.world.snapshots()]
    assert [item["snaphold:infected"] for item in marks] == ["YARA:@20locker"] * 2


@pytest.mark.slow
def test_verification_tells_what_is_gone(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    assert provider.verify(point).outcome is Outcome.UNKNOWN
    rig.world.backend().snapshots.pop(point.reference.split(",")[0])
    verification = provider.verify(point)
    assert verification.outcome is Outcome.FAILED
    assert verification.findings[0].endswith("is gone")


# ---- application-consistent, through Systems Manager ----


def vss_document_ran(rig: ProductRig, provider: Provider, consistent: str) -> None:
    """Do what the document does on a Windows instance: make snapshots with the tags that it was given."""
    (command,) = rig.world.client("ssm").list_commands()["Commands"]
    assert command["InstanceIds"] == [rig.instance]
    pairs = [pair.split(",", 1) for pair in command["Parameters"]["tags"][0].split(";")]
    tags = [{"Key": name.removeprefix("Key="), "Value": value.removeprefix("Value=")} for name, value in pairs]
    tags.append({"Key": "AppConsistent", "Value": consistent})
    given = [{"ResourceType": "snapshot", "Tags": tags}]
    rig.world.client().create_snapshots(InstanceSpecification={"InstanceId": rig.instance}, TagSpecifications=given)
    rig.let_jobs_end()


@pytest.mark.slow
def test_a_vss_backup_is_told_as_its_document_tells_it(rig: ProductRig) -> None:
    rig.settings = {"consistency": "vss"}
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    assert rig.world.calls["CreateSnapshots"] == 0
    assert rig.provider().start(rig.order(provider)) == job
    assert rig.world.calls["SendCommand"] == 1
    vss_document_ran(rig, provider, "True")
    status = finished(provider, job)
    assert status.outcome is Outcome.SUCCEEDED
    assert status.restore_point is not None
    assert status.restore_point.consistency.startswith("application-consistent: VSS by AWSEC2-CreateVssSnapshot")
    assert "not checked here" in status.restore_point.consistency


@pytest.mark.slow
def test_a_vss_backup_that_did_not_freeze_is_partial_and_degraded(rig: ProductRig) -> None:
    rig.settings = {"consistency": "vss"}
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    vss_document_ran(rig, provider, "False")
    status = finished(provider, job)
    assert status.outcome is Outcome.PARTIAL
    assert status.restore_point is not None
    assert status.restore_point.consistency.startswith("degraded: crash-consistent")
    assert rig.provider().restore_points()[0].consistency == status.restore_point.consistency


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "state", "outcome"),
    [
        ("InProgress", JobState.RUNNING, None),
        ("Failed", JobState.FAILED, Outcome.FAILED),
        ("Success", JobState.FAILED, Outcome.UNKNOWN),
    ],
)
def test_a_command_without_snapshots_is_no_backup(rig: ProductRig, word: str, state: JobState, outcome: Outcome | None) -> None:
    from moto.ssm.models import ssm_backends

    rig.settings = {"consistency": "vss"}
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    (command,) = ssm_backends["123456789012"][REGION]._commands
    command.status = word
    status = provider.status(job)
    assert (status.state, status.outcome) == (state, outcome)


@pytest.mark.slow
def test_a_command_of_which_nothing_is_heard_is_unknown(rig: ProductRig) -> None:
    rig.settings = {"consistency": "vss"}
    rig.world.refuse["SendCommand"] = (500, "InternalServerError", "An error occurred on the server side.")
    provider = rig.provider()
    with pytest.raises(UnknownOutcomeError, match="was sent to"):
        provider.start(rig.order(provider))
    assert rig.world.calls["SendCommand"] == 1


# ---- refusals, each by its own name ----


def changed(rig: ProductRig, **changes: object) -> Integration:
    return rig.integration.model_copy(update=changes)


@pytest.mark.slow
def test_rights_that_lack_are_named_by_a_dry_run(rig: ProductRig) -> None:
    rig.world.denied = {"LockSnapshot", "CreateSnapshots"}
    found = check_connection(rig.integration, rig.configuration)
    assert found.missing == (
        "create_snapshots is refused: give it ec2:CreateSnapshots",
        "lock_snapshot is refused: give it ec2:LockSnapshot",
    )
    assert rig.started() == 0
    assert rig.world.locks == {}


@pytest.mark.slow
def test_wrong_credentials_are_told_as_such(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    integration, configuration = rig.integration, rig.configuration
    monkeypatch.setenv("RIG_AWS_ACCESS_KEY", "AKIAWRONG")
    monkeypatch.setenv("RIG_AWS_SECRET_KEY", "wrong-secret-one")
    with pytest.raises(NotAuthorisedError, match="does not accept the sign-in") as caught:
        check_connection(integration, configuration)
    assert "wrong-secret-one" not in str(caught.value)


@pytest.mark.slow
def test_a_right_that_lacks_is_named(rig: ProductRig) -> None:
    rig.world.denied = {"CreateSnapshots"}
    provider = rig.provider()
    with pytest.raises(NotAuthorisedError, match="does not allow create_snapshots") as caught:
        provider.start(rig.order(provider))
    assert "ec2:CreateSnapshots" in (caught.value.do or "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("SnapshotLimitExceeded", CapacityError, "has no room"),
        ("ConcurrentSnapshotLimitExceeded", ProviderError, "busy with earlier work"),
        ("InvalidAction", ProviderError, "does not know create_snapshots"),
    ],
)
def test_refusals_of_a_start_differ(rig: ProductRig, code: str, kind: type[Exception], text: str) -> None:
    rig.world.refuse["CreateSnapshots"] = (400, code, "No.")
    provider = rig.provider()
    with pytest.raises(kind, match=text):
        provider.start(rig.order(provider))
    assert rig.world.calls["CreateSnapshots"] == 1


@pytest.mark.slow
def test_wrong_addresses_are_told(rig: ProductRig) -> None:
    nowhere = changed(rig, url="http://127.0.0.1:9", settings={"region": REGION, "sts_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(ProviderError, match="cannot be reached"):
        check_connection(nowhere, rig.configuration)
    with pytest.raises(InputError, match="without TLS"):
        check_connection(changed(rig, url="http://ec2.eu-west-1.amazonaws.com"), rig.configuration)
    with pytest.raises(InputError, match="address of another service"):
        check_connection(changed(rig, url="https://backup.eu-west-1.amazonaws.com"), rig.configuration)
    with pytest.raises(InputError, match="region of my-aws is not known"):
        check_connection(changed(rig, settings={}), rig.configuration)


@pytest.mark.slow
def test_a_certificate_of_nobody_is_refused_and_our_own_authority_is_trusted(rig: ProductRig, tmp_path: Path) -> None:
    from snaphold.simulators.pagerduty import Simulator
    from snaphold.simulators.server import SimulatorServer

    with SimulatorServer(Simulator(), tmp_path / "tls") as server:
        settings = {"region": REGION, "sts_endpoint": server.url}
        with pytest.raises(ProviderError, match="is not trusted"):
            check_connection(changed(rig, url=server.url, settings=settings), rig.configuration)
        assert server.exchanges == []
        trusted = changed(rig, url=server.url, settings=settings, ca_file=str(server.ca_file))
        with pytest.raises((ProviderError, NotAuthorisedError)) as caught:
            check_connection(trusted, rig.configuration)
        assert "is not trusted" not in str(caught.value)
        assert server.exchanges != []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lock_mod": "governance"}, "settings that nobody reads: lock_mod"),
        ({"lock_mode": "strict"}, "lock_mode of the pool product-01 is 'strict'"),
        ({"hold_lasts": "ever"}, "hold_lasts of the pool product-01 is wrong"),
        ({"consistency": "best"}, "consistency of the pool"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_sent(rig: ProductRig, settings: dict[str, str], text: str) -> None:
    rig.settings = settings
    with pytest.raises(InputError, match=text):
        rig.provider()
    assert not rig.world.calls


@pytest.mark.slow
def test_a_pool_in_another_region_is_refused(rig: ProductRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(rig), "location", OTHER_REGION)
    with pytest.raises(InputError, match="different regions"):
        rig.provider()


@pytest.mark.slow
def test_a_failed_call_is_logged_without_secrets(rig: ProductRig, caplog: pytest.LogCaptureFixture) -> None:
    rig.world.denied = {"DescribeSnapshots"}
    provider = rig.provider()
    assert isinstance(provider, AwsEbs)
    assert not provider.check_health().fit
    (line,) = [record.message for record in caplog.records if record.name == "snaphold.providers.aws_session"]
    assert '"operation": "describe_snapshots"' in line
    assert '"code": "UnauthorizedOperation"' in line
    assert "only-for-tests" not in line
