"""Conditions: parsed exactly, judged strictly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.playbook.condition import (
    OPERATORS,
    ORDERING,
    Comparison,
    Condition,
    ConditionTypeError,
    choose_case,
    evaluate,
    holds,
    parse_condition,
)
from snaphold.playbook.reference import ExpressionError, MissingValueError, Reference

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "item")
LITERALS = st.one_of(st.booleans(), st.integers(-(10**17), 10**17), st.text(max_size=20))
COMPARISONS = st.builds(
    Comparison,
    reference=st.builds(Reference, scope=NAMES, field=NAMES),
    operator=st.sampled_from(sorted(OPERATORS)),
    literal=LITERALS,
)


def join(parts: list[Comparison], joiner: str) -> Condition:
    return Condition(tuple(parts), joiner if len(parts) > 1 else "")


CONDITIONS = st.builds(join, st.lists(COMPARISONS, min_size=1, max_size=4), st.sampled_from(["and", "or"]))


def without_columns(condition: Condition) -> list[tuple[str, str, str, object, type]]:
    return [
        (part.reference.scope, part.reference.field, part.operator, part.literal, type(part.literal))
        for part in condition.comparisons
    ]


def values_for(condition: Condition, values: list[Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for part, value in zip(condition.comparisons, values, strict=False):
        found.setdefault(part.reference.scope, {})[part.reference.field] = value
    return found


@given(CONDITIONS)
def test_a_written_condition_reads_back_as_the_same(condition: Condition) -> None:
    read = parse_condition(str(condition))
    assert without_columns(read) == without_columns(condition)
    assert read.joiner == condition.joiner


@given(st.text(alphabet="$abz._ \"\\=!<>0123456789-andortruefals\n\t()'", max_size=40))
def test_any_text_is_a_condition_or_an_error_with_a_column_inside_it(text: str) -> None:
    columns: list[int] = []
    try:
        columns = [part.reference.column for part in parse_condition(text).comparisons]
    except ExpressionError as error:
        columns = [error.column]
    assert columns
    assert all(1 <= column <= len(text) + 1 for column in columns)


@given(CONDITIONS, st.data())
def test_a_condition_holds_exactly_when_python_says_so(condition: Condition, data: st.DataObject) -> None:
    kinds = {bool: st.booleans(), int: st.integers(-5, 5), str: st.text(max_size=3)}
    values = values_for(condition, [data.draw(kinds[type(part.literal)]) for part in condition.comparisons])
    typed = all(
        type(values[part.reference.scope][part.reference.field]) is type(part.literal)
        and (part.operator not in ORDERING or type(part.literal) is int)
        for part in condition.comparisons
    )
    if not typed:
        with pytest.raises(ConditionTypeError):
            evaluate(condition, values)
        return
    verdicts = [
        OPERATORS[part.operator](values[part.reference.scope][part.reference.field], part.literal)
        for part in condition.comparisons
    ]
    assert evaluate(condition, values) is (any(verdicts) if condition.joiner == "or" else all(verdicts))


@given(CONDITIONS, st.data())
def test_a_missing_value_is_an_error_wherever_it_stands(condition: Condition, data: st.DataObject) -> None:
    values = values_for(condition, [part.literal for part in condition.comparisons])
    missing = data.draw(st.sampled_from(condition.comparisons)).reference
    del values[missing.scope][missing.field]
    with pytest.raises((MissingValueError, ConditionTypeError)):
        evaluate(condition, values)


def test_a_missing_value_is_an_error_even_when_the_first_comparison_decides() -> None:
    with pytest.raises(MissingValueError):
        holds("$a.x == 1 or $a.y == 1", {"a": {"x": 1}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$a.x == 1", True),
        ("$a.x == true", 1),
        ('$a.x == "1"', 1),
        ("$a.x == 1", "1"),
        ('$a.x == "b"', ["b"]),
        ("$a.x == 0", None),
    ],
)
def test_values_of_another_type_are_never_compared(text: str, value: Any) -> None:
    with pytest.raises((ConditionTypeError, MissingValueError)):
        holds(text, {"a": {"x": value}})


def test_and_and_or_may_not_be_mixed_and_the_column_says_where() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_condition("$a.x == 1 and $a.y == 1 or $a.z == 1")
    assert caught.value.column == 25


def test_and_joins_more_than_two() -> None:
    assert holds("$a.x == 1 and $a.x != 2 and $a.x <= 1", {"a": {"x": 1}})
    assert not holds("$a.x == 1 and $a.x != 2 and $a.x > 1", {"a": {"x": 1}})


def test_quotes_and_backslashes_stand_in_text_behind_a_backslash() -> None:
    assert holds(r'$a.x == "say \"hi\" \\ there"', {"a": {"x": 'say "hi" \\ there'}})


@pytest.mark.parametrize("text", ["$a.x == 01", "$a.x == 1.5", "$a.x == 1e3", "$a.x == +1", "$a.x == 99999999999999999999"])
def test_a_number_that_is_not_a_plain_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_condition(text)


def test_item_can_be_compared() -> None:
    assert holds('$item == "a,b"', {"item": {"": "a,b"}})


def test_a_case_is_chosen_by_the_value_written_as_text() -> None:
    assert choose_case(True, ["true", "false"]) == "true"
    assert choose_case(3, ["1", "3"]) == "3"
    assert choose_case("x", ["y"]) is None
    with pytest.raises(ConditionTypeError):
        choose_case(["x"], ["x"])
