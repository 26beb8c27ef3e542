"""Turns pydantic's complaints into problems that a person can act on: the field, the place, and the nearest right word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, get_args

from pydantic import BaseModel, ValidationError

from snaphold.domain.value import IDENTIFIER_PATTERN
from snaphold.errors import Problem

if TYPE_CHECKING:
    from snaphold.documents import Document


def suggest(word: str, known: Sequence[str]) -> str:
    """Return `did you mean "x"?` for the nearest known word, or an empty text."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""


_PLAINER = {
    "missing": "is missing and must be given",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "string_type": "must be text; put it in quotes",
}


def problems_of(error: ValidationError, document: Document | None, model: type[BaseModel] | None = None) -> list[Problem]:
    """Return one Problem for each error of a pydantic validation, with its field and, given a document, its place."""
    problems: list[Problem] = []
    items = error.errors(include_url=False)
    faulty = {item["loc"][:length] for item in items for length in range(len(item["loc"]))}
    for item in items:
        where = item["loc"]
        if item["type"] == "too_short" and where in faulty:
            continue  # items that are wrong do not count, so the list only seems too short
        path = _document_path(where, document)
        message = _PLAINER.get(item["type"], item["msg"].removeprefix("Value error, "))
        if item["type"] == "too_short":
            message = "must not be empty"
        elif item.get("ctx", {}).get("pattern") == IDENTIFIER_PATTERN:
            message = "must be an identifier: letters, digits and . _ @ - beginning with a letter or a digit"
        hint = ""
        place = document.locate(path) if document else None
        if item["type"] == "extra_forbidden":
            message = f"unknown key {str(where[-1])!r}"
            place = document.locate_key(path) if document else None
            hint = suggest(str(where[-1]), _known_fields(model, path[:-1])) if model else ""
        elif item["type"] in ("enum", "literal_error") and isinstance(item["input"], str):
            hint = suggest(item["input"], re.findall(r"'([^']+)'", str(item.get("ctx", {}).get("expected", ""))))
        problems.append(Problem(message, ".".join(str(part) for part in path), place, hint))
    return problems


def _document_path(where: tuple[str | int, ...], document: Document | None) -> tuple[str | int, ...]:
    """Drop the parts of a pydantic location that name a union member, not a key of the document."""
    if document is None:
        return where
    kept: list[str | int] = []
    current: Any = document.data
    for position, part in enumerate(where):
        last = position == len(where) - 1
        present, inner = _step(current, part)
        if present:
            current = inner
        elif not (last and isinstance(current, dict) and isinstance(part, str) and part.isidentifier()):
            continue
        kept.append(part)
    return tuple(kept)


def _step(current: Any, part: str | int) -> tuple[bool, Any]:
    """Return whether `part` leads further into plain data, and what is there."""
    if isinstance(current, dict):
        mapping = cast("dict[str | int, Any]", current)
        return part in mapping, mapping.get(part)
    if isinstance(current, list) and isinstance(part, int):
        items = cast("list[Any]", current)
        return part < len(items), items[part] if part < len(items) else None
    return False, None


def _known_fields(model: type[BaseModel] | None, where: Sequence[str | int]) -> list[str]:
    """Return the field names of the model at a path; nested models are found through their annotations."""
    if model is None:
        return []
    current: type[BaseModel] = model
    for part in where:
        if isinstance(part, int) or part not in _names(current):
            continue
        inner = _models_in(next(f for n, f in current.model_fields.items() if part in (n, f.alias)).annotation)
        if not inner:
            return []
        current = inner[0]
    return _names(current)


def _names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for argument in get_args(annotation):
        found += _models_in(argument)
    return found
