"""`snaphold playbook test`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snaphold.cli.main import main

PLAYBOOK = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: mine
  id: playbook--11111111-1111-4111-8111-111111111111
  version: "1.0.0"
  change_record: CHG1
steps:
  - {id: capacity, do: backup.check_capacity, out: {fits: boolean}}
  - {id: gate, if: $capacity.fits == false, then: [{id: full, stop: Full.}]}
"""
CASE = """apiVersion: snaphold/v1
kind: PlaybookCase
metadata: {name: fits, playbook: mine}
expect: {actions: [backup.check_capacity], outcome: done}
"""


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)
    Path("mine.yaml").write_text(PLAYBOOK)
    Path("cases/mine").mkdir(parents=True)
    Path("cases/mine/fits.yaml").write_text(CASE)


def test_all_cases_beside_the_playbook_are_run_and_the_branches_left_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "test", "mine.yaml"]) == 0
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "mine",
        "CASE VERDICT OUTCOME REASON HANDLERS",
        "fits passed done - -",
        "",
        "1 of 2 branches taken (50 %)",
        "not taken: gate: then",
        "",
        "1 of 1 cases passed",
    ]


def test_too_little_coverage_is_a_failure_when_it_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "test", "mine.yaml", "--require-coverage", "50"]) == 0
    assert main(["playbook", "test", "mine.yaml", "--require-coverage", "51"]) == 1
    assert "coverage below 51 %: mine (50 %)" in capsys.readouterr().out


def test_a_missed_expectation_is_a_failure_and_shows_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cases/mine/fits.yaml").write_text(CASE.replace("outcome: done", "outcome: failed"))
    assert main(["playbook", "test", "mine.yaml"]) == 1
    out = capsys.readouterr().out
    assert "MISSED outcome: expected failed, got done" in out
    assert "backup.check_capacity" in out
    assert "0 of 1 cases passed" in out


def test_one_case_is_shown_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "test", "mine.yaml", "--case", "cases/mine/fits.yaml"]) == 0
    out = capsys.readouterr().out
    assert "STEP" in out
    assert "capacity" in out


def test_programs_get_cases_calls_and_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "test", "mine.yaml", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["playbooks"]
    assert found["coverage"] == {"percent": 50, "taken": ["gate: else"], "missing": ["gate: then"]}
    (case,) = found["cases"]
    assert (case["case"], case["passed"], case["outcome"]) == ("fits", True, "done")
    assert case["calls"] == [
        {"step": "capacity", "item": "", "action": "backup.check_capacity", "with": {}, "outcome": "succeeded"}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CASE.replace("done", "perfect"), "cases/mine/fits.yaml:4:"),
        (CASE + "results: {backup.check_capacity: {fits: 12}}\n", "cannot give this fits"),
        ("expect: [\n", "cases/mine/fits.yaml:2:1"),
        ("", "it is empty"),
    ],
)
def test_a_wrong_case_is_bad_input_without_a_traceback(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cases/mine/fits.yaml").write_text(text)
    assert main(["playbook", "test", "mine.yaml"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_playbook_without_cases_and_one_with_faults_are_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.yaml").write_text(PLAYBOOK.replace("name: mine", "name: other"))
    assert main(["playbook", "test", "other.yaml"]) == 2
    assert "other has no cases" in capsys.readouterr().err
    Path("mine.yaml").write_text(PLAYBOOK.replace("check_capacity,", "check_capacities,"))
    assert main(["playbook", "test", "mine.yaml"]) == 2
    assert "there is no action" in capsys.readouterr().err


def test_several_playbooks_are_tested_at_once_but_a_case_is_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "test", "mine.yaml", "close-incident"]) == 0
    assert "7 of 7 cases passed" in capsys.readouterr().out
    assert main(["playbook", "test", "mine.yaml", "escalate", "--case", "cases/mine/fits.yaml"]) == 2


@pytest.mark.parametrize("percent", ["101", "-1", "all"])
def test_a_percentage_is_a_whole_number_up_to_100(percent: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "test", "mine.yaml", f"--require-coverage={percent}"]) == 2
    assert "whole number from 0 to 100" in capsys.readouterr().err
