"""The four types of value that a playbook knows, and how values are told apart and written into text."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias, cast

Plain: TypeAlias = "str | int | bool | list[str]"
"""A value in a playbook. What JSON can hold, so that a run's state can be kept as JSON."""


class ValueType(str, Enum):
    """The declared type of an input or of an output field."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    LIST = "list"


def type_of(value: object) -> ValueType | None:
    """Return the type of a value; None for what a playbook cannot hold (a float, nothing, a mapping)."""
    if isinstance(value, bool):
        return ValueType.BOOLEAN
    if isinstance(value, int):
        return ValueType.INTEGER
    if isinstance(value, str):
        return ValueType.STRING
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        return ValueType.LIST if all(isinstance(item, str) for item in items) else None
    return None


def write_value(value: Plain) -> str:
    """Return a value as it stands inside text: `true`, `42`, and a list joined by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)


def split_list(text: str) -> list[str]:
    """Return the items of a list written as text with commas; empty text is the empty list."""
    return [part.strip() for part in text.split(",") if part.strip()]
