"""The shipped JSON Schema is that of the model, and says yes and no as the model does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from snaphold.playbook.schema import playbook_schema, schema_text
from snaphold.resources import folder
from support.playbooks import shipped, shipped_files

VALIDATOR = Draft202012Validator(playbook_schema())


def test_the_file_is_the_schema_of_the_model() -> None:
    written = (folder("schemas") / "playbook.schema.json").read_text()
    assert written == schema_text(), "run: snaphold playbook schema > schemas/playbook.schema.json"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(playbook_schema())


@pytest.mark.parametrize("path", shipped_files(), ids=lambda path: path.stem)
def test_a_shipped_playbook_is_valid(path: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(shipped(path.stem).document.data)] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout", None),
        ("timeout", "90"),
        ("retry", {"attempts": 1, "every": "5s"}),
        ("call", "x"),
        ("colour", "red"),
        ("id", "A"),
    ],
)
def test_what_the_model_refuses_the_schema_refuses(key: str, value: Any) -> None:
    data = copy.deepcopy(shipped("ransomware-response").document.data)
    data["steps"][0][key] = value
    assert not VALIDATOR.is_valid(data)


def test_a_short_and_a_long_on_error_are_valid() -> None:
    for value in ("leave_report", {"run": "leave_report", "then": "continue"}):
        data = copy.deepcopy(shipped("ransomware-response").document.data)
        data["steps"][0]["on_error"] = value
        assert VALIDATOR.is_valid(data)
