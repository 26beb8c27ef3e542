"""Strict JSON: what is taken is what json.loads would give, and everything else is an InputError."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.errors import InputError
from snaphold.service.strict_json import DEEPEST, parse_object

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=20,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(inner) for inner in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(inner) for inner in value), default=0)
    return 0


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_plain_objects_come_back_as_they_were(document: dict[str, object]) -> None:
    data = json.dumps(document).encode()
    if depth(document) > DEEPEST:
        with pytest.raises(InputError):
            parse_object(data)
    else:
        assert parse_object(data) == document


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789eE+-.\\unultrefalsNaI \n', max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_an_input_error(data: bytes) -> None:
    try:
        document = parse_object(data)
    except InputError:
        return
    assert json.loads(data) == document
