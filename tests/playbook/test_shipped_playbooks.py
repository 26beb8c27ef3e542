"""What is shipped fits the real catalogue, and the catalogue for tests does not drift away from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.action import Effect, catalogue
from snaphold.playbook.annotation import choices_of, given_types
from snaphold.playbook.lint import lint_file
from support.playbooks import known_actions, shipped_files


@pytest.mark.parametrize("path", shipped_files(), ids=lambda path: path.stem)
def test_a_shipped_playbook_has_no_faults_and_no_warnings(path: Path) -> None:
    assert [str(problem) for problem in lint_file(path)] == []


def test_the_catalogue_for_tests_is_like_the_real_one() -> None:
    for name, imitation in known_actions().items():
        real = catalogue().get(name)
        if real is None:
            continue
        assert real.effect is imitation.effect, name
        assert real.effect is Effect.READS or real.recovery is imitation.recovery, name
        assert set(imitation.request.model_fields) <= set(real.request.model_fields), name
        for field, info in imitation.result.model_fields.items():
            if field != "load":  # only the imitation has an output that no playbook can hold
                assert given_types(info) == given_types(real.result.model_fields[field]), f"{name} {field}"
                assert choices_of(info) == choices_of(real.result.model_fields[field]), f"{name} {field}"
