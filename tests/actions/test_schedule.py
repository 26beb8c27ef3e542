"""Schedules get tighter and go back: once each, the tightest wins, whatever is lost in between."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snaphold.errors import InputError, ProviderError, UnknownOutcomeError
from support.schedule_lab import REGULAR, ScheduleLab

KNOWING = ("remembers", "forgets")


@pytest.fixture(params=KNOWING)
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScheduleLab:
    """A product of each kind that has a scheduler."""
    return ScheduleLab(tmp_path, request.param).install(monkeypatch)


def test_two_firings_of_one_alert_tighten_once_and_make_it_longer(lab: ScheduleLab) -> None:
    first = lab.tighten()
    lab.clock.advance(3600)
    second = lab.tighten()
    assert (first["changed"], second["changed"], lab.book.changes) == (True, False, [("files-01", 900)])
    assert (first["until"], second["until"]) == ("2026-11-22T22:00:00.000Z", "2026-11-22T23:00:00.000Z")
    assert (first["taken_by"], first["every"], first["findings"]) == ("product", "15m", [])


def test_what_stood_before_comes_back_when_the_reason_is_gone(lab: ScheduleLab) -> None:
    lab.book.change("files-01", 7200)
    lab.tighten()
    assert lab.record.original is None or lab.record.original.every_seconds == 7200
    assert lab.restore()["restored"] == ["files-01"]
    assert lab.book.every() == (7200 if lab.kind == "forgets" else REGULAR)
    assert lab.restore()["restored"] == []
    assert len(lab.book.changes) == 3


def test_the_tightest_of_several_demands_counts_and_the_last_one_restores(lab: ScheduleLab) -> None:
    lab.tighten("1h", reason="A1")
    lab.tighten("15m", reason="A2")
    assert lab.tighten("30m", reason="A3")["every"] == "15m"
    assert lab.restore("A2")["still_tight"] == ["files-01: every 30m"]
    lab.restore("A3")
    lab.restore("A1")
    assert [seconds for _, seconds in lab.book.changes] == [3600, 900, 1800, 3600, REGULAR]


def test_a_demand_ends_by_itself(lab: ScheduleLab) -> None:
    lab.tighten(lasts="4h")
    lab.clock.advance(4 * 3600 - 1)
    assert lab.reconcile()["still_tight"] == ["files-01: every 15m"]
    lab.clock.advance(1)
    assert (lab.reconcile()["restored"], lab.book.every()) == (["files-01"], REGULAR)
    assert (lab.reconcile()["restored"], len(lab.book.changes)) == ([], 2)


def test_a_schedule_that_is_tighter_already_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = ScheduleLab(tmp_path, "forgets").install(monkeypatch)
    lab.book.change("files-01", 300)
    assert "tighter already (5m)" in lab.tighten()["findings"][0]
    lab.restore()
    assert {seconds for _, seconds in lab.book.changes} == {300}


@pytest.mark.parametrize("fault", [ProviderError("it refuses"), UnknownOutcomeError("the answer was lost")])
def test_a_change_that_fails_is_made_up_for(lab: ScheduleLab, fault: Exception) -> None:
    lab.faults.append(fault)
    with pytest.raises(type(fault)):
        lab.tighten()
    assert (lab.record.fault, lab.record.settled, lab.record.attempts) == (str(fault), False, 1)
    lab.reconcile()
    assert (lab.book.every(), lab.record.settled, lab.record.fault) == (900, True, "")
    lab.restore()
    assert lab.book.every() == REGULAR


def test_a_lost_answer_is_restored_also_when_the_reason_goes_first(lab: ScheduleLab) -> None:
    lab.faults.append(UnknownOutcomeError("the answer was lost"))
    with pytest.raises(UnknownOutcomeError):
        lab.tighten()
    lab.restore()
    assert (lab.book.every(), lab.record.settled, lab.record.demands) == (REGULAR, True, ())


def test_an_engine_without_a_scheduler_is_served_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = ScheduleLab(tmp_path, "has-none").install(monkeypatch)
    told = lab.tighten()
    assert (told["taken_by"], "snaphold serve" in told["findings"][0], lab.book.changes) == ("service", True, [])
    assert lab.restore()["restored"] == ["files-01"]


def test_wrong_input_is_refused(lab: ScheduleLab) -> None:
    with pytest.raises(InputError, match="too short"):
        lab.tighten("30s")
    assert lab.book.changes == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tighten"), st.sampled_from(["A1", "A2", "A3"]), st.sampled_from([15, 30, 60])),
        st.tuples(st.just("restore"), st.sampled_from(["A1", "A2", "A3"]), st.just(0)),
        st.tuples(st.just("advance"), st.just(""), st.sampled_from([30, 90])),
        st.tuples(st.just("refuse"), st.sampled_from(["A1", "A2"]), st.just(45)),
        st.tuples(st.just("lose"), st.sampled_from(["A1", "A2"]), st.just(45)),
    ),
    max_size=8,
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KNOWING)
@settings(max_examples=40)
@given(steps=STEPS)
def test_after_any_history_the_product_has_what_the_demands_ask_for(kind: str, steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        lab = ScheduleLab(Path(folder), kind).install(patch)
        demands: dict[str, tuple[int, int]] = {}
        minutes = 0
        for step, reason, value in steps:
            if step == "advance":
                lab.clock.advance(value * 60)
                minutes += value
            elif step == "restore":
                lab.restore(reason)
                demands.pop(reason, None)
            else:
                faults = {"refuse": ProviderError("it refuses"), "lose": UnknownOutcomeError("the answer was lost")}
                lab.faults[:] = [faults[step]] if step in faults else []
                try:
                    lab.tighten(f"{value}m", reason=reason, lasts="2h")
                except (ProviderError, UnknownOutcomeError):
                    assert step in faults
                lab.faults.clear()
                demands[reason] = (value, minutes + 120)
        lab.reconcile()
        left = [every * 60 for every, until in demands.values() if until > minutes]
        assert lab.book.every() == min(left, default=REGULAR)
        lab.clock.advance(3 * 3600)
        lab.reconcile()
        assert lab.book.every() == REGULAR
        lab.ledger.close()
