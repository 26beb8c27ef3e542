"""Conditions: `$ref OP literal`, joined by only `and` or only `or`. A pure parser and a pure, type-strict evaluator."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from snaphold.errors import PlaybookError, Problem
from snaphold.playbook.reference import ExpressionError, Reference, Values, look_up, parse_reference
from snaphold.playbook.valuetype import Plain, ValueType, type_of

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ORDERING = frozenset({"<", "<=", ">", ">="})
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<reference>\$[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?)
      | (?P<text>"(?:[^"\\]|\\["\\])*")
      | (?P<operator>==|!=|<=|>=|<|>)
      | (?P<integer>-?(?:0|[1-9][0-9]{0,17})(?![0-9.\w]))
      | (?P<word>[A-Za-z_]+(?![0-9]))""",
    re.VERBOSE,
)


class ConditionTypeError(PlaybookError):
    """A condition compares a value with a literal of another type. Never a pass."""


@dataclass(frozen=True)
class Comparison:
    """One `$ref OP literal`; `column` is where the literal stands in the text, from 1."""

    reference: Reference
    operator: str
    literal: str | int | bool
    column: int = 1

    def __str__(self) -> str:
        return f"{self.reference} {self.operator} {write_literal(self.literal)}"


@dataclass(frozen=True)
class Condition:
    """One or more comparisons. `joiner` is `and` or `or`; empty for a single comparison."""

    comparisons: tuple[Comparison, ...]
    joiner: str = ""

    def __str__(self) -> str:
        return f" {self.joiner} ".join(str(comparison) for comparison in self.comparisons)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


def write_literal(literal: str | int | bool) -> str:
    """Return a literal as it stands in a condition."""
    if isinstance(literal, bool):
        return "true" if literal else "false"
    if isinstance(literal, int):
        return str(literal)
    return '"' + literal.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise ExpressionError(_complaint(text, position), position + 1)
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match.group(), position + 1))
        position = match.end()
    return found


def _complaint(text: str, position: int) -> str:
    if text[position] == '"':
        return "the text has no closing quote"
    if text[position] == "=":
        return "a comparison is written =="
    if text[position] == "'":
        return 'text stands in double quotes, e.g. "done"'
    return f"{text[position : position + 12]!r} is not part of a condition"


def parse_condition(text: str) -> Condition:
    """Return the condition that `text` is. Raises ExpressionError with the column."""
    tokens = _tokens(text)
    comparisons: list[Comparison] = []
    joiner = ""
    index = 0
    while True:
        comparisons.append(_comparison(tokens[index : index + 3], len(text) + 1))
        index += 3
        if index >= len(tokens):
            return Condition(tuple(comparisons), joiner)
        word = tokens[index]
        if word.text not in ("and", "or"):
            raise ExpressionError(f"expected `and` or `or`, found {word.text!r}", word.column)
        if joiner and word.text != joiner:
            raise ExpressionError(
                "`and` and `or` may not be mixed: systems disagree on which binds tighter; split it into two steps", word.column
            )
        joiner = word.text
        index += 1


def _comparison(tokens: list[_Token], end: int) -> Comparison:
    if not tokens:
        raise ExpressionError("expected a comparison such as $step.field == true", end)
    first, *rest = tokens
    if first.kind != "reference":
        raise ExpressionError(f"expected a reference such as $step.field, found {first.text!r}", first.column)
    reference = parse_reference(first.text) if "." in first.text or first.text == "$item" else None
    if reference is None:
        raise ExpressionError(f"{first.text} names no field; write {first.text}.FIELD", first.column)
    reference = Reference(reference.scope, reference.field, first.column)
    if not rest or rest[0].kind != "operator":
        place = rest[0].column if rest else end
        raise ExpressionError("expected one of == != < <= > >=", place)
    if len(rest) == 1:
        raise ExpressionError('expected "text", a whole number, true or false', end)
    literal, column = rest[1], rest[1].column
    if literal.kind == "reference":
        raise ExpressionError("a reference may only be compared with a literal, not with another reference", column)
    return Comparison(reference, rest[0].text, _literal(literal), column)


def _literal(token: _Token) -> str | int | bool:
    if token.kind == "text":
        return re.sub(r'\\(["\\])', r"\1", token.text[1:-1])
    if token.kind == "integer":
        return int(token.text)
    if token.text in ("true", "false"):
        return token.text == "true"
    raise ExpressionError(f'expected "text", a whole number, true or false, found {token.text!r}', token.column)


def type_fault(found: ValueType, comparison: Comparison) -> str:
    """Return why a value of type `found` cannot be compared so; empty when it can."""
    wanted = type_of(comparison.literal)
    if found is ValueType.LIST:
        return f"{comparison.reference} is a list, and a list cannot be compared"
    if found is not wanted:
        literal = write_literal(comparison.literal)
        return f"{comparison.reference} is of type {found.value}, and {literal} is of type {wanted.value if wanted else '?'}"
    if comparison.operator in ORDERING and found is not ValueType.INTEGER:
        return f"{comparison.operator} compares whole numbers, and {comparison.reference} is of type {found.value}"
    return ""


def compare(comparison: Comparison, value: Plain) -> bool:
    """Return whether a value passes. Raises ConditionTypeError when the types differ."""
    found = type_of(value)
    fault = type_fault(found, comparison) if found else f"{comparison.reference} has no value"
    if fault:
        raise ConditionTypeError(f"the condition {comparison} cannot be judged", [Problem(fault)])
    return OPERATORS[comparison.operator](value, comparison.literal)


def evaluate(condition: Condition, values: Values) -> bool:
    """Return whether a condition holds. Raises MissingValueError and ConditionTypeError.

    Every comparison is judged, even when the first one decides: a missing value is an error, never a pass.
    """
    verdicts = [compare(comparison, look_up(comparison.reference, values)) for comparison in condition.comparisons]
    return any(verdicts) if condition.joiner == "or" else all(verdicts)


def holds(text: str, values: Values) -> bool:
    """Return whether the condition in `text` holds. Raises as `parse_condition` and `evaluate`."""
    return evaluate(parse_condition(text), values)


def choose_case(value: Plain, cases: list[str]) -> str | None:
    """Return the key among `cases` that equals a switch's value as text; None when there is none.

    Raises ConditionTypeError for a list.
    """
    if isinstance(value, list):
        raise ConditionTypeError("a list cannot be switched on", [Problem("use text, a whole number or a boolean")])
    written = value if isinstance(value, str) else write_literal(value)
    return written if written in cases else None
