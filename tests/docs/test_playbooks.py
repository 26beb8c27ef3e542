"""The page of the shipped playbooks, and the JSON Schema of their cases."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from snaphold.action import catalogue
from snaphold.playbook.case import PlaybookCase, case_schema_text, load_case
from snaphold.playbook.lint import lint_file
from snaphold.playbook.load import load_playbook
from snaphold.playbook.trial import run_trial, total_coverage
from snaphold.targets.playbooks import playbooks_reference
from support.golden import ROOT, Golden
from support.shipped_cases import shipped_with_cases

HOW_TO = ROOT / "docs/how-to/write-a-playbook.md"


def test_the_reference_of_playbooks_is_up_to_date(golden: Golden) -> None:
    golden.check("docs/reference/playbooks.md", playbooks_reference(shipped_with_cases(), catalogue()))


def test_the_schema_of_cases_is_up_to_date(golden: Golden) -> None:
    golden.check("schemas/case.schema.json", case_schema_text())


def blocks(kind: str) -> list[str]:
    return [text for text in re.findall(r"^```yaml\n(.*?)^```", HOW_TO.read_text(), re.M | re.S) if f"kind: {kind}\n" in text]


def test_the_playbook_and_the_cases_of_the_how_to_are_right_and_take_every_branch(tmp_path: Path) -> None:
    (text,) = blocks("Playbook")
    path = tmp_path / "save-one-asset.yaml"
    path.write_text(text)
    assert [str(problem) for problem in lint_file(path)] == []
    loaded = load_playbook(path)
    trials = []
    for case in blocks("PlaybookCase"):
        name = re.search(r"name: ([a-z-]+)", case)
        assert name
        file = tmp_path / f"{name[1]}.yaml"
        file.write_text(case)
        trials.append(run_trial(loaded, {}, load_case(file)))
    assert [trial.differences for trial in trials if not trial.passed] == []
    assert total_coverage(loaded, trials).missing == ()


@pytest.mark.parametrize("key", [info.alias or name for name, info in PlaybookCase.model_fields.items()])
def test_every_key_of_a_case_is_on_the_page(key: str) -> None:
    assert f"`{key}`" in HOW_TO.read_text() or f"{key}:" in HOW_TO.read_text()
