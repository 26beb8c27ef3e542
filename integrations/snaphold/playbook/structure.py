"""The form of a playbook: unknown keys with the nearest known one, missing keys, wrong kinds of value. One fault each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from snaphold.documents import Document, problems_of, suggest
from snaphold.errors import Problem
from snaphold.playbook.model import InputDeclaration, Metadata, PlaybookFile
from snaphold.playbook.step import KINDS, Escalation, GrantTerms, OnError, Poll, Question, Retry, StepBase, kind_of

_BY_KEY: dict[str, type[BaseModel]] = {
    "metadata": Metadata,
    "poll": Poll,
    "retry": Retry,
    "approve": Question,
    "escalate": Escalation,
    "grants": GrantTerms,
    "on_error": OnError,
}
_WRONG_TYPE = re.compile(r"Input should be a valid (?P<type>tuple|dictionary|string)\b")
_REPLACEMENTS = {
    "while": "there are no loops but poll and for_each",
    "loop": "there are no loops but poll and for_each",
    "goto": "there is no goto",
    "depends_on": "steps run in the order of the file",
    "on": "YAML 1.1 reads this key as a boolean",
}


def structure_problems(document: Document) -> list[Problem]:
    """Return every fault of form, each with its place; an empty list when the document can be read as a playbook."""
    empty = [
        Problem(
            "has no value; write one, or leave the key out", ".".join(str(part) for part in where), document.locate_key(where)
        )
        for where in _empty_values(document.data, ())
    ]
    if empty:
        return empty
    try:
        PlaybookFile.model_validate(document.data)
    except ValidationError as error:
        problems = [_improve(problem, document) for problem in problems_of(error, document)]
        return list(dict.fromkeys(problems))  # the members of a union each report the same fault
    return []


_TYPES = {"tuple": "list", "dictionary": "mapping", "string": "text"}
_FORMS = {
    "do": "an action is named SUBJECT.VERB, e.g. backup.start",
    "id": "an id is lower-case letters, digits and _, and starts with a letter",
    "from": "approvers are group/NAME or individual/NAME",
    "to": "approvers are group/NAME or individual/NAME",
    "switch": "switch takes one reference, e.g. $step.field",
    "for_each": "for_each takes one reference, e.g. $step.field",
    "quorum": "a quorum is a whole number from 1 to 9, or one reference such as $step.field",
    "call": "a playbook's name is lower-case letters, digits and -",
    "name": "a playbook's name is lower-case letters, digits and -",
}


def _improve(problem: Problem, document: Document) -> Problem:
    """Say it in the words of the language, with the nearest known key, which only the kind of step around it tells."""
    key = problem.field.rpartition(".")[2]
    if problem.message.startswith("unknown key "):
        where = _path_of(problem, document)
        hint = _REPLACEMENTS.get(key) or suggest(key, _known_keys(where[:-1], document.data))
        return Problem(problem.message, problem.field, document.locate_key(where), hint)
    wrong_type = _WRONG_TYPE.match(problem.message)
    if key in _FORMS and (problem.message.startswith("String should match") or (wrong_type and key == "quorum")):
        if key == "id" and problem.field == "metadata.id":
            return Problem("a playbook's id is playbook-- and a lower-case UUID", problem.field, problem.location)
        return Problem(_FORMS[key], problem.field, problem.location)
    if wrong_type:
        return Problem(f"must be a {_TYPES[wrong_type['type']]}".replace("a text", "text"), problem.field, problem.location)
    return problem


def _empty_values(data: Any, where: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield where a key or an item has no value: `on_error:` with nothing after it must not pass for no handler."""
    if data is None:
        yield where
    elif isinstance(data, dict):
        for key, value in cast("dict[str, Any]", data).items():
            yield from _empty_values(value, (*where, key))
    elif isinstance(data, list):
        for index, value in enumerate(cast("list[Any]", data)):
            yield from _empty_values(value, (*where, index))


def _path_of(problem: Problem, document: Document) -> tuple[str | int, ...]:
    """Return the path in the document that a problem's dotted field names."""
    for path in document.keys:
        if ".".join(str(part) for part in path) == problem.field:
            return path
    return ()


def _known_keys(where: tuple[str | int, ...], data: Any) -> list[str]:
    around: Any = data
    for part in where:
        around = around[part]
    model: type[BaseModel] = PlaybookFile
    if where and isinstance(where[-1], int):
        kind = kind_of(around) if isinstance(around, Mapping) else None
        model = KINDS[kind] if kind else StepBase
        if not kind:
            return [*KINDS, *cast("dict[str, Any]", StepBase.model_fields)]
    elif len(where) > 1 and where[0] == "inputs":
        model = InputDeclaration
    elif where:
        model = _BY_KEY.get(str(where[-1]), PlaybookFile)
    return [info.alias or name for name, info in model.model_fields.items()]
