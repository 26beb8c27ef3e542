"""The measures of a period: clocks per tier, success rate, time to backup, growth."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.domain.authority import Hold, PromotionException
from snaphold.domain.escalation import Notice
from snaphold.domain.outcome import Outcome
from snaphold.domain.tier import Tier
from snaphold.engine.run import Run, RunStatus
from snaphold.report.clocks import ClockName, ClockState, SlaClock, run_clock, share_met
from snaphold.report.measures import NOTHING, Measures, measure
from snaphold.report.trail_facts import TrailFacts
from support.incident_context import make_configuration
from support.measured_trail import DECLARED, MadeTrail

SINCE = datetime(2026, 11, 1, tzinfo=timezone.utc)
UNTIL = datetime(2026, 12, 1, tzinfo=timezone.utc)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def look(trail: MadeTrail, now: datetime = DECLARED + HOUR * 2) -> Measures:
    return measure(make_configuration(), trail, SINCE, UNTIL, now)


def clock_of(found: Measures, name: ClockName, asset: str) -> SlaClock:
    (clock,) = [clock for clock in found.clocks if (clock.name, clock.asset) == (name, asset)]
    return clock


def test_nothing_recorded_gives_empty_measures() -> None:
    found = measure(make_configuration(), NOTHING, SINCE, UNTIL, DECLARED)
    assert (found.incidents, found.mean_time_to_backup, found.backups.success_rate, found.sla_met) == (0, None, None, None)
    assert {point.bytes for point in found.growth} == {0}


def test_an_asset_that_was_protected_in_time_meets_its_clocks() -> None:
    trail = MadeTrail()
    trail.declare("INC-1", "shop")
    trail.finish(trail.start("INC-1", "shop", MINUTE), MINUTE * 30)
    found = look(trail)
    assert clock_of(found, ClockName.START, "shop").seconds == 60
    protect = clock_of(found, ClockName.PROTECT, "shop")
    assert (protect.tier, protect.state, protect.target_seconds, protect.seconds) == ("T0", ClockState.MET, 3600, 1800)
    assert (found.backups.asked, found.backups.success_rate, found.mean_time_to_backup, found.sla_met) == (1, 1.0, 1800, 1.0)


def test_what_comes_too_late_or_not_at_all_is_missed_or_overdue() -> None:
    trail = MadeTrail()
    trail.declare("INC-1", "shop", "files-01")
    trail.finish(trail.start("INC-1", "shop", MINUTE), HOUR + MINUTE)
    found = look(trail)
    assert clock_of(found, ClockName.PROTECT, "shop").state is ClockState.MISSED
    assert clock_of(found, ClockName.START, "files-01").state is ClockState.OVERDUE
    assert clock_of(found, ClockName.PROTECT, "files-01").state is ClockState.RUNNING, "T2 has two days"


def test_a_partial_backup_protects_nothing() -> None:
    trail = MadeTrail()
    trail.declare("INC-1", "shop")
    trail.finish(trail.start("INC-1", "shop", MINUTE), MINUTE * 5, Outcome.PARTIAL)
    found = look(trail)
    assert clock_of(found, ClockName.PROTECT, "shop").stopped_at is None
    assert (found.backups.partial, found.backups.success_rate) == (1, 0.0)


@pytest.mark.parametrize(
    ("outcome", "after", "ended", "expected"),
    [
        ("failed", MINUTE, False, "failed"),
        ("unknown", MINUTE, False, "unknown"),
        ("succeeded", MINUTE * 90, False, "unfinished"),
        ("succeeded", MINUTE * 90, True, "failed"),
        ("succeeded", MINUTE, False, "failed"),
    ],
)
def test_a_backup_without_a_restore_point_is_never_a_success(outcome: str, after: timedelta, ended: bool, expected: str) -> None:
    trail = MadeTrail()
    trail.declare("INC-1", "shop")
    trail.start("INC-1", "shop", after, outcome, run="RUN-1")
    if ended:
        trail.kept.append(
            Run(
                id="RUN-1", incident="INC-1", playbook="p", version="1", digest="0", requested_by="ana", started_at=DECLARED,
                status=RunStatus.FAILED,
            )
        )  # fmt: skip
    counts = look(trail).backups.model_dump()
    assert {name for name, count in counts.items() if count} == {"asked", expected}


def test_the_acknowledge_clock_runs_from_the_notice_and_only_where_somebody_was_told() -> None:
    trail = MadeTrail()
    trail.declare("INC-1", "shop")
    assert ClockName.ACKNOWLEDGE not in {clock.name for clock in look(trail).clocks}
    told = DECLARED + MINUTE
    trail.kept.append(
        Notice(
            id="NOTICE-1", incident="INC-1", contact="backup-team", call=(), text="Help", tier="T0", raised_by="ana",
            raised_at=told, acknowledge_by=told + MINUTE * 15, acknowledged_at=told + MINUTE * 16,
        )
    )  # fmt: skip
    clock = clock_of(look(trail), ClockName.ACKNOWLEDGE, "shop")
    assert (clock.seconds, clock.state) == (960, ClockState.MISSED)


def test_an_exception_of_the_incident_raises_what_was_promised() -> None:
    trail = MadeTrail()
    trail.declare("INC-1", "files-01")
    assert clock_of(look(trail), ClockName.PROTECT, "files-01").tier == "T2"
    trail.kept.append(
        PromotionException(
            id="EXC-1", incident="INC-1", asset="files-01", from_tier="T2", to_tier="T0", justification="needed",
            requested_by="ana", recorded_at=DECLARED, expires_at=DECLARED + HOUR,
        )
    )  # fmt: skip
    assert clock_of(look(trail), ClockName.PROTECT, "files-01").tier == "T0"


def test_growth_adds_up_by_day_and_counts_what_was_there_before() -> None:
    trail = MadeTrail()
    trail.declare("INC-1", "shop")
    trail.finish(trail.start("INC-1", "shop", MINUTE), timedelta(days=-60), size=5)
    trail.finish(trail.start("INC-1", "files-01", MINUTE), timedelta(days=1), size=7)
    growth = {point.day: point.bytes for point in look(trail, DECLARED + timedelta(days=3)).growth}
    assert (growth["2026-11-01"], growth["2026-11-10"], growth["2026-11-11"]) == (5, 5, 12)
    assert max(growth) == "2026-11-13"


def test_incidents_outside_the_period_do_not_count_but_holds_that_stand_do() -> None:
    trail = MadeTrail()
    trail.declare("INC-0", "shop", at=SINCE - timedelta(seconds=1))
    trail.declare("INC-2", "shop", at=UNTIL)
    hold = Hold(
        id="HOLD-1", incident="INC-0", subject="RP-1", subject_kind="restore_point", reason="law", placed_by="ana",
        placed_at=SINCE,
    )  # fmt: skip
    trail.kept += [hold, hold.model_copy(update={"id": "HOLD-2", "released_at": SINCE})]
    found = look(trail)
    assert (found.incidents, found.clocks, found.open_holds) == (0, (), 1)


def test_facts_that_were_seen_are_not_read_twice() -> None:
    trail, facts = MadeTrail(), TrailFacts()
    trail.declare("INC-1", "shop")
    key = trail.start("INC-1", "shop", MINUTE)
    facts.feed(trail.each_stored())
    trail.finish(key, MINUTE * 5)
    facts.feed(trail.each_stored())
    facts.feed(trail.each_stored())
    assert facts.sequence == len(trail.stored)
    assert measure(make_configuration(), trail, SINCE, UNTIL, DECLARED + HOUR, facts).backups.succeeded == 1


TIER = Tier(id="T0", level=0, impact="x", rto=HOUR, rpo=MINUTE)


@given(st.sampled_from(ClockName), st.integers(-5000, 90000), st.integers(0, 90000) | st.none())
def test_a_clock_is_met_exactly_when_it_stopped_within_its_target(name: ClockName, now: int, stopped: int | None) -> None:
    at = None if stopped is None else DECLARED + timedelta(seconds=stopped)
    clock = run_clock(name, "INC-1", "a", TIER, DECLARED, at, DECLARED + timedelta(seconds=now))
    assert clock.seconds >= 0
    assert (clock.state is ClockState.MET) == (stopped is not None and stopped <= clock.target_seconds)
    assert (clock.state in (ClockState.RUNNING, ClockState.OVERDUE)) == (stopped is None)


def test_a_running_clock_is_not_decided_and_an_overdue_one_counts_as_missed() -> None:
    def at(stopped: int | None, now: int) -> SlaClock:
        end = None if stopped is None else DECLARED + timedelta(seconds=stopped)
        return run_clock(ClockName.PROTECT, "INC-1", "a", TIER, DECLARED, end, DECLARED + timedelta(seconds=now))

    assert share_met([at(None, 1)]) is None
    assert share_met([at(None, 1), at(5, 10), at(None, 4000)]) == 0.5
