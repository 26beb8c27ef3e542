"""References: `$inputs.x`, `$step.field`, `$result.field`, `$item`, and `$$` for a dollar. No functions, no templates.

A reference that is the whole value keeps its type; inside text it is written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from snaphold.errors import PlaybookError, Problem
from snaphold.playbook.valuetype import Plain, type_of, write_value

INPUTS = "inputs"
RESULT = "result"
ITEM = "item"

Values: TypeAlias = "Mapping[str, Mapping[str, Plain]]"
"""What references are looked up in: scope (`inputs`, a step's id, `result`, `item`) to field to value."""

_NAME = "[a-z][a-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?P<scope>{_NAME})(?:\.(?P<field>{_NAME}))?")


class ExpressionError(PlaybookError):
    """A reference or a condition is malformed; `column` counts from 1 in its own text."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__("the expression is malformed", [Problem(f"{message} (column {column})")])
        self.message = message
        self.column = column


class MissingValueError(PlaybookError):
    """A reference has no value. Never a pass: the step that uses it fails."""

    def __init__(self, reference: Reference) -> None:
        super().__init__(
            f"{reference} has no value",
            [Problem("the step that should give it did not run, or its result lacks the field")],
        )


@dataclass(frozen=True)
class Reference:
    """One reference; `column` is where its `$` stands in the text, from 1. `$item` has no field."""

    scope: str
    field: str
    column: int = 1

    def __str__(self) -> str:
        return f"${self.scope}.{self.field}" if self.field else f"${self.scope}"


def pieces_of(text: str) -> list[str | Reference]:
    """Take text apart into plain pieces and references. Raises ExpressionError."""
    pieces: list[str | Reference] = []
    plain, position = "", 0
    while position < len(text):
        if text[position] != "$":
            plain += text[position]
            position += 1
            continue
        if text.startswith("$$", position):
            plain += "$"
            position += 2
            continue
        match = _REFERENCE.match(text, position)
        column = position + 1
        if not match:
            raise ExpressionError("a lone $ is not a reference; write $$ for a dollar", column)
        scope, field = match["scope"], match["field"] or ""
        if scope == ITEM and field:
            raise ExpressionError(f"$item is text and has no field {field!r}", column)
        if scope != ITEM and not field:
            raise ExpressionError(f"${scope} names no field; write ${scope}.FIELD, or $$ for a dollar", column)
        pieces += [plain, Reference(scope, field, column)]
        plain, position = "", match.end()
    return [piece for piece in [*pieces, plain] if piece != ""]


def references_in(value: object) -> list[Reference]:
    """Return the references in a value (text, or a list of texts), in order. Raises ExpressionError."""
    if isinstance(value, str):
        return [piece for piece in pieces_of(value) if isinstance(piece, Reference)]
    if isinstance(value, (list, tuple)):
        return [reference for item in cast("Sequence[object]", value) for reference in references_in(item)]
    return []


def whole_reference(value: object) -> Reference | None:
    """Return the reference that a text consists of; None when there is anything beside it. Raises ExpressionError."""
    if not isinstance(value, str):
        return None
    pieces = pieces_of(value)
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Reference) else None


def parse_reference(text: str) -> Reference:
    """Return the reference that `text` is. Raises ExpressionError when it is anything else."""
    found = whole_reference(text)
    if found is None:
        raise ExpressionError(f"{text!r} is not a reference such as $step.field", 1)
    return found


def look_up(reference: Reference, values: Values) -> Plain:
    """Return the value of a reference, with its type. Raises MissingValueError when there is none."""
    scope: Mapping[str, Any] = values.get(reference.scope, {})
    value = scope.get(reference.field)
    if type_of(value) is None:
        raise MissingValueError(reference)
    return cast("Plain", list(cast("Sequence[str]", value)) if isinstance(value, tuple) else value)


def resolve(value: object, values: Values) -> Any:
    """Return a value of `with` with its references filled in: plain JSON. Raises MissingValueError, ExpressionError.

    A list literal may hold references; one that is itself a list is spliced in.
    """
    if isinstance(value, (list, tuple)):
        found: list[str] = []
        for item in cast("Sequence[object]", value):
            inner = resolve(item, values)
            found += inner if isinstance(inner, list) else [write_value(inner)]
        return found
    if not isinstance(value, str):
        return value
    pieces = pieces_of(value)
    if len(pieces) == 1 and isinstance(pieces[0], Reference):
        return look_up(pieces[0], values)
    return "".join(write_value(look_up(piece, values)) if isinstance(piece, Reference) else piece for piece in pieces)


def resolve_all(arguments: Mapping[str, object], values: Values) -> dict[str, Any]:
    """Return a whole `with` with its references filled in. Raises MissingValueError, ExpressionError."""
    return {name: resolve(value, values) for name, value in arguments.items()}


def with_item(values: Values, item: str) -> dict[str, Mapping[str, Plain]]:
    """Return the values with `$item` set, for one turn of a `for_each`."""
    return {**values, ITEM: {"": item}}


def with_result(values: Values, result: Mapping[str, Any]) -> dict[str, Mapping[str, Plain]]:
    """Return the values with `$result` set to an action's output, for `until` and `fail` of a poll.

    Fields that a playbook cannot hold (nothing, nested data) are left out, so that naming one is an error.
    """
    return {**values, RESULT: {name: value for name, value in result.items() if type_of(value) is not None}}
