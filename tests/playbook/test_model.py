"""The model reads a file, writes plain JSON, and reads that back as an equal value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from snaphold.playbook.load import load_playbook
from snaphold.playbook.model import Playbook
from snaphold.playbook.step import CallStep, DoStep, IfStep, OnError
from snaphold.playbook.walk import every_step
from support.playbooks import read_trial, shipped_files

EVERYTHING = """
inputs:
  assets: {type: list, default: [a, b]}
  level: {type: integer, default: 2}
  sure: {type: boolean, default: false}
steps:
  - id: first
    do: backup.check_capacity
    with: {assets: [a, $inputs.assets], pool: "p $$"}
    out: {fits: boolean}
    retry: {attempts: 3, every: 90s}
    timeout: 5m
    on_error: tell
  - id: second
    switch: $inputs.level
    cases:
      "1": [{id: one, stop: One.}]
      "2": [{id: two, do: report.summary, on_error: {run: tell, then: continue}}]
    default: [{id: other, stop: Other.}]
  - id: third
    parallel:
      - [{id: left, call: part, for_each: $inputs.assets, at_once: 3, with: {asset: $item}, on_error: tell}]
      - - id: right
          if: $inputs.sure == true
          then: [{id: yes_, do: report.summary}]
          else: [{id: no_, do: report.summary}]
  - id: gate
    approve:
      {ask: Now, from: group/g, within: 15m, escalate: {to: individual/i, within: 1h}, grants: {role: r, for: 1d}, quorum: 2}
    on_denied: tell
    on_timeout: stop
handlers:
  tell: [{id: told, do: report.summary}]
"""


@pytest.mark.parametrize("path", shipped_files(), ids=lambda path: path.stem)
def test_a_shipped_playbook_survives_the_way_through_json(path: Path) -> None:
    playbook = load_playbook(path).playbook
    assert Playbook.model_validate(json.loads(json.dumps(playbook.to_document()))) == playbook
    assert Playbook.model_validate(json.loads(json.dumps(playbook.model_dump(mode="json", by_alias=True)))) == playbook


def test_every_construct_survives_the_way_through_json() -> None:
    playbook = read_trial(EVERYTHING).playbook
    document = json.loads(json.dumps(playbook.to_document()))
    again = Playbook.model_validate(document)
    assert again == playbook
    assert again.to_document() == document


def test_the_document_has_the_keys_of_the_file() -> None:
    document = read_trial(EVERYTHING).playbook.to_document()
    assert document["apiVersion"] == "snaphold/v1"
    assert document["steps"][0]["with"] == {"assets": ["a", "$inputs.assets"], "pool": "p $$"}
    assert document["steps"][0]["retry"] == {"attempts": 3, "every": "90s"}
    assert document["steps"][2]["parallel"][1][0]["if"] == "$inputs.sure == true"
    assert document["steps"][3]["approve"]["grants"] == {"role": "r", "for": "1d"}


def test_a_short_on_error_means_then_stop() -> None:
    steps = {step.id: step for step in every_step(read_trial(EVERYTHING).playbook)}
    first, two, left = steps["first"], steps["two"], steps["left"]
    assert isinstance(first, DoStep)
    assert isinstance(two, DoStep)
    assert isinstance(left, CallStep)
    assert first.on_error == OnError(run="tell", then="stop")
    assert two.on_error == OnError(run="tell", then="continue")


def test_the_digest_is_that_of_the_bytes_of_the_file(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "trial.yaml"
    path.write_bytes(shipped_files()[0].read_bytes() + b"# more\r\n")
    loaded = load_playbook(path)
    assert loaded.digest == loaded.playbook.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_playbook_cannot_be_changed() -> None:
    playbook = read_trial(EVERYTHING).playbook
    step = playbook.steps[2]
    with pytest.raises(ValidationError):
        step.title = "other"  # type: ignore[misc]
    assert not isinstance(step, IfStep)


def test_a_literal_keeps_its_type() -> None:
    playbook = read_trial('steps:\n  - {id: a, do: a.b, with: {i: 1, t: "1", b: true, f: 1.5, l: [x]}}\n').playbook
    step = playbook.steps[0]
    assert isinstance(step, DoStep)
    assert {name: type(value) for name, value in step.arguments.items()} == {
        "i": int,
        "t": str,
        "b": bool,
        "f": float,
        "l": tuple,
    }
