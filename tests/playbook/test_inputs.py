"""Inputs are bound by type; a missing one is an error."""

from __future__ import annotations

import pytest

from snaphold.errors import PlaybookError
from snaphold.playbook.inputs import bind_inputs
from support.playbooks import read_trial

PLAYBOOK = read_trial(
    """
inputs:
  incident_id: {type: string, default: ""}
  assets: {type: list, default: []}
  level: {type: integer, default: 1}
  sure: {type: boolean, default: false}
  why: {type: string, required: true}
steps:
  - {id: a, do: report.summary}
"""
).playbook


def test_defaults_and_the_incident_fill_what_is_not_given() -> None:
    bound = bind_inputs(PLAYBOOK, {"why": "test"}, "INC-1")
    assert bound == {"incident_id": "INC-1", "assets": [], "level": 1, "sure": False, "why": "test"}


def test_text_is_taken_apart_and_read() -> None:
    bound = bind_inputs(PLAYBOOK, {"why": "x", "assets": "a, b,", "level": "-7", "sure": "true", "incident_id": "INC-2"}, "INC-1")
    assert (bound["assets"], bound["level"], bound["sure"], bound["incident_id"]) == (["a", "b"], -7, True, "INC-2")


def test_every_wrong_input_is_named() -> None:
    with pytest.raises(PlaybookError) as caught:
        bind_inputs(PLAYBOOK, {"level": "many", "sure": 1, "asets": [], "assets": [1]}, "INC-1")
    assert [(problem.field, problem.message) for problem in caught.value.problems] == [
        ("asets", "the playbook has no such input"),
        ("assets", "must be of type list"),
        ("level", "must be of type integer"),
        ("sure", "must be of type boolean"),
        ("why", "is required and was not given"),
    ]
    assert caught.value.problems[0].hint == 'did you mean "assets"?'
