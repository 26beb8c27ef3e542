"""References and conditions of a playbook as XSOAR writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaphold.action import find_action
from snaphold.errors import InputError
from snaphold.fields import fields_of
from snaphold.playbook.condition import Comparison, Condition, write_literal
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import INPUTS, ITEM, Reference, pieces_of
from snaphold.playbook.step import DoStep
from snaphold.playbook.valuetype import ValueType, write_value
from snaphold.playbook.walk import every_step
from snaphold.soar.xsoar_names import ITEMS_PREFIX, STEP_PREFIX

_OPERATORS = {
    "==": "isEqualString",
    "!=": "isNotEqualString",
    "<": "lessThan",
    "<=": "lessThanOrEqual",
    ">": "greaterThan",
    ">=": "greaterThanOrEqual",
}
_OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
Value = dict[str, Any]


@dataclass(frozen=True)
class Names:
    """Where the values of one playbook stand. `lists`: references that hold a list; `polled`: those that a poll gives."""

    lists: frozenset[tuple[str, str]]
    polled: frozenset[tuple[str, str]]

    def path(self, reference: Reference) -> tuple[str, str]:
        """Return root and accessor of a scalar, and of a list as an array."""
        if reference.scope == INPUTS:
            return "inputs", reference.field
        key = (reference.scope, reference.field)
        return f"{STEP_PREFIX}.{reference.scope}{'_poll' if key in self.polled else ''}", reference.field

    def is_list(self, reference: Reference) -> bool:
        """Return whether a reference holds a list."""
        return (reference.scope, reference.field) in self.lists


def names_of(playbook: Playbook) -> Names:
    """Return where the values of a playbook stand; the last poll says more recent things than the start did."""
    lists = {(INPUTS, name) for name, declared in playbook.inputs.items() if declared.type is ValueType.LIST}
    polled: set[tuple[str, str]] = set()
    for step in every_step(playbook):
        if not isinstance(step, DoStep):
            continue
        lists |= {(step.id, name) for name, kind in step.out.items() if kind is ValueType.LIST}
        if step.poll:
            given = {shape.name for shape in fields_of(find_action(step.poll.do).result)}
            polled |= {(step.id, name) for name in step.out if name in given}
    return Names(frozenset(lists), frozenset(polled))


def text(value: str) -> Value:
    """Return fixed text."""
    return {"simple": value}


def whole(root: str, accessor: str = "") -> Value:
    """Return a value of the context."""
    return {"complex": {"root": root, **({"accessor": accessor} if accessor else {})}}


def argument(value: object, names: Names, items: str = "") -> Value:
    """Return an argument with its references; `items` is the step whose items `$item` stands for.

    Raises InputError for what XSOAR cannot express: `$item` more than once beside other text.
    """
    if isinstance(value, (list, tuple)):
        parts: Sequence[str] = [str(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return text(",".join(inline(part, names, items) for part in parts))
    if not isinstance(value, str):
        return text(write_value(value))  # pyright: ignore[reportArgumentType]
    pieces = pieces_of(value)
    item_places = [piece for piece in pieces if isinstance(piece, Reference) and piece.scope == ITEM]
    if item_places:
        if len(pieces) == 1:
            return whole(f"{ITEMS_PREFIX}.{items}", "item")
        raise InputError(
            f"XSOAR cannot put $item inside other text: {value!r}",
            "a loop hands on whole values",
            "give $item as it is, and build the text in the playbook that is called",
        )
    if len(pieces) == 1 and isinstance(pieces[0], Reference):
        root, accessor = names.path(pieces[0])
        if names.is_list(pieces[0]) and root != "inputs":
            accessor += "_json"
        return whole(f"inputs.{accessor}") if root == "inputs" else whole(root, accessor)
    return text(inline(value, names, items))


def inline(value: str, names: Names, items: str = "") -> str:
    """Return text with its references written as `${path}`; lists stand joined by commas."""
    written = ""
    for piece in pieces_of(value):
        if not isinstance(piece, Reference):
            # `${` is XSOAR's own mark: fixed text must not be read as a path of the context.
            written += piece.replace("${", "$ {")
        elif piece.scope == ITEM:
            raise InputError(f"XSOAR cannot put $item inside other text: {value!r}", do="give $item as it is")
        else:
            root, accessor = names.path(piece)
            suffix = "_text" if names.is_list(piece) and root != "inputs" else ""
            written += f"${{{root}.{accessor}{suffix}}}"
    return written


def holds(condition: Condition, names: Names) -> list[list[Value]]:
    """Return the condition: the outer list joins with and, the inner lists with or. Every value must be there."""
    verdicts = [_compare(comparison, comparison.operator, names) for comparison in condition.comparisons]
    if condition.joiner == "or":
        return [*_all_there(condition, names), verdicts]
    return [[verdict] for verdict in verdicts] if _only_positive(condition) else [
        *_all_there(condition, names),
        *([verdict] for verdict in verdicts),
    ]  # fmt: skip


def holds_not(condition: Condition, names: Names) -> list[list[Value]]:
    """Return the opposite of the condition. A missing value makes neither of the two hold, so that it is never a pass."""
    verdicts = [_compare(comparison, _OPPOSITES[comparison.operator], names) for comparison in condition.comparisons]
    there = _all_there(condition, names)
    return [*there, *([verdict] for verdict in verdicts)] if condition.joiner == "or" else [*there, verdicts]


def equals(reference: Reference, value: str, names: Names) -> list[list[Value]]:
    """Return the condition that a value, as text, is this one."""
    return [[_term(reference, "isEqualString", value, names)]]


def equals_none(reference: Reference, values: Sequence[str], names: Names) -> list[list[Value]]:
    """Return the condition that a value is there and is none of these."""
    return [[_exists(reference, names)], *([_term(reference, "isNotEqualString", value, names)] for value in values)]


def labelled(conditions: Mapping[str, list[list[Value]]]) -> list[Value]:
    """Return the conditions of a task, one for each label."""
    return [{"label": label, "condition": condition} for label, condition in conditions.items()]


def compare_path(root: str, accessor: str, operator: str, value: str) -> Value:
    """Return one comparison of a value of the context with fixed text."""
    return {
        "operator": operator,
        "left": {"value": whole(root, accessor), "iscontext": True},
        "right": {"value": text(value)},
    }


def _only_positive(condition: Condition) -> bool:
    return all(comparison.operator == "==" for comparison in condition.comparisons)


def _all_there(condition: Condition, names: Names) -> list[list[Value]]:
    return [[_exists(comparison.reference, names)] for comparison in condition.comparisons]


def _compare(comparison: Comparison, operator: str, names: Names) -> Value:
    literal = comparison.literal
    written = literal if isinstance(literal, str) else write_literal(literal)
    return _term(comparison.reference, _OPERATORS[operator], written, names)


def _term(reference: Reference, operator: str, value: str, names: Names) -> Value:
    return {"operator": operator, "left": _left(reference, names), "right": {"value": text(value)}}


def _exists(reference: Reference, names: Names) -> Value:
    return {"operator": "isExists", "left": _left(reference, names)}


def _left(reference: Reference, names: Names) -> Value:
    root, accessor = names.path(reference)
    return {"value": whole(f"inputs.{accessor}") if root == "inputs" else whole(root, accessor), "iscontext": True}
