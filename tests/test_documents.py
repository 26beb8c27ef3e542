from __future__ import annotations

import errno
import gc
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from snaphold import documents
from snaphold.documents import load_document, parse_document, problems_of, read_model, read_text, suggest
from snaphold.errors import DocumentError, InputError, Location

TEXT = """\
name: shop
tiers:
  - id: T0
    tags: {site: north, "a b": 1}
  - id: T1
"""


def test_values_and_keys_are_found_in_the_file() -> None:
    document = parse_document(TEXT, "x.yaml")
    assert document.data["tiers"][0] == {"id": "T0", "tags": {"site": "north", "a b": 1}}
    assert document.locate(("tiers", 1, "id")) == Location("x.yaml", 5, 9)
    assert document.locate_key(("tiers", 0, "tags", "a b")) == Location("x.yaml", 4, 25)
    assert document.locate(("tiers", 1, "missing")) == Location("x.yaml", 5, 5)
    assert document.locate(("nowhere",)) == Location("x.yaml", 1, 1)


def test_json_has_places_too_and_tabs_are_allowed_in_it() -> None:
    document = parse_document('{\n\t"a": [1,\n\t\t{"b": true}]\n}', "x.json")
    assert document.data == {"a": [1, {"b": True}]}
    assert document.locate(("a", 1, "b")) == Location("x.json", 3, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "x.json:1:10: the key 'a' stands twice (first at x.json:1:2)"),
        ('{"a": }', "x.json:1:7: Expecting value"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ("", "x.json:1:1: Expecting value"),
        ("{'a': 1}", "x.json:1:2: "),
        ("[" * 200_000 + "]" * 200_000, "nested too deeply"),
    ],
)
def test_faulty_json_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, "x.json")
    assert message in str(caught.value)


def test_a_json_number_of_a_million_digits_is_no_crash() -> None:
    try:
        parse_document('{"a": ' + "1" * 1_000_000 + "}", "x.json")
    except DocumentError as error:
        assert "too many digits" in str(error)  # noqa: PT017  Python 3.10 reads it


@pytest.mark.parametrize(
    "text",
    ["a: " + "[" * 200_000 + "]" * 200_000, "- " * 200_000 + "a", "? " * 200_000 + "a", "{a: " * 5000 + "1" + "}" * 5000],
)
def test_a_bomb_of_brackets_or_dashes_does_not_end_the_process(text: str) -> None:
    with pytest.raises(DocumentError, match=r"x\.yaml"):
        parse_document(text, "x.yaml")


def test_many_brackets_that_are_not_nested_are_read() -> None:
    text = "".join(f"k{number}: '[[{{'\n" for number in range(300))
    assert parse_document(text, "x.yaml").data["k299"] == "[[{"


@pytest.mark.parametrize(
    "text",
    [
        "yes", "No", "ON", "off", "True", "FALSE", "Null", "1:30", "12:30:45", "2026-11-22", "2026-11-22T18:00:00Z", "010",
        "0x1F", "0o17", "0b1", "1_000", "+1", ".inf", "-.INF", ".nan",
    ],
)  # fmt: skip
def test_words_with_two_meanings_are_refused_and_quoting_helps(text: str) -> None:
    with pytest.raises(DocumentError, match="has two meanings"):
        parse_document(f"a: {text}", "x.yaml")
    assert parse_document(f'a: "{text}"', "x.yaml").data == {"a": text}
    with pytest.raises(DocumentError, match="has two meanings"):
        parse_document(f"{text}: a", "x.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-7", -7), ("0", 0), ("1.5", 1.5), ("true", True), ("false", False), ("null", None), ("~", None),
     ("", None), ("1e3", "1e3"), ("1.2.3", "1.2.3"), ("T0", "T0"), ("9" * 40, "9" * 40)],
)  # fmt: skip
def test_plain_words_have_one_meaning(text: str, value: Any) -> None:
    assert parse_document(f"a: {text}", "x.yaml").data == {"a": value}


def test_both_readers_of_yaml_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = parse_document(TEXT, "x.yaml")
    monkeypatch.setattr(documents, "_Loader", yaml.SafeLoader)
    slow = parse_document(TEXT, "x.yaml")
    assert (fast.data, fast.values, fast.keys) == (slow.data, slow.values, slow.keys)


def test_garbage_is_collected_again_after_reading_also_after_a_fault() -> None:
    assert gc.isenabled()
    parse_document(TEXT, "x.yaml")
    with pytest.raises(DocumentError):
        parse_document("a: [", "x.yaml")
    assert gc.isenabled()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_reads_back_as_it_was_written(value: Any) -> None:
    assert parse_document(json.dumps(value), "x.json").data == value


@given(json_values)
@example({"a": "yes", "b": "1:30", "010": "0x1", "<<": "=", "": "", "x": "\x85\u2028\ufeff~"})
def test_quoted_yaml_reads_back_as_it_was_written(value: Any) -> None:
    text = yaml.safe_dump({"value": value}, default_style='"', allow_unicode=False)
    numbers = _without_tags(text)
    if numbers is not None:
        assert parse_document(numbers, "x.yaml").data == {"value": value}


def _without_tags(text: str) -> str | None:
    """Quoted dumps tag numbers and nulls; such documents are refused, which is tested elsewhere."""
    return None if "!!" in text else text


@given(st.text(alphabet="ab:-[]{}&*!|>%@`'\"#,? \n\t0123456789.~", max_size=60))
def test_no_text_makes_anything_but_a_document_or_a_document_error(text: str) -> None:
    for name in ("x.yaml", "x.json"):
        try:
            parse_document(text, name)
        except DocumentError as error:
            assert error.problems  # noqa: PT017  most texts are no fault


def test_files_that_cannot_be_read_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_document(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_document(tmp_path)
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_text(path, "document")
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    with pytest.raises(InputError, match="byte order mark"):
        read_text(path, "document")
    monkeypatch.setattr(documents, "MAXIMUM_BYTES", 3)
    with pytest.raises(InputError, match="too large"):
        read_text(path, "document")


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / "x.yaml").touch()
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_text(tmp_path / "x.yaml", "document")
    assert caught.value.why == "Permission denied"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=2)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: tuple[Inner, ...] = Field(min_length=1)
    other: Inner | None = None


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        read_model(Outer, parse_document(text, "x.yaml"), "document")
    return [str(problem) for problem in caught.value.problems]


def test_faults_of_a_model_are_told_with_place_field_and_nearest_key() -> None:
    assert problems("inner:\n  - nmae: shop\n") == [
        "x.yaml:2:5: inner.0.name: is missing and must be given",
        "x.yaml:2:5: inner.0.nmae: unknown key 'nmae' (did you mean \"name\"?)",
    ]
    assert problems("inner: [{name: ab}]\nother:\n  name: 7\n") == ["x.yaml:3:9: other.name: must be text; put it in quotes"]


def test_a_list_is_not_called_empty_because_its_items_are_wrong() -> None:
    assert problems("inner: [{name: a}]") == ["x.yaml:1:16: inner.0.name: String should have at least 2 characters"]
    assert problems("inner: []") == ["x.yaml:1:8: inner: must not be empty"]


def test_problems_without_a_document_have_no_place() -> None:
    with pytest.raises(ValueError, match="inner") as caught:
        Outer.model_validate({})
    (problem,) = problems_of(caught.value, None)  # type: ignore[arg-type]
    assert (problem.field, problem.location) == ("inner", None)


def test_suggestions_are_near_or_absent() -> None:
    assert suggest("tiers", ["tier", "asset"]) == 'did you mean "tier"?'
    assert suggest("zebra", ["tier", "asset"]) == ""
