"""What every platform must do, asked of the adapters and looked up in the simulators behind them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from snaphold.errors import InputError, NotAuthorisedError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.http_guard import forget_everything
from snaphold.platforms.base import CaseStatus, Platform, PlatformVerb
from snaphold.platforms.marker import is_ours, marker_of
from snaphold.platforms.registry import describe_platforms, open_platform, platform_names
from snaphold.providers.base import Support
from snaphold.simulators.faults import FOR_EVER, KINDS, Fault
from support.platform_rigs import RIGS, TIMEOUT, Rig
from support.quick_retries import calls_held, given_up_when_held, impatient, no_pauses

KEY = "INC-1/tell/orders-db/1"


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Rig]:
    no_pauses(monkeypatch)
    made = RIGS[request.param](tmp_path)
    given_up_when_held(monkeypatch, TIMEOUT.total_seconds(), calls_held(monkeypatch, made.server))
    yield made
    made.close()


def test_every_adapter_is_in_this_suite() -> None:
    assert platform_names() == sorted({name.split("-")[0] for name in RIGS})


@pytest.mark.parametrize("description", describe_platforms(), ids=lambda item: item.platform)
def test_every_verb_is_declared_with_a_reason_where_it_is_not_whole(description: object) -> None:
    from snaphold.platforms.base import PlatformDescription

    assert isinstance(description, PlatformDescription)
    assert set(description.capabilities) == set(PlatformVerb)
    for verb, capability in description.capabilities.items():
        assert capability.support is Support.FULL or capability.detail, verb


def test_the_connection_test_only_reads(rig: Rig) -> None:
    found = rig.platform().check()
    assert found.signed_in_as
    assert found.missing == ()
    assert {exchange.call.method for exchange in rig.server.exchanges if "oauth" not in exchange.call.path} == {"GET"}


def test_an_incident_is_read(rig: Rig) -> None:
    reference = rig.open_incident()
    case = rig.platform().read_incident(reference)
    assert (case.title, case.status) == ("Ransomware on the file server", CaseStatus.OPEN)
    assert case.number
    assert case.reference
    assert case.vendor_status


def test_an_incident_that_does_not_exist_is_named(rig: Rig) -> None:
    with pytest.raises(InputError, match="P0NOBODY"):
        rig.platform().read_incident("P0NOBODY")


@pytest.mark.parametrize("reference", ["", "../users/me", "a b", "INC1^ORnumberISNOTEMPTY", "x?limit=1", "é"])
def test_a_reference_cannot_reach_anything_else(rig: Rig, reference: str) -> None:
    with pytest.raises(InputError):
        rig.platform().read_incident(reference)
    assert [exchange.call.path for exchange in rig.server.exchanges if "oauth" not in exchange.call.path] == []


def test_a_note_is_added_once_per_key(rig: Rig) -> None:
    reference, platform = rig.open_incident(), rig.platform()
    first = platform.add_note(reference, "Backup done: RP-orders-db", KEY)
    second = rig.platform().add_note(reference, "Backup done: RP-orders-db", KEY)
    assert (first.found, second.found) == (False, True)
    assert first.reference == second.reference
    platform.add_note(reference, "Backup done: RP-orders-db", KEY + "0")
    texts = rig.notes(reference)
    assert len(texts) == 2
    assert all(is_ours(text) and text.startswith("Backup done") for text in texts)
    assert marker_of(KEY) in texts[0]


def test_a_status_is_set_and_a_second_time_changes_nothing(rig: Rig) -> None:
    reference, platform = rig.open_incident(), rig.platform()
    case = platform.set_status(reference, CaseStatus.RESOLVED, "Evidence is sealed.", KEY)
    assert case.status is CaseStatus.RESOLVED
    assert rig.status(reference) is CaseStatus.RESOLVED
    writes = [exchange for exchange in rig.server.exchanges if exchange.call.method != "GET"]
    assert platform.set_status(reference, CaseStatus.RESOLVED, "Evidence is sealed.", KEY).status is CaseStatus.RESOLVED
    again = [exchange for exchange in rig.server.exchanges if exchange.call.method != "GET"]
    assert len([e for e in again if "oauth" not in e.call.path]) == len([e for e in writes if "oauth" not in e.call.path])
    assert len(rig.notes(reference)) == 1


def test_unsupported_verbs_are_refused_with_the_declared_reason(rig: Rig) -> None:
    platform = rig.platform()
    calls: dict[PlatformVerb, Callable[[], object]] = {
        PlatformVerb.READ_PAGE: lambda: platform.read_page("k"),
        PlatformVerb.ACKNOWLEDGE_PAGE: lambda: platform.acknowledge_page("k"),
        PlatformVerb.END_PAGE: lambda: platform.end_page("k"),
        PlatformVerb.CHECK_STANDARD_CHANGE: lambda: platform.check_standard_change("x"),
        PlatformVerb.READ_DEPENDENCIES: lambda: platform.read_dependencies(["x"]),
        PlatformVerb.CLOSE_CHANGE: lambda: platform.close_change("x", successful=True, notes="", key="k"),
    }
    for verb, call in calls.items():
        capability = platform.describe().capabilities[verb]
        if capability.support is Support.UNSUPPORTED:
            with pytest.raises(ProviderError) as caught:
                call()
            assert caught.value.why == capability.detail
    assert rig.server.exchanges == []


def test_wrong_credentials_are_told_as_such(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    integration, configuration = rig.integration, rig.configuration
    for name in rig.secrets():
        monkeypatch.setenv(f"RIG_{name.upper()}", "wrong-one")
    platform = open_platform(integration, configuration)
    with pytest.raises(NotAuthorisedError, match="sign-in") as caught:
        platform.check()
    assert "wrong-one" not in str(caught.value)


def test_a_certificate_of_nobody_is_refused(rig: Rig) -> None:
    untrusting = rig.integration.model_copy(update={"ca_file": ""})
    with pytest.raises(ProviderError, match="is not trusted"):
        open_platform(untrusting, rig.configuration).check()
    assert rig.server.exchanges == []


def test_a_wrong_address_is_told(rig: Rig) -> None:
    nowhere = rig.integration.model_copy(update={"url": "https://127.0.0.1:9"})
    with pytest.raises(ProviderError, match="cannot be reached"):
        open_platform(nowhere, rig.configuration).check()
    plain = rig.integration.model_copy(update={"url": "http://itsm.example.org"})
    with pytest.raises(InputError, match="without TLS"):
        open_platform(plain, rig.configuration).check()


def test_a_missing_credential_is_named(rig: Rig) -> None:
    bare = rig.integration.model_copy(update={"credentials": {}})
    with pytest.raises(InputError, match="has no credential"):
        open_platform(bare, rig.configuration)


def test_an_hour_of_waiting_is_not_sat_out(rig: Rig) -> None:
    rig.server.faults.switch_on(Fault("throttled_long", FOR_EVER))
    with pytest.raises(ProviderError, match="no more calls now") as caught:
        rig.platform().check()
    assert caught.value.retryable
    assert "3600 s" in str(caught.value.do)
    assert len(rig.server.exchanges) == 1


def test_a_budget_ends_a_storm(rig: Rig) -> None:
    reference = rig.open_incident()
    small = rig.integration.model_copy(update={"calls_per_run": 3})
    platform = open_platform(small, rig.configuration, run="RUN-storm")

    def storm() -> None:
        for _ in range(10):
            platform.read_incident(reference)

    with pytest.raises(ProviderError, match="budget"):
        storm()
    assert len(rig.server.exchanges) <= 4


def test_everything_said_is_as_the_vendor_publishes_it(rig: Rig) -> None:
    reference, platform = rig.open_incident(), rig.platform()
    platform.check()
    platform.read_incident(reference)
    platform.add_note(reference, "Backup done", KEY)
    platform.set_status(reference, CaseStatus.RESOLVED, "", KEY)
    with pytest.raises(InputError):
        platform.read_incident("P0NOBODY")
    assert rig.check_recorded() >= 5


# ---- each fault, once and for ever, against each verb ----

MATRIX_VERBS = ("check", "read_incident", "add_note", "set_status")


def _ask(platform: Platform, verb: str, reference: str) -> None:
    if verb == "check":
        platform.check()
    elif verb == "read_incident":
        assert platform.read_incident(reference).title == "Ransomware on the file server"
    elif verb == "add_note":
        platform.add_note(reference, "Backup done", KEY)
    else:
        platform.set_status(reference, CaseStatus.RESOLVED, "", KEY)


def _happened(rig: Rig, verb: str, reference: str) -> bool:
    if verb == "add_note":
        return len(rig.notes(reference)) == 1
    return verb != "set_status" or rig.status(reference) is CaseStatus.RESOLVED


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, FOR_EVER], ids=["once", "always"])
@pytest.mark.parametrize("verb", MATRIX_VERBS)
@pytest.mark.parametrize("fault", sorted(KINDS))
def test_no_fault_makes_a_false_success_or_a_second_effect(rig: Rig, fault: str, verb: str, times: int) -> None:
    reference = rig.open_incident()
    rig.server.faults.switch_on(Fault(fault, times))
    error: SnapholdError | None = None
    try:
        _ask(rig.platform(TIMEOUT if fault == "slow" else None), verb, reference)
    except SnapholdError as caught:
        error = caught
    assert rig.server.wait_until_idle()
    if error is None:
        assert _happened(rig, verb, reference), "it said that it was done"
    elif not isinstance(error, UnknownOutcomeError) and verb in ("add_note", "set_status"):
        assert not _happened(rig, verb, reference), f"it said that nothing was done: {error}"
    assert len(rig.notes(reference)) <= 1
    if fault == "expired" and rig.kind == "pagerduty":
        return  # its tokens are not renewed
    rig.server.faults.clear()
    forget_everything()
    _ask(rig.platform(), verb, reference)
    assert _happened(rig, verb, reference)
    assert len(rig.notes(reference)) == (1 if verb == "add_note" else 0)


@pytest.mark.parametrize("fault", ["reset_before", "throttled", "error", "slow"])
def test_one_fault_in_reading_is_overcome(rig: Rig, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = rig.open_incident()
    switched = Fault(fault, 1)
    rig.server.faults.switch_on(switched)
    if fault == "slow":
        monkeypatch.setattr(rig.server, "_slow_seconds", 3.0)
        impatient(monkeypatch, 1.0, lambda: switched.times)
    assert rig.platform().read_incident(reference).status is CaseStatus.OPEN
    assert [exchange.fault for exchange in rig.server.exchanges if exchange.fault] in ([fault], [])
    assert switched.times == 0
