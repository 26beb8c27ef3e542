"""`snaphold actions`: the catalogue."""

from __future__ import annotations

import json

import pytest

from snaphold.action import catalogue
from snaphold.cli.main import main


def test_the_list_names_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["actions", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["actions"]
    assert [entry["name"] for entry in listed] == list(catalogue())
    assert set(listed[0]) == {"name", "title", "effect", "needs"}


@pytest.mark.parametrize("name", list(catalogue()))
def test_an_action_is_shown_with_all_its_fields(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["actions", "show", name]) == 0
    shown = capsys.readouterr().out
    entry = catalogue()[name]
    assert [field for field in entry.request.model_fields if f"\n--{field.replace('_', '-')} " not in shown] == []
    assert [field for field in entry.result.model_fields if f"\n{field} " not in shown] == []


def test_the_json_of_an_action_holds_its_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["actions", "show", "triage.promote_asset", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["effect"] == "writes"
    assert shown["recovery"] == "idempotent"
    assert shown["input_schema"]["properties"]["lasts"]["default"] == "7d"
    assert "outcome" in shown["output_schema"]["required"]


def test_an_unknown_action_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["actions", "show", "triage.promote"]) == 2
    assert 'did you mean "triage.promote_asset"?' in capsys.readouterr().err
