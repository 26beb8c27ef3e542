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
    """Return the condition: the outer list joins with and, the inner lists with or. The steps it looks at must have run."""
    return _joined(condition, {}, condition.joiner == "or", names)


def holds_not(condition: Condition, names: Names) -> list[list[Value]]:
    """Return the opposite of the condition. Without a step's result neither of the two holds, so that it is never a pass."""
    return _joined(condition, _OPPOSITES, condition.joiner != "or", names)


def _joined(condition: Condition, operators: Mapping[str, str], any_will_do: bool, names: Names) -> list[list[Value]]:
    verdicts = [
        _term(one.reference, operators.get(one.operator, one.operator), _literal(one), names) for one in condition.comparisons
    ]
    there = [term for one in condition.comparisons for term in _has_run(one.reference, names)]
    return [*there, verdicts] if any_will_do else [*there, *([verdict] for verdict in verdicts)]


def equals(reference: Reference, value: str, names: Names) -> list[list[Value]]:
    """Return the condition that a value, as text, is this one."""
    return [*_has_run(reference, names), [_term(reference, "==", value, names)]]


def equals_none(reference: Reference, values: Sequence[str], names: Names) -> list[list[Value]]:
    """Return the condition that a value is none of these."""
    return [*_has_run(reference, names), *([_term(reference, "!=", value, names)] for value in values)]


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


def _literal(comparison: Comparison) -> str:
    return comparison.literal if isinstance(comparison.literal, str) else write_literal(comparison.literal)


def _term(reference: Reference, operator: str, value: str, names: Names) -> Value:
    if not value:
        return {"operator": "isEmpty" if operator == "==" else "isNotEmpty", "left": _left(reference, names)}
    return {"operator": _OPERATORS[operator], "left": _left(reference, names), "right": {"value": text(value)}}


def _has_run(reference: Reference, names: Names) -> list[list[Value]]:
    """Return the condition that the step of a reference has run. An input always has a value, which may be empty text.

    The value itself is no witness: XSOAR may take empty text for nothing.
    """
    root, _ = names.path(reference)
    return [] if root == "inputs" else [[{"operator": "isExists", "left": {"value": whole(root, "step"), "iscontext": True}}]]


def _left(reference: Reference, names: Names) -> Value:
    root, accessor = names.path(reference)
    return {"value": whole(f"inputs.{accessor}") if root == "inputs" else whole(root, accessor), "iscontext": True}
