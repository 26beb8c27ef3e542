"""What the methods of a vendor's own Shuffle app do, in this process, against the simulators."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from snaphold.soar import shuffle_vendor
from snaphold.soar.shuffle_vendor import ANSWER_WAIT, CALL_SECONDS, connect, settings_of
from snaphold.soar.vendors import VENDORS, Direct
from support.platform_rigs import PagerDutyRig, Rig, ServiceNowRig
from support.product_access import answer_vendor
from support.waiting import PATIENCE_SECONDS

STEP = {"snaphold_incident": "INC-1", "snaphold_step": "tell", "snaphold_justification": "An exercise"}


@pytest.fixture(params=[PagerDutyRig, ServiceNowRig], ids=lambda rig: rig.kind)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    found: Rig = request.param(tmp_path)
    yield found
    found.close()


def access(rig: Rig, **changes: str) -> dict[str, str]:
    settings = ",".join(f"{name}={value}" for name, value in rig.settings().items())
    return {"url": rig.server.url, **rig.secrets(), "ca_file": str(rig.server.ca_file), "settings": settings, **changes}


def test_a_note_of_the_same_step_is_written_once_and_found_again(rig: Rig) -> None:
    reference = rig.open_incident()
    before = len(rig.notes(reference))
    given = {**access(rig), **STEP, "reference": reference, "text": "Backup done."}
    first, again = (answer_vendor(rig.kind, "incident_add_note", given) for _ in range(2))
    assert [(one["success"], one["way"], one["found_text"]) for one in (first, again)] == [
        (True, "next", "false"), (True, "next", "true"),
    ]  # fmt: skip
    assert len(rig.notes(reference)) == before + 1


def test_the_check_says_as_whom_it_signed_in(rig: Rig) -> None:
    told = answer_vendor(rig.kind, "check_connection", {**access(rig), "note": "x"})
    assert (told["success"], told["missing"]) == (True, [])
    assert told["signed_in_as"]


def test_wrong_credentials_are_no_success_and_stand_in_no_answer(rig: Rig) -> None:
    wrong = dict.fromkeys(rig.secrets(), "wrong-secret-2718")
    for method in ("check_connection", "incident_read"):
        told = answer_vendor(rig.kind, method, {**access(rig, **wrong), "reference": "INC0000001", "note": "x"})
        assert told["success"] is False
        assert "wrong-secret-2718" not in str(told)


def test_a_write_without_a_name_for_the_work_is_refused(rig: Rig) -> None:
    told = answer_vendor(rig.kind, "incident_add_note", {**access(rig), "reference": "X1", "text": "a"})
    assert (told["success"], "snaphold_step" in told["why"]) == (False, True)


def test_a_question_about_no_incident_is_refused(rig: Rig) -> None:
    told = answer_vendor(rig.kind, "incident_read", access(rig))
    assert (told["success"], "no incident is named" in told["why"]) == (False, True)


@pytest.mark.parametrize("kind", VENDORS)
def test_what_is_missing_or_wrong_is_named(kind: str) -> None:
    assert "is missing" in answer_vendor(kind, "check_connection", {"url": "https://127.0.0.1:9"})["why"]
    full = dict.fromkeys(settings_of(kind), "some-text-here")
    assert "has no value" in answer_vendor(kind, "check_connection", full)["why"]
    assert answer_vendor(kind, "no_such_method", {**full, "settings": ""})["success"] is False


def test_an_action_ends_before_shuffle_ends_it() -> None:
    assert ANSWER_WAIT.total_seconds() < CALL_SECONDS < 30 - 5


def test_work_that_is_late_is_unknown_and_is_not_begun_twice() -> None:
    go, calls = threading.Event(), list[str]()
    ended = threading.Event()

    class Slow:
        kind, url = "pagerduty", "https://slow.example"

        def call(self, action: str, given: Mapping[str, Any], **_told: Any) -> dict[str, Any]:
            calls.append(action)
            assert go.wait(PATIENCE_SECONDS)
            ended.set()
            return {"outcome": "succeeded", "findings": [], **given}

    def slowly(_kind: str, _settings: Mapping[str, str]) -> Direct:
        return cast("Direct", Slow())

    def ask(seconds: float) -> dict[str, Any]:
        given = {**STEP, "reference": "P1", "text": "a"}
        return shuffle_vendor.answer_vendor("pagerduty", "incident_add_note", given, connecting=slowly, seconds=seconds)

    late, meanwhile = ask(0.05), ask(PATIENCE_SECONDS)
    go.set()
    assert ended.wait(PATIENCE_SECONDS)
    assert (late["success"], late["outcome"], meanwhile["success"], meanwhile["outcome"]) == (False, "unknown", False, "unknown")
    assert "still at work" in meanwhile["why"]
    assert len(calls) == 1


def test_two_accounts_work_side_by_side_in_one_process(rig: Rig) -> None:
    """Shuffle's server mode runs many executions in the threads of one process; a wrong account must not disturb a good one."""
    wrong = dict.fromkeys(rig.secrets(), "wrong-secret-2718")
    good = replace(
        connect(rig.kind, {name: access(rig).get(name, "") for name in settings_of(rig.kind)}),
        timeout=timedelta(seconds=PATIENCE_SECONDS),
    )
    bad = connect(rig.kind, {name: access(rig, **wrong).get(name, "") for name in settings_of(rig.kind)})
    with good._configured() as ours, bad._configured() as theirs:
        mine, others = (one.integrations[0].credentials for one in (ours, theirs))
        assert mine
        assert not set(mine.values()) & set(others.values())
    assert good.check()[1] == ()
