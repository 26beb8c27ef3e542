"""Playbooks are found by path, in the configuration's folder, then among the shipped ones, parts included."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.config import Configuration
from snaphold.errors import InputError, PlaybookError
from snaphold.playbook.lint import load_checked
from snaphold.playbook.load import find_playbook, load_parts, load_playbook
from support.playbooks import HEAD, known_actions

TIER = {"id": "T0", "level": 0, "impact": "All.", "rto": "1h", "rpo": "1h"}
REPORT = "steps:\n  - {id: a, do: report.summary}\n"


def configuration_at(folder: Path) -> Configuration:
    made = Configuration.model_validate({"organisation": {"name": "Example"}, "tiers": [TIER], "playbooks": "own"})
    return made.placed_at(folder)


def write(path: Path, body: str = REPORT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD.replace("name: trial", f"name: {path.stem}") + body)
    return path


def test_a_shipped_playbook_and_its_parts_are_found_by_name() -> None:
    loaded = load_playbook(find_playbook("ransomware-response"))
    assert list(load_parts(loaded)) == [
        "close-incident",
        "cover-change",
        "escalate",
        "seal-evidence",
        "snapshot-alternate",
        "snapshot-asset",
        "snapshot-primary",
    ]


def test_the_configurations_own_playbook_stands_before_a_shipped_one(tmp_path: Path) -> None:
    own = write(tmp_path / "own/ransomware-response.yaml")
    assert find_playbook("ransomware-response", configuration_at(tmp_path)) == own
    assert find_playbook("ransomware-response") != own


def test_own_parts_are_found_beside_the_caller(tmp_path: Path) -> None:
    caller = write(tmp_path / "caller.yaml", "steps:\n  - {id: a, call: helper}\n")
    part = write(tmp_path / "parts/helper.yaml", "steps:\n  - {id: a, call: second}\n")
    second = write(tmp_path / "parts/second.yaml")
    parts = load_parts(load_playbook(caller))
    assert {name: loaded.path for name, loaded in parts.items()} == {"helper": part, "second": second}


def test_a_name_that_is_not_there_brings_the_nearest_one() -> None:
    with pytest.raises(InputError) as caught:
        find_playbook("ransomware-respons")
    assert caught.value.why == 'did you mean "ransomware-response"?'


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no playbook"):
        find_playbook(str(tmp_path / "x.yaml"))


def test_a_run_starts_only_from_playbooks_without_errors_parts_included(tmp_path: Path) -> None:
    caller = write(tmp_path / "caller.yaml", "steps:\n  - {id: a, call: helper}\n")
    write(tmp_path / "parts/helper.yaml", "steps:\n  - {id: a, do: report.sumary}\n")
    with pytest.raises(PlaybookError) as caught:
        load_checked(str(caller), actions=known_actions())
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/parts/helper.yaml:9:17: there is no action 'report.sumary' (did you mean \"report.summary\"?)"
    ]


def test_warnings_let_a_run_start(tmp_path: Path) -> None:
    path = write(tmp_path / "trial.yaml", "inputs:\n  size: {type: integer, default: 1}\n" + REPORT)
    loaded, parts = load_checked(str(path), actions=known_actions())
    assert loaded.playbook.name == "trial"
    assert parts == {}


def test_a_missing_part_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "trial.yaml", "steps:\n  - {id: a, call: nowhere}\n")
    with pytest.raises(PlaybookError) as caught:
        load_checked(str(path), actions=known_actions())
    assert str(caught.value.problems[0]).startswith(f"{path}:9:19: there is no playbook 'nowhere'")


def test_a_circle_of_playbooks_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    path = write(tmp_path / "one.yaml", "steps:\n  - {id: a, call: two}\n")
    write(tmp_path / "two.yaml", "steps:\n  - {id: a, call: one}\n")
    with pytest.raises(PlaybookError) as caught:
        load_checked(str(path), actions=known_actions())
    assert {problem.message for problem in caught.value.problems} == {
        "the playbook ends up calling itself: one -> two -> one",
        "the playbook ends up calling itself: two -> one -> two",
    }


def test_a_json_playbook_is_read_too(tmp_path: Path) -> None:
    import json

    document = load_playbook(find_playbook("snapshot-primary")).document.data
    path = tmp_path / "snapshot-primary.json"
    path.write_text(json.dumps(document))
    assert load_playbook(path).playbook.metadata.name == "snapshot-primary"
