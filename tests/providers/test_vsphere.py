"""vSphere against vCenter's simulator: what a person may meet, and what is left behind."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.domain.outcome import Outcome
from snaphold.errors import CapacityError, InputError, NotAuthorisedError, ProviderError, UnknownOutcomeError
from snaphold.providers import vsphere_jobs
from snaphold.providers.base import JobState, Workload
from snaphold.providers.registry import check_connection, open_provider
from support.quick_retries import no_pauses
from support.vendor_rigs import ASSET, INCIDENT, KEY, finished
from support.vsphere_rig import ProductRig
from support.vsphere_simulator import PASSWORD

pytestmark = pytest.mark.slow
SECOND_KEY = "INC-1/snapshot_wave.start/orders-db/2"


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_pauses(monkeypatch)
    monkeypatch.setattr(vsphere_jobs, "POLL_SECONDS", 0.01)
    made = ProductRig(tmp_path)
    yield made
    made.close()


def workload(rig: ProductRig, name: str) -> Workload:
    protection = rig.asset.protection.model_copy(update={"workloads": {"my-vsphere": name}})
    return rig.provider().find_workload(rig.asset.model_copy(update={"protection": protection}))


def test_a_machine_that_is_there_twice_is_named_by_its_id(rig: ProductRig) -> None:
    for machine in (rig.second, rig.third):
        rig.vcenter.control("machine", id=machine, name="TWIN")
    with pytest.raises(ProviderError, match="2 machines 'TWIN'") as caught:
        workload(rig, "TWIN")
    assert f"id:{rig.second}" in str(caught.value)
    assert workload(rig, f"id:{rig.third}").reference == rig.third
    with pytest.raises(ProviderError, match="no machine vm-nobody"):
        workload(rig, "id:vm-nobody")


def test_names_are_read_as_people_write_them(rig: ProductRig) -> None:
    rig.vcenter.control("machine", id=rig.second, name="web%2f01")
    assert workload(rig, "web/01").reference == rig.second


def test_a_wrong_password_is_sent_once_and_never_shown(
    rig: ProductRig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    integration, configuration = rig.integration, rig.configuration
    monkeypatch.setenv("RIG_VSPHERE_PASSWORD", "wrong-password")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(NotAuthorisedError, match="does not accept the sign-in") as caught:
        check_connection(integration, configuration)
    assert rig.proxy.count("Login") == 1
    assert "wrong-password" not in str(caught.value) + caplog.text


def test_a_missing_right_is_named_before_and_when_it_is_needed(rig: ProductRig) -> None:
    rig.proxy.rewrites["HasPrivilegeOnEntities"] = (b"<isGranted>true</isGranted>", b"<isGranted>false</isGranted>")
    found = check_connection(rig.integration, rig.configuration)
    assert "VirtualMachine.State.CreateSnapshot is missing on ORDERS-VM01" in found.missing
    rig.proxy.switch_on("NoPermission", "CreateSnapshot_Task")
    provider = rig.provider()
    with pytest.raises(NotAuthorisedError, match="CreateSnapshot"):
        provider.start(rig.order(provider))
    assert rig.started() == 0


def test_a_certificate_of_nobody_is_refused(rig: ProductRig) -> None:
    untrusting = rig.integration.model_copy(update={"ca_file": ""})
    with pytest.raises(ProviderError, match="is not trusted"):
        check_connection(untrusting, rig.configuration)
    missing = rig.integration.model_copy(update={"ca_file": "nowhere.pem"})
    with pytest.raises(InputError, match="does not exist"):
        check_connection(missing, rig.configuration)
    assert rig.proxy.calls == []


def test_a_wrong_address_is_told(rig: ProductRig) -> None:
    with pytest.raises(ProviderError, match="cannot be reached"):
        check_connection(rig.integration.model_copy(update={"url": "https://127.0.0.1:9"}), rig.configuration)
    with pytest.raises(InputError, match="without TLS"):
        check_connection(rig.integration.model_copy(update={"url": "http://vcenter.example.org"}), rig.configuration)
    rig.proxy.switch_on("garbage")
    with pytest.raises(UnknownOutcomeError, match="not understood") as caught:
        check_connection(rig.integration, rig.configuration)
    assert "vCenter" in str(caught.value.do)


def test_an_old_api_is_refused_before_the_password_is_sent(rig: ProductRig) -> None:
    rig.proxy.rewrites["RetrieveServiceContent"] = (b"<apiVersion>6.5</apiVersion>", b"<apiVersion>5.5</apiVersion>")
    with pytest.raises(ProviderError, match="too old"):
        check_connection(rig.integration, rig.configuration)
    assert rig.proxy.count("Login") == 0


def test_every_session_is_ended(rig: ProductRig) -> None:
    provider, point = rig.restore_point()
    provider.restore_points()
    rig.proxy.switch_on("NoPermission", "RetrievePropertiesEx")
    with pytest.raises(NotAuthorisedError):
        provider.capacity()
    provider.delete(point)
    assert rig.proxy.count("Login") == rig.proxy.count("Logout") > 4


def test_a_datastore_that_cannot_be_used_is_told(rig: ProductRig) -> None:
    rig.vcenter.control("datastore", mode="inMaintenance")
    assert "maintenance" in rig.provider().check_health().reasons[0]
    rig.vcenter.control("datastore", accessible="false", mode="normal")
    provider = rig.provider()
    assert not provider.check_health().fit
    assert provider.capacity().free is None
    with pytest.raises(ProviderError, match="LocalDS_0 cannot be reached"):
        provider.find_workload(rig.asset)


def test_a_datastore_that_nobody_has_is_named(rig: ProductRig) -> None:
    configuration = rig.configuration
    pool = configuration.pools[0].model_copy(update={"location": "ds-99"})
    with pytest.raises(ProviderError, match="no datastore 'ds-99'") as caught:
        open_provider(pool, configuration, INCIDENT, rig.provider().clock).capacity()  # pyright: ignore[reportAttributeAccessIssue]
    assert "LocalDS_0" in str(caught.value)


def test_a_full_datastore_is_told_at_the_call_and_from_the_task(rig: ProductRig) -> None:
    provider = rig.provider()
    rig.proxy.switch_on("NoDiskSpace", "CreateSnapshot_Task")
    with pytest.raises(CapacityError, match="LocalDS_0 is full"):
        provider.start(rig.order(provider))
    job = provider.start(rig.order(provider))
    rig.vcenter.let_tasks_end("NoDiskSpace")
    status = finished(provider, job)
    assert status.outcome is Outcome.FAILED
    assert "full" in status.findings[0]


def test_a_guest_that_cannot_be_quiesced_fails_and_says_so(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    assert provider.status(job).state is JobState.RUNNING
    rig.let_jobs_end(well=False)
    for asked in (provider, rig.provider()):
        status = asked.status(job)
        assert status.outcome is Outcome.FAILED
        assert "could not be quiesced" in status.findings[0]
    assert provider.restore_points() == []


def test_tools_that_do_not_run_make_it_partial(rig: ProductRig) -> None:
    rig.vcenter.control("machine", id=rig.machine, tools="guestToolsNotRunning")
    _, status = rig.back_up()
    assert status.outcome is Outcome.PARTIAL
    assert status.restore_point is not None
    assert status.restore_point.consistency.startswith("crash-consistent")


def test_a_machine_that_is_off_is_at_rest(rig: ProductRig) -> None:
    rig.vcenter.control("machine", id=rig.machine, power="poweredOff", tools="guestToolsNotRunning")
    _, status = rig.back_up()
    assert status.outcome is Outcome.SUCCEEDED
    assert status.restore_point is not None
    assert status.restore_point.consistency.startswith("at rest")


def test_a_machine_whose_host_is_gone_is_not_started(rig: ProductRig) -> None:
    rig.vcenter.control("machine", id=rig.machine, connection="disconnected")
    with pytest.raises(ProviderError, match="cannot be reached"):
        rig.provider().find_workload(rig.asset)


def test_nothing_is_started_while_another_snapshot_is_made(rig: ProductRig) -> None:
    provider = rig.provider()
    order = rig.order(provider)
    job = provider.start(order)
    shutil.rmtree(rig.configuration.state_folder / "vsphere")  # as another machine sees it
    with pytest.raises(ProviderError, match="being made already") as caught:
        provider.start(order)
    assert caught.value.retryable
    rig.let_jobs_end()
    assert provider.start(order) == job
    assert rig.started() == 1


def test_removal_takes_one_snapshot_and_leaves_those_that_build_on_it(rig: ProductRig) -> None:
    provider, first = rig.restore_point()
    _, second = rig.restore_point(SECOND_KEY)
    strange = first.model_copy(update={"key": "INC-2/other/orders-db/1"})
    with pytest.raises(ProviderError, match="is not that of"):
        provider.delete(strange)
    assert len(provider.restore_points()) == 2
    provider.delete(first)
    assert [item.id for item in provider.restore_points()] == [second.id]
    provider.delete(first)
    assert rig.proxy.count("RemoveSnapshot_Task") == 1


def test_two_backups_of_one_machine_are_told_apart(rig: ProductRig) -> None:
    provider, first = rig.restore_point()
    job = provider.start(rig.order(provider, SECOND_KEY))
    rig.let_jobs_end(well=False)
    assert provider.status(job).outcome is Outcome.FAILED
    again = provider.find_started(KEY)
    assert again
    assert provider.status(again).restore_point == first


def test_points_of_another_incident_are_not_shown(rig: ProductRig) -> None:
    rig.back_up()
    configuration = rig.configuration
    other = open_provider(configuration.pools[0], configuration, "INC-2", rig.provider().clock)  # pyright: ignore[reportAttributeAccessIssue]
    assert other.restore_points() == []


def test_no_secret_is_left_in_the_state_folder(rig: ProductRig) -> None:
    rig.back_up()
    kept = [path.read_text() for path in rig.configuration.state_folder.rglob("*") if path.is_file()]
    assert kept
    assert all(PASSWORD not in text for text in kept)
    assert ASSET in rig.provider().restore_points()[0].id
