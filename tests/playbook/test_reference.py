"""References keep types, fill in text, and never let a missing value pass."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.playbook.reference import (
    ExpressionError,
    MissingValueError,
    Reference,
    parse_reference,
    references_in,
    resolve,
    resolve_all,
    whole_reference,
    with_item,
    with_result,
)
from snaphold.playbook.valuetype import write_value

VALUES: dict[str, dict[str, Any]] = {
    "inputs": {"name": "db", "level": 3, "on": True, "all": ["a", "b"], "empty": ""},
    "item": {"": "a,b"},
}
PLAIN = st.text(max_size=20)
KNOWN = st.sampled_from(sorted(VALUES["inputs"]))


@given(PLAIN)
def test_text_with_its_dollars_doubled_comes_back_unchanged(text: str) -> None:
    assert resolve(text.replace("$", "$$"), {}) == text
    assert references_in(text.replace("$", "$$")) == []


@given(KNOWN)
def test_a_whole_value_keeps_its_type(field: str) -> None:
    value = VALUES["inputs"][field]
    found = resolve(f"$inputs.{field}", VALUES)
    assert found == value
    assert type(found) is type(value)


@given(PLAIN.map(lambda text: text.replace("$", "$$")), KNOWN, PLAIN.map(lambda text: " " + text.replace("$", "$$")))
def test_inside_text_a_reference_is_written_out(before: str, field: str, after: str) -> None:
    expected = before.replace("$$", "$") + write_value(VALUES["inputs"][field]) + after.replace("$$", "$")
    assert resolve(f"{before}$inputs.{field}{after}", VALUES) == expected


@given(st.text(alphabet="$ab._ 1item", max_size=20))
def test_any_text_is_readable_or_an_error_with_a_column(text: str) -> None:
    found: list[tuple[int, str]] = []
    try:
        found = [(reference.column, str(reference)) for reference in references_in(text)]
    except ExpressionError as error:
        found = [(error.column, "$")]
    assert all(text[column - 1 :].startswith(written) for column, written in found)


def test_item_ends_at_a_full_stop_and_has_no_fields() -> None:
    assert resolve("Back up $item.", VALUES) == "Back up a,b."
    with pytest.raises(ExpressionError):
        resolve("$item.name", VALUES)


def test_a_sentence_may_end_with_a_reference() -> None:
    assert resolve("It is $inputs.name.", VALUES) == "It is db."


def test_a_list_inside_text_is_joined_by_commas_and_inside_a_list_spliced_in() -> None:
    assert resolve("all: $inputs.all", VALUES) == "all: a,b"
    assert resolve(("$inputs.all", "c", "$inputs.level"), VALUES) == ["a", "b", "c", "3"]


def test_values_that_are_no_text_pass_through() -> None:
    assert resolve_all({"a": 1, "b": True, "c": ("x",)}, {}) == {"a": 1, "b": True, "c": ["x"]}


@pytest.mark.parametrize("text", ["$inputs.nothing", "x $gone.field", "$item"])
def test_a_missing_value_is_an_error(text: str) -> None:
    with pytest.raises(MissingValueError):
        resolve(text, {"inputs": {"nothing": None}})  # type: ignore[dict-item]


def test_a_result_field_that_no_playbook_can_hold_is_missing() -> None:
    values = with_result({}, {"state": "done", "size": 1.5, "nested": {"a": 1}, "none": None})
    assert resolve("$result.state", values) == "done"
    for field in ("size", "nested", "none"):
        with pytest.raises(MissingValueError):
            resolve(f"$result.{field}", values)


def test_an_item_lies_beside_the_other_values() -> None:
    assert resolve("$inputs.name of $item", with_item(VALUES, "w")) == "db of w"
    assert VALUES["item"] == {"": "a,b"}


def test_only_a_lone_reference_is_whole() -> None:
    assert whole_reference("$a.b") == Reference("a", "b")
    assert whole_reference("$a.b ") is None
    assert whole_reference("$$") is None
    assert whole_reference(5) is None
    with pytest.raises(ExpressionError):
        parse_reference("a.b")
