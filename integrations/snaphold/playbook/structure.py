"""The form of a playbook: unknown keys with the nearest known one, missing keys, wrong kinds of value. One fault each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from snaphold.documents import Document, suggest
from snaphold.errors import Problem
from snaphold.playbook.model import InputDeclaration, Metadata, PlaybookFile
from snaphold.playbook.step import KINDS, Escalation, GrantTerms, OnError, Poll, Question, Retry, StepBase, kind_of
from snaphold.playbook.walk import Place

_BY_KEY: dict[str, type[BaseModel]] = {
    "metadata": Metadata,
    "poll": Poll,
    "retry": Retry,
    "approve": Question,
    "escalate": Escalation,
    "grants": GrantTerms,
    "on_error": OnError,
}
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
        problems: dict[Place, Problem] = {}
        for item in error.errors(include_url=False, include_context=False):
            where = _path_of(item["loc"], document.data, item["type"])
            # The members of a union each complain; they are told apart by what is wanted, so one complaint is enough.
            problems.setdefault(where, _problem(item["type"], item["msg"], where, document))
        return list(problems.values())
    return []


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


_PLAIN_TYPES = {
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "string_type": "must be text",
    "missing": "is missing and must be given",
}


def _problem(kind: str, message: str, where: Place, document: Document) -> Problem:
    """Say it in the words of the language; the nearest known key depends on the kind of step around it."""
    field, key = ".".join(str(part) for part in where), str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        hint = _REPLACEMENTS.get(key) or suggest(key, _known_keys(where[:-1], document.data))
        return Problem(f"unknown key {key!r}", field, document.locate_key(where), hint)
    if key == "quorum":
        message = _FORMS["quorum"]
    elif "with" in where[-3:-1] or key == "default":
        message = "must be text, a whole number, true, false, or a list of text"
    elif kind == "string_pattern_mismatch" and field == "metadata.id":
        message = "a playbook's id is playbook-- and a lower-case UUID"
    elif kind == "string_pattern_mismatch" and key in _FORMS:
        message = _FORMS[key]
    elif kind == "string_pattern_mismatch":
        message = "a name is lower-case letters, digits and _, and starts with a letter"
    else:
        message = _PLAIN_TYPES.get(kind, message.removeprefix("Value error, ").replace("Input should", "must"))
    return Problem(message, field, document.locate(where))


def _path_of(where: tuple[str | int, ...], data: Any, kind: str) -> Place:
    """Return the path in the document: without the names of union members, which pydantic puts between the keys."""
    kept: list[str | int] = []
    current = data
    for position, part in enumerate(where):
        if isinstance(current, dict) and part in current:
            current = cast("dict[str | int, Any]", current)[part]
        elif isinstance(current, list) and isinstance(part, int) and part < len(cast("list[Any]", current)):
            current = cast("list[Any]", current)[part]
        elif not (kind == "missing" and position == len(where) - 1):
            continue
        kept.append(part)
    return tuple(kept)


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
