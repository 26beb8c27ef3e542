"""How a runbook writes references, conditions and command lines, for a person who follows it by hand. Pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from snaphold.action import AnyAction, Effect
from snaphold.fields import FieldShape, Kind, fields_of
from snaphold.playbook.condition import parse_condition
from snaphold.playbook.reference import INPUTS, ITEM, RESULT, Reference, pieces_of, references_in
from snaphold.playbook.valuetype import ValueType, write_value

INCIDENT_FILE = "incident.json"
WHY = "<why you do this>"
LONGEST_LINE = 72
JUSTIFICATION = "justification"
KINDS = {
    ValueType.BOOLEAN: "true or false",
    ValueType.INTEGER: "number",
    ValueType.LIST: "list, with commas",
    ValueType.STRING: "text",
}
_WORDS = {"==": "is", "!=": "is not", "<": "is less than", "<=": "is at most", ">": "is more than", ">=": "is at least"}

StepNumber = Callable[[str, str], int]
"""Gives the number of the step, in the same playbook, at which a field of the step with an id is written down."""


def name_reference(reference: Reference, number_of: StepNumber) -> str:
    """Return what a reference stands for, in words."""
    if reference.scope == ITEM:
        return "the item"
    if reference.scope == INPUTS:
        return f"the input {reference.field}"
    if reference.scope == RESULT:
        return f"the {reference.field}"
    return f"{reference.field} of step {number_of(reference.scope, reference.field)}"


def fill_in(value: object, number_of: StepNumber) -> str:
    """Return a value as text, with `<...>` where the reader puts in what he wrote down."""
    if isinstance(value, (list, tuple)):
        return ",".join(fill_in(item, number_of) for item in cast("Sequence[object]", value))
    if not isinstance(value, str):
        return write_value(value) if isinstance(value, (bool, int)) else str(value)
    pieces = pieces_of(value)
    return "".join(f"<{name_reference(one, number_of)}>" if isinstance(one, Reference) else one for one in pieces)


def tell_condition(text: str, number_of: StepNumber) -> str:
    """Return a condition in words."""
    condition = parse_condition(text)
    parts = [
        f"{name_reference(one.reference, number_of)} {_WORDS[one.operator]} "
        f"{one.literal if isinstance(one.literal, str) else write_value(one.literal)}"
        for one in condition.comparisons
    ]
    return f" {condition.joiner} ".join(parts)


@dataclass(frozen=True)
class CommandLine:
    """A command line, broken at its options when it is long, and what the reader must change in it."""

    text: str
    notes: tuple[str, ...] = ()


def command_line(entry: AnyAction, given: Mapping[str, object], number_of: StepNumber) -> CommandLine:
    """Return the `snaphold do` that a person types for a step."""
    shapes = {shape.name: shape for shape in fields_of(entry.request)}
    options: list[list[str]] = [["--incident", INCIDENT_FILE]]
    notes: list[str] = []
    why = given.get(JUSTIFICATION)
    if entry.effect is not Effect.READS or why is not None:
        options.append(["--justification", WHY if why is None else fill_in(why, number_of)])
    for name, value in given.items():
        if name != JUSTIFICATION:
            words, note = _option(shapes[name], value, number_of)
            options.append(words)
            notes += [note] if note else []
    written = [f"snaphold do {entry.name}", *(shlex.join(words) for words in options)]
    line = " ".join(written)
    return CommandLine(line if len(line) <= LONGEST_LINE else " \\\n    ".join(written), tuple(notes))


def _option(shape: FieldShape, value: object, number_of: StepNumber) -> tuple[list[str], str]:
    flag = "--" + shape.name.replace("_", "-")
    text = fill_in(value, number_of)
    if shape.kind is Kind.BOOLEAN:
        off = flag.replace("--", "--no-", 1)
        if references_in(value):
            return [flag], f"Write {off} in the place of {flag} when {text.strip('<>')} is false."
        return [flag if text == "true" else off], ""
    if shape.kind is Kind.CHOICE and text not in shape.choices:
        return [flag, shape.choices[0]], f"Put {text.strip('<>')} after {flag}: one of {', '.join(shape.choices)}."
    # A value that begins with a dash would be taken for an option.
    return ([f"{flag}={text}"] if text.startswith("-") else [flag, text]), ""
