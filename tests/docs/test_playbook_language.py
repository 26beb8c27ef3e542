"""The page on the playbook language: every example is linted, and every key and reserved word is on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from snaphold.action import AnyAction, catalogue
from snaphold.playbook.condition import OPERATORS
from snaphold.playbook.lint import errors_in, lint_playbook
from snaphold.playbook.lint_shape import RESERVED
from snaphold.playbook.load import read_playbook
from snaphold.playbook.model import InputDeclaration, Metadata, PlaybookFile
from snaphold.playbook.step import KINDS, Escalation, GrantTerms, OnError, Poll, Question, Retry
from support.playbooks import HEAD, known_actions, shipped

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/playbook-language.md").read_text()
EXAMPLES = re.findall(r"^```yaml( wrong)?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MODELS: list[type[BaseModel]] = [
    PlaybookFile, Metadata, InputDeclaration, *KINDS.values(), Poll, Retry, Question, Escalation, GrantTerms, OnError,
]  # fmt: skip


def actions() -> dict[str, AnyAction]:
    """Return the real catalogue; where an action is not in it, the one for tests."""
    return {**known_actions(), **catalogue()}


@pytest.mark.parametrize(("mark", "text"), EXAMPLES, ids=[str(number) for number in range(len(EXAMPLES))])
def test_an_example_is_what_the_page_says_that_it_is(mark: str, text: str) -> None:
    whole = text if text.startswith("apiVersion") else HEAD + text
    name = re.search(r"^  name: (.*)$", whole, re.MULTILINE)
    assert name
    problems = lint_playbook(read_playbook(whole, Path(f"{name[1]}.yaml")), actions=actions(), find=shipped)
    if mark:
        assert errors_in(problems)
    else:
        assert [str(problem) for problem in problems] == []


def test_there_are_examples_of_every_kind_of_step() -> None:
    good = "\n".join(text for mark, text in EXAMPLES if not mark)
    for kind in KINDS:
        assert re.search(rf"\b{kind}:", good), kind


def test_every_key_every_operator_and_every_reserved_id_is_on_the_page() -> None:
    for model in MODELS:
        for name, info in model.model_fields.items():
            key = info.alias or name
            assert f"`{key}`" in PAGE or re.search(rf"\b{key}:", PAGE), f"{model.__name__}.{key}"
    for word in [*OPERATORS, *RESERVED]:
        assert f"`{word}`" in PAGE, word
