"""Answers, branches and results as plain JSON, as they are recorded in a run's history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from snaphold.engine.steps import Answer, Branch, BranchResult

_ANSWER = TypeAdapter(Answer)
_BRANCH = TypeAdapter(Branch)
_RESULT = TypeAdapter(BranchResult)


def answer_to(answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON."""
    return _ANSWER.dump_python(answer, mode="json")


def answer_from(document: Mapping[str, Any], *, before: bool) -> Answer:
    """Return the answer that JSON describes; `before` says that an earlier process recorded it."""
    return replace(_ANSWER.validate_python(document), before=before)


def branch_to(branch: Branch) -> dict[str, Any]:
    """Return a branch as JSON."""
    return _BRANCH.dump_python(branch, mode="json")


def branch_from(document: Mapping[str, Any]) -> Branch:
    """Return the branch that JSON describes."""
    return _BRANCH.validate_python(document)


def result_to(result: BranchResult) -> dict[str, Any]:
    """Return a branch's result as JSON."""
    return _RESULT.dump_python(result, mode="json")


def result_from(document: Mapping[str, Any]) -> BranchResult:
    """Return the result that JSON describes."""
    return _RESULT.validate_python(document)
