"""One file for each kind of mistake. Its first lines say `# expect: LINE:COLUMN SEVERITY: MESSAGE`, once per finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.errors import Problem
from snaphold.playbook.lint import lint_file
from support.playbooks import known_actions

FOLDER = Path(__file__).resolve().parents[1] / "data/playbooks/invalid"
FILES = sorted(FOLDER.glob("*.yaml"))
EXPECT = "# expect: "


def describe(problem: Problem) -> str:
    """Return a finding as the files write it: places without the folder."""
    place = f"{problem.location.line}:{problem.location.column}" if problem.location else "0:0"
    field = f"{problem.field}: " if problem.field else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{place} {problem.severity}: {field}{problem.message}{hint}".replace(f"{FOLDER}/", "")


def test_there_is_a_file_for_each_of_many_mistakes() -> None:
    assert len(FILES) > 120


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_mistake_is_named_with_its_place(path: Path) -> None:
    expected = [line[len(EXPECT) :] for line in path.read_text().splitlines() if line.startswith(EXPECT)]
    assert expected
    assert [describe(problem) for problem in lint_file(path, actions=known_actions())] == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_mistake_shows_a_python_word(path: Path) -> None:
    for problem in lint_file(path, actions=known_actions()):
        assert not any(word in problem.message for word in ("tuple", "dict", "NoneType", "instance of", "<do>"))
