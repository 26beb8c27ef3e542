"""ServiceNow's own: sign-in, traps of its queries, changes, dependencies; and its documented answers."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from pydantic import BaseModel

from snaphold.errors import InputError, NotAuthorisedError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.http import Answer
from snaphold.http_guard import budget_of, forget_everything
from snaphold.http_session import read_answer
from snaphold.platforms import servicenow_changes, servicenow_session
from snaphold.platforms.base import CaseStatus, ChangeOrder, ChangeState, Platform
from snaphold.platforms.registry import open_platform
from snaphold.platforms.servicenow_rows import (
    ChangeAnswer,
    InstanceAnswer,
    NextStatesAnswer,
    OneRow,
    RowList,
    Token,
    WorkerAnswer,
    cell,
    encoded_query,
    refusal,
)
from snaphold.platforms.servicenow_session import ServiceNowSession
from snaphold.simulators.faults import FOR_EVER, KINDS, Fault
from support.documented_shapes import documented
from support.platform_rigs import TIMEOUT, BasicServiceNowRig, ServiceNowRig
from support.quick_retries import calls_held, given_up_when_held, no_pauses

ORDER = ChangeOrder(
    key="INC-1/change/-/1", incident="INC-1", summary="Emergency backup", description="Before containment",
    justification="Ransomware", assets=("orders-db",),
)  # fmt: skip


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ServiceNowRig]:
    no_pauses(monkeypatch)
    monkeypatch.setattr(servicenow_changes, "_WORKER_SECONDS", 0.0)
    made = ServiceNowRig(tmp_path)
    given_up_when_held(monkeypatch, TIMEOUT.total_seconds(), calls_held(monkeypatch, made.server))
    yield made
    made.close()


def session_of(rig: ServiceNowRig) -> ServiceNowSession:
    return ServiceNowSession(rig.integration, rig.configuration, budget_of("", "itsm"))


def changes(rig: ServiceNowRig) -> list[dict[str, str]]:
    return rig.simulator.tables.rows["change_request"]


# ---- sign-in ----


def test_one_token_serves_many_calls_and_is_renewed_when_it_dies(rig: ServiceNowRig) -> None:
    reference, platform = rig.open_incident(), rig.platform()
    for _ in range(3):
        platform.read_incident(reference)
    assert [e.call.path for e in rig.server.exchanges].count("/oauth_token.do") == 1
    rig.simulator.expire()
    platform.read_incident(reference)
    asked = [e.call.body for e in rig.server.exchanges if e.call.path == "/oauth_token.do"]
    assert len(asked) == 2
    assert b"grant_type=refresh_token" in asked[1]
    assert b"simulated-password" not in asked[1]


def test_one_sign_in_serves_all_runs_of_a_process_and_is_renewed_once_for_all(rig: ServiceNowRig) -> None:
    def sign_ins() -> int:
        return [e.call.path for e in rig.server.exchanges].count("/oauth_token.do")

    reference = rig.open_incident()
    first, second = (open_platform(rig.integration, rig.configuration, f"RUN-{number}") for number in (1, 2))
    for platform in (first, second):
        platform.read_incident(reference)
    assert sign_ins() == 1
    rig.simulator.expire()
    for platform in (first, second):
        platform.read_incident(reference)
    assert sign_ins() == 2, "the second shows its old token, is refused, and finds the new one"


def test_a_refresh_token_that_is_refused_is_followed_by_the_password(rig: ServiceNowRig) -> None:
    reference, platform = rig.open_incident(), rig.platform()
    platform.read_incident(reference)
    rig.simulator.expire()
    rig.simulator._refresh = "another"
    platform.read_incident(reference)
    asked = [e.call.body for e in rig.server.exchanges if e.call.path == "/oauth_token.do"]
    assert [b"grant_type=refresh_token" in body for body in asked] == [False, True, False]


def test_a_lost_sign_in_is_no_lost_write(rig: ServiceNowRig) -> None:
    reference = rig.open_incident()
    rig.server.faults.switch_on(Fault("reset_after", FOR_EVER, "POST", "/oauth_token.do"))
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        rig.platform().add_note(reference, "x", "k")
    assert caught.value.retryable
    assert rig.notes(reference) == []


def test_a_wrong_password_is_not_sent_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_pauses(monkeypatch)
    rig = BasicServiceNowRig(tmp_path)
    integration, configuration = rig.integration, rig.configuration
    monkeypatch.setenv("RIG_PASSWORD", "wrong-one")
    with pytest.raises(NotAuthorisedError):
        ServiceNowSession(integration, configuration, budget_of("", "x")).rows("incident", {"number": "INC1"}, ())
    assert len(rig.server.exchanges) == 1
    rig.close()


# ---- queries ----


def test_a_condition_that_is_ignored_is_noticed_before_anything_is_done(rig: ServiceNowRig) -> None:
    first = rig.open_incident()
    rig.open_incident()
    rig.server.faults.switch_on(Fault("query_ignored", FOR_EVER, "GET"))
    with pytest.raises(ProviderError, match="not asked for"):
        rig.platform().add_note(first, "x", "k")
    assert rig.notes(first) == []
    with pytest.raises(ProviderError, match="not asked for"):
        session_of(rig).rows("incident", {"no_such_field": "x"}, ())


@pytest.mark.parametrize("value", ["", "x^ORsys_idISNOTEMPTY", "a\nb", "^"])
def test_a_value_cannot_become_a_condition(value: str) -> None:
    with pytest.raises(InputError):
        encoded_query({"number": value})


def test_all_pages_are_read_also_when_one_is_hidden_by_access_control(
    rig: ServiceNowRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicenow_session, "PAGE_ROWS", 2)
    for index in range(7):
        rig.simulator.tables.insert("cmdb_ci", {"name": "same"})["hidden"] = "" if index not in (2, 3) else "yes"
    rows = session_of(rig).rows("cmdb_ci", {"name": "same"}, ())
    assert 3 <= len(rows) <= 5
    assert len(rows) == len({row["sys_id"].value for row in rows})
    assert len([e for e in rig.server.exchanges if "cmdb_ci" in e.call.path]) == 4


def test_endless_pages_come_to_an_end(rig: ServiceNowRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicenow_session, "PAGE_ROWS", 1)
    monkeypatch.setattr(servicenow_session, "MOST_PAGES", 3)
    for _ in range(5):
        rig.simulator.tables.insert("cmdb_ci", {"name": "same"})
    with pytest.raises(ProviderError, match="too many rows"):
        session_of(rig).rows("cmdb_ci", {"name": "same"}, ())


def test_two_incidents_of_one_number_are_never_guessed_between(rig: ServiceNowRig) -> None:
    rig.simulator.open_incident("One", "INC0009999")
    rig.simulator.open_incident("Two", "INC0009999")
    with pytest.raises(InputError, match="has 2 times"):
        rig.platform().read_incident("INC0009999")


def test_an_incident_is_acknowledged_and_read_by_both_names(rig: ServiceNowRig) -> None:
    number, platform = rig.open_incident(), rig.platform()
    case = platform.set_status(number, CaseStatus.ACKNOWLEDGED, "", "k")
    assert (case.number, case.vendor_status, case.urgency) == (number, "In Progress", "1 - High")
    assert platform.read_incident(case.reference) == case


# ---- changes ----


def test_an_emergency_change_is_opened_once_with_its_assets(rig: ServiceNowRig) -> None:
    item = rig.simulator.add_item("orders-db")
    platform = rig.platform()
    opened = platform.open_change(ORDER)
    assert (opened.state, opened.vendor_state, opened.found, opened.findings) == (ChangeState.OPEN, "New", False, ())
    again = rig.platform().open_change(ORDER)
    assert (again.number, again.found) == (opened.number, True)
    (row,) = changes(rig)
    assert row["justification"] == "Ransomware"
    assert rig.simulator.associated == [item]
    rig.check_recorded()


def test_assets_that_the_cmdb_does_not_know_are_a_finding(rig: ServiceNowRig) -> None:
    assert "does not know orders-db" in rig.platform().open_change(ORDER).findings[0]


@pytest.mark.parametrize(("fault", "told"), [("worker_stuck", "still at work"), ("worker_failed", "Invalid configuration item")])
def test_slow_work_that_does_not_end_well_is_a_finding(rig: ServiceNowRig, fault: str, told: str) -> None:
    rig.simulator.add_item("orders-db")
    rig.server.faults.switch_on(Fault(fault, 1, "POST", "/api/sn_chg_rest"))
    assert told in rig.platform().open_change(ORDER).findings[0]


def test_a_field_that_was_ignored_is_a_finding(rig: ServiceNowRig) -> None:
    rig.simulator.add_item("orders-db")
    rig.server.faults.switch_on(Fault("correlation_ignored", 1, "POST", "/api/sn_chg_rest"))
    assert rig.platform().open_change(ORDER).findings == ("ServiceNow ignored the field correlation_id",)


def test_a_change_is_closed_along_its_states_and_only_once_approved(rig: ServiceNowRig) -> None:
    platform = rig.platform()
    number = platform.open_change(ORDER).number
    with pytest.raises(ProviderError, match="cannot be closed now"):
        platform.close_change(number, successful=True, notes="Done", key="k")
    rig.simulator.approve(number)
    closed = platform.close_change(number, successful=True, notes="Done", key="k")
    assert closed.state is ChangeState.CLOSED
    assert changes(rig)[0]["close_code"] == "successful"
    assert platform.close_change(number, successful=True, notes="Done", key="k").found
    rig.check_recorded()


def test_a_change_that_does_not_exist_is_named(rig: ServiceNowRig) -> None:
    for reference in ("CHG0000000", "x^y"):
        with pytest.raises(InputError):
            rig.platform().close_change(reference, successful=True, notes="", key="k")


def test_a_standard_change_is_usable_only_while_it_is_active(rig: ServiceNowRig) -> None:
    for name, active in (("Emergency backup", "true"), ("Old backup", "false")):
        rig.simulator.tables.insert("std_change_template", {"name": name, "active": active})
    platform = rig.platform()
    assert platform.check_standard_change("Emergency backup").usable
    assert platform.check_standard_change("Old backup").reason == "it is retired"
    with pytest.raises(InputError, match="no standard change"):
        platform.check_standard_change("Emergency")


def _ask(platform: Platform, verb: str, number: str) -> None:
    if verb == "open_change":
        platform.open_change(ORDER.model_copy(update={"assets": ()}))
    else:
        platform.close_change(number, successful=True, notes="Done", key="k")


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, FOR_EVER], ids=["once", "always"])
@pytest.mark.parametrize("verb", ["open_change", "close_change"])
@pytest.mark.parametrize("fault", sorted(KINDS))
@pytest.mark.parametrize("method", ["*", "POST", "PATCH"])
def test_no_fault_opens_two_changes_or_pretends(rig: ServiceNowRig, fault: str, verb: str, times: int, method: str) -> None:
    number = ""
    if verb == "close_change":
        number = rig.platform().open_change(ORDER.model_copy(update={"assets": ()})).number
        rig.simulator.approve(number)
    before = len(changes(rig))
    rig.server.faults.switch_on(Fault(fault, times, method))
    error: SnapholdError | None = None
    try:
        _ask(rig.platform(TIMEOUT if fault == "slow" else None), verb, number)
    except SnapholdError as caught:
        error = caught
    assert rig.server.wait_until_idle()
    closed = bool(number) and rig.simulator.tables.find("change_request", "number", number)["state"] == "3"
    if error is None:
        assert len(changes(rig)) == 1
        assert verb == "open_change" or closed
    elif not isinstance(error, UnknownOutcomeError):
        assert len(changes(rig)) == before, f"it said that nothing was done: {error}"
        assert not closed
    rig.server.faults.clear()
    forget_everything()
    _ask(rig.platform(), verb, number)
    assert len(changes(rig)) == 1
    assert verb == "open_change" or rig.simulator.tables.find("change_request", "number", number)["state"] == "3"


# ---- dependencies ----


def test_dependencies_are_walked_to_the_end_also_in_a_circle(rig: ServiceNowRig) -> None:
    for name, needs in (("shop", ("orders-db", "cache")), ("orders-db", ("san-01",)), ("san-01", ()), ("cache", ("shop",))):
        rig.simulator.add_item(name, needs)
    rig.simulator.add_item("shop", ("mail",), "Exchanges data with::Exchanges data with")
    found = rig.platform().read_dependencies(["shop", "nobody"])
    assert dict(found.needs) == {
        "shop": ("orders-db", "cache"), "orders-db": ("san-01",), "cache": ("shop",), "san-01": (),
    }  # fmt: skip
    assert found.unknown == ("nobody",)
    rig.check_recorded()


def test_an_item_that_stands_twice_is_not_guessed(rig: ServiceNowRig) -> None:
    rig.simulator.tables.insert("cmdb_ci", {"name": "shop"})
    rig.simulator.tables.insert("cmdb_ci", {"name": "shop"})
    found = rig.platform().read_dependencies(["shop"])
    assert found.unknown == ("shop",)
    assert "has 2 items called shop" in found.findings[0]


# ---- what the vendor documents ----

SHAPES: list[tuple[str, str, type[BaseModel]]] = [
    ("GET", "/now/table/{tableName}", RowList),
    ("GET", "/now/table/{tableName}/{sys_id}", OneRow),
    ("PATCH", "/now/table/{tableName}/{sys_id}", OneRow),
    ("POST", "/now/table/{tableName}", OneRow),
    ("POST", "/sn_chg_rest/change/emergency", ChangeAnswer),
    ("PATCH", "/sn_chg_rest/change/emergency/{sys_id}", ChangeAnswer),
    ("GET", "/sn_chg_rest/change/emergency/{sys_id}", ChangeAnswer),
    ("GET", "/sn_chg_rest/change/{sys_id}", ChangeAnswer),
    ("GET", "/sn_chg_rest/change/{change_sys_id}/nextstates", NextStatesAnswer),
    ("POST", "/sn_chg_rest/change/{sys_id}/ci", WorkerAnswer),
    ("GET", "/sn_chg_rest/change/worker/{sys_id}", WorkerAnswer),
    ("GET", "/now/cmdb/instance/{classname}/{sys_id}", InstanceAnswer),
    ("POST", "/oauth_token.do", Token),
]


@pytest.mark.parametrize(("method", "path", "shape"), SHAPES, ids=[f"{method} {path}" for method, path, _ in SHAPES])
def test_every_documented_answer_is_understood(method: str, path: str, shape: type[BaseModel]) -> None:
    bodies = documented()[method, path]
    assert bodies
    for body in bodies:
        read_answer(Answer(200, {}, json.dumps(body).encode()), shape, path)


def test_ignored_fields_of_the_documented_answer_are_seen() -> None:
    body = documented()["POST", "/sn_chg_rest/change/emergency"][0]
    answer = read_answer(Answer(200, {}, json.dumps(body).encode()), ChangeAnswer, "x")
    assert answer.ignored == ("no_such_field",)
    assert cell(answer.row, "state").value == "-5"


def test_a_number_of_the_change_api_reads_as_the_table_api_writes_it() -> None:
    body = documented()["GET", "/sn_chg_rest/change/{sys_id}"][0]
    row = read_answer(Answer(200, {}, json.dumps(body).encode()), ChangeAnswer, "x").row
    assert (cell(row, "state").value, cell(row, "active").value, cell(row, "absent").value) == ("3", "false", "")


def test_the_documented_refusal_is_told() -> None:
    body = json.dumps(documented()["ANY", "*"][0]).encode()
    error = refusal(Answer(429, {"retry-after": "1800"}, body), "reading")
    assert "100 requests per hour" in str(error.why)
    assert "1800 s" in str(error.do)
