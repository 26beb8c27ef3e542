"""References and text of a playbook as Shuffle writes them.

`$step.field` stays as it is, because labels are step ids. `^_^` is Shuffle's mark for the end of a reference: without it
a following dot, dash or `@` would belong to the reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import INPUTS, ITEM, Reference, pieces_of
from snaphold.playbook.step import DoStep
from snaphold.playbook.valuetype import Plain, ValueType, write_value
from snaphold.playbook.walk import every_step, walk
from snaphold.soar.shuffle_values import TEXT_SUFFIX

END = "^_^"
_LABEL = re.compile(r"[^A-Za-z0-9_@-]")


def label_of(node: str) -> str:
    """Return the label of a node of the flow: `start.poll` is `start-poll`."""
    return _LABEL.sub("-", node)


def escape(text: str) -> str:
    """Return fixed text in which Shuffle sees no reference and no template."""
    return text.replace("$", "\\$")


@dataclass(frozen=True)
class Names:
    """Where the values of one playbook stand: types by scope and field, steps with a poll, and the steps of each handler."""

    types: Mapping[tuple[str, str], ValueType]
    polled: frozenset[str]
    handlers: Mapping[str, frozenset[str]]

    def kind(self, reference: Reference) -> ValueType:
        """Return the type of a reference; `$item` is text."""
        return self.types.get((reference.scope, reference.field), ValueType.STRING)

    def path(self, reference: Reference, node: str, own: str = "") -> str:
        """Return a reference as seen from a node; `own`: the step whose poll asks, and which sees its own start."""
        scope = reference.scope
        if scope in self.polled and scope != own:
            scope = f"{scope}-poll"
        step, _, copy = node.partition("@")
        step = step.partition(".")[0]
        together = any(step in steps and reference.scope in steps for steps in self.handlers.values())
        # A handler that goes on is copied for each step that names it; its steps see each other in the same copy.
        return f"${scope}{'@' + copy if copy and together else ''}.{reference.field}"


def names_of(playbook: Playbook) -> Names:
    """Return where the values of a playbook stand."""
    types = {(INPUTS, name): declared.type for name, declared in playbook.inputs.items()}
    polled: set[str] = set()
    for step in every_step(playbook):
        if isinstance(step, DoStep):
            types |= {(step.id, name): kind for name, kind in step.out.items()}
            if step.poll:
                polled.add(step.id)
    handlers = {
        name: frozenset(step.id for _, step in walk(steps, ("handlers", name))) for name, steps in playbook.handlers.items()
    }
    return Names(types, frozenset(polled), handlers)


def parameter_text(value: object, names: Names, node: str, own: str = "") -> str:
    """Return an argument as the value of a parameter. A list is JSON text, so that items keep their commas."""
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[object]", value)
        if all(isinstance(item, str) and not _references(item) for item in items):
            return json.dumps([escape(_unescaped(str(item))) for item in items], ensure_ascii=False)
        return ",".join(parameter_text(item, names, node, own) for item in items)
    if not isinstance(value, str):
        return write_value(cast("Plain", value))
    pieces = pieces_of(value)
    if len(pieces) == 1 and isinstance(pieces[0], Reference):
        return names.path(pieces[0], node, own)
    return "".join(_inline(piece, names, node, own) for piece in pieces)


def _inline(piece: str | Reference, names: Names, node: str, own: str) -> str:
    if not isinstance(piece, Reference):
        return escape(piece)
    suffix = TEXT_SUFFIX if names.kind(piece) in (ValueType.LIST, ValueType.BOOLEAN) else ""
    return names.path(piece, node, own) + suffix + END


def _references(text: str) -> bool:
    return any(isinstance(piece, Reference) for piece in pieces_of(text))


def _unescaped(text: str) -> str:
    return "".join(str(piece) for piece in pieces_of(text))


def has_item(value: object) -> bool:
    """Return whether a value is or holds `$item`."""
    if isinstance(value, (list, tuple)):
        return any(has_item(item) for item in cast("Sequence[object]", value))
    return isinstance(value, str) and any(isinstance(piece, Reference) and piece.scope == ITEM for piece in pieces_of(value))
