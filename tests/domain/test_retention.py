"""The rules of retention: never shorter, the longest rule wins, and a hold goes before everything."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.domain.incident import IncidentStatus
from snaphold.domain.retention import DAY, Retention, Rule, Term, after_closing, extended, longest_term, why_kept

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
moments = st.integers(1_577_836_800, 2_840_140_800).map(lambda second: datetime.fromtimestamp(second, timezone.utc))
lengths = st.timedeltas(timedelta(seconds=1), timedelta(days=4000))
CLASSES = ["personal-data", "payments", "logs"]
rules = st.lists(
    st.builds(Rule, st.sampled_from([*CLASSES, None]), lengths, st.just("a law")),
    unique_by=lambda rule: rule.data_class,
    max_size=4,
)


def retention(until: datetime | None, *, running: bool = True) -> Retention:
    return Retention(
        id="RP-1", incident="INC-1", subject_kind="restore_point", until=until, reason="a law", running=running, set_by="ana",
        set_at=NOW, enforced_by="register only",
    )  # fmt: skip


@given(before=st.none() | moments, now=moments, at_least=lengths)
def test_an_extension_never_shortens_and_reaches_as_far_as_asked(
    before: datetime | None, now: datetime, at_least: timedelta
) -> None:
    until = extended(before, now, at_least)
    assert until >= now + at_least
    assert before is None or until >= before
    assert until <= max(now + at_least + DAY, before or until)
    assert extended(until, now, at_least) == until


@given(before=st.none() | moments, steps=st.lists(st.tuples(st.booleans(), moments, lengths), max_size=8))
def test_no_row_of_extensions_and_closings_ever_shortens(
    before: datetime | None, steps: list[tuple[bool, datetime, timedelta]]
) -> None:
    until = before
    for closing, at, length in steps:
        after = after_closing(until, at, Term(length, "a law")) if closing else extended(until, at, length)
        assert until is None or after >= until
        until = after


@given(rules=rules, classes=st.sets(st.sampled_from(CLASSES)))
def test_the_longest_rule_that_fits_wins(rules: list[Rule], classes: set[str]) -> None:
    by_class = {rule.data_class: rule.keep for rule in rules}
    fitting = [by_class.get(name, by_class.get(None)) for name in (classes or {None})]
    lengths = [length for length in fitting if length is not None]
    term = longest_term(rules, classes)
    assert (term.keep if term else None) == (max(lengths) if lengths else None)


def test_the_rule_of_a_data_class_goes_before_the_one_for_all_data() -> None:
    rules = [Rule("personal-data", 30 * DAY, "GDPR"), Rule(None, 365 * DAY, "policy")]
    assert longest_term(rules, {"personal-data"}) == Term(30 * DAY, "GDPR (data class personal-data)")
    assert longest_term(rules, {"personal-data", "payments"}) == Term(365 * DAY, "policy (all data)")
    assert longest_term(rules, set()) == Term(365 * DAY, "policy (all data)")
    assert longest_term(rules[:1], set()) is None


@given(until=st.none() | moments, now=moments, closed=st.booleans(), running=st.booleans())
def test_a_hold_always_beats_retention(until: datetime | None, now: datetime, closed: bool, running: bool) -> None:
    status = IncidentStatus.CLOSED if closed else IncidentStatus.OPEN
    reasons = why_kept(holds=["HOLD-1"], status=status, retention=retention(until, running=running), now=now)
    assert reasons[0] == ("hold", "it is held by HOLD-1")


@given(until=st.none() | moments, now=moments, closed=st.booleans(), running=st.booleans(), known=st.booleans())
def test_nothing_is_free_unless_all_three_conditions_hold(
    until: datetime | None, now: datetime, closed: bool, running: bool, known: bool
) -> None:
    status = IncidentStatus.CLOSED if closed else IncidentStatus.OPEN
    found = why_kept(holds=[], status=status, retention=retention(until, running=running) if known else None, now=now)
    assert (not found) == (closed and known and running and until is not None and now >= until)


@pytest.mark.parametrize(("ask", "until"), [("a day", NOW.replace(hour=0) + 2 * DAY), ("an hour", NOW + timedelta(hours=1))])
def test_days_are_rounded_up_so_that_asking_again_on_the_same_day_changes_nothing(ask: str, until: datetime) -> None:
    length = DAY if ask == "a day" else timedelta(hours=1)
    assert extended(None, NOW, length) == until
