"""Paging through PagerDuty's events, under every fault; how its own refusals read."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.errors import InputError, NotAuthorisedError, SnapholdError, UnknownOutcomeError
from snaphold.http import Answer
from snaphold.http_guard import forget_everything
from snaphold.platforms.base import CaseStatus, PageOrder, Platform
from snaphold.platforms.pagerduty_answers import refusal
from snaphold.platforms.registry import open_platform
from snaphold.simulators.faults import FOR_EVER, KINDS, Fault
from support.platform_rigs import TIMEOUT, PagerDutyRig
from support.quick_retries import calls_held, given_up_when_held, no_pauses

KEY = "INC-1/backup-team"
ORDER = PageOrder(
    key=KEY,
    incident="INC-1",
    summary="Critical systems are hit",
    source="snaphold",
    critical=True,
    details={"assets": "orders-db"},
)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[PagerDutyRig]:
    no_pauses(monkeypatch)
    made = PagerDutyRig(tmp_path)
    given_up_when_held(monkeypatch, TIMEOUT.total_seconds(), calls_held(monkeypatch, made.server))
    yield made
    made.close()


def test_a_page_is_one_incident_however_often_it_is_sent(rig: PagerDutyRig) -> None:
    platform = rig.platform()
    for _ in range(3):
        platform.page(ORDER)
    assert rig.paged(KEY) == ["triggered"]
    assert rig.simulator.events[0]["payload"]["custom_details"] == {"assets": "orders-db"}
    assert rig.simulator.events[0]["payload"]["severity"] == "critical"


def test_who_answered_a_page_is_read(rig: PagerDutyRig) -> None:
    platform = rig.platform()
    assert platform.read_page(KEY).status is CaseStatus.UNKNOWN
    platform.page(ORDER)
    assert platform.read_page(KEY).status is CaseStatus.OPEN
    rig.simulator.respond(KEY)
    page = platform.read_page(KEY)
    assert (page.status, page.answered_by) == (CaseStatus.ACKNOWLEDGED, "Fay Lund")
    platform.end_page(KEY)
    assert platform.read_page(KEY).status is CaseStatus.RESOLVED


def test_a_page_is_acknowledged_and_ended_by_its_key(rig: PagerDutyRig) -> None:
    platform = rig.platform()
    platform.page(ORDER)
    assert platform.acknowledge_page(KEY).status is CaseStatus.ACKNOWLEDGED
    assert rig.paged(KEY) == ["acknowledged"]
    assert platform.end_page(KEY).status is CaseStatus.RESOLVED
    platform.end_page(KEY)
    assert rig.paged(KEY) == ["resolved"]


def test_an_incident_of_another_key_is_never_taken_for_ours(rig: PagerDutyRig) -> None:
    rig.simulator.open_incident("Another", key="OTHER")
    assert rig.platform().read_page(KEY).status is CaseStatus.UNKNOWN


def test_a_wrong_routing_key_is_a_refusal_and_is_not_repeated(rig: PagerDutyRig, monkeypatch: pytest.MonkeyPatch) -> None:
    integration, configuration = rig.integration, rig.configuration
    monkeypatch.setenv("RIG_ROUTING_KEY", "of-somebody-else")
    with pytest.raises(SnapholdError, match="refuses the event trigger") as caught:
        open_platform(integration, configuration).page(ORDER)
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert len(rig.server.exchanges) == 1
    assert "of-somebody-else" not in str(caught.value)


def test_without_a_routing_key_the_test_says_that_nobody_can_be_paged(rig: PagerDutyRig) -> None:
    integration = rig.integration
    bare = integration.model_copy(update={"credentials": {"token": integration.credentials["token"]}, "settings": {}})
    platform = open_platform(bare, rig.configuration)
    assert len(platform.check().missing) == 2
    with pytest.raises(InputError, match="routing_key"):
        platform.page(ORDER)
    with pytest.raises(InputError, match="from"):
        platform.add_note(rig.open_incident(), "x", "k")


def test_an_incident_that_somebody_resolved_meanwhile_is_fine(rig: PagerDutyRig) -> None:
    reference = rig.open_incident()
    rig.simulator.incidents[reference].status = "acknowledged"
    case = rig.platform().set_status(reference, CaseStatus.ACKNOWLEDGED, "", "k")
    assert case.status is CaseStatus.ACKNOWLEDGED


VERBS = ("page", "acknowledge_page", "end_page", "read_page")
WANTED = {"page": "triggered", "acknowledge_page": "acknowledged", "end_page": "resolved", "read_page": "triggered"}


def _ask(platform: Platform, verb: str) -> None:
    if verb == "page":
        platform.page(ORDER)
    else:
        getattr(platform, verb)(KEY)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, FOR_EVER], ids=["once", "always"])
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", sorted(KINDS))
def test_no_fault_makes_a_false_success_or_a_second_page(rig: PagerDutyRig, fault: str, verb: str, times: int) -> None:
    if verb != "page":
        rig.platform().page(ORDER)
    before = rig.paged(KEY)
    rig.server.faults.switch_on(Fault(fault, times))
    error: SnapholdError | None = None
    try:
        _ask(rig.platform(TIMEOUT if fault == "slow" else None), verb)
    except SnapholdError as caught:
        error = caught
    assert rig.server.wait_until_idle()
    if error is None:
        assert rig.paged(KEY) == [WANTED[verb]], "it said that it was done"
    elif not isinstance(error, UnknownOutcomeError):
        assert rig.paged(KEY) == before, f"it said that nothing was done: {error}"
    assert len(rig.paged(KEY)) <= 1
    if fault == "expired" and verb == "read_page":
        assert isinstance(error, NotAuthorisedError)
        return
    rig.server.faults.clear()
    forget_everything()
    _ask(rig.platform(), verb)
    assert rig.paged(KEY) == [WANTED[verb]]
    rig.check_recorded()


@pytest.mark.parametrize(
    ("status", "text"),
    [(401, "sign-in"), (402, "lacks"), (403, "does not allow"), (404, "knows nothing"), (429, "no more calls"), (400, "refuses")],
)
def test_each_refusal_reads_differently(status: int, text: str) -> None:
    body = b'{"error": {"message": "No", "code": 2001, "errors": ["because"]}}'
    error = refusal(Answer(status, {"ratelimit-reset": "30"}, body), "the thing")
    assert text in error.what
    assert "because" in str(error.why)
    assert error.do


def test_a_refusal_that_is_no_json_is_still_told() -> None:
    assert "<html>" in str(refusal(Answer(502, {}, b"<html>Bad gateway"), "the thing").why)
