"""Values as Shuffle passes them: nearly always text, and anything that looks like JSON already read.

`$step.field` arrives as text, `True` for a boolean, JSON text or a ready list for a list, and as nothing when it is
missing. Here they become what an action's input or a playbook's type wants, or a fault; never a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from snaphold.action import AnyAction
from snaphold.errors import InputError
from snaphold.fields import Kind, fields_of, value_text
from snaphold.playbook.valuetype import Plain, ValueType

TEXT_SUFFIX = "_text"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")


def plain_text(value: Any) -> str:
    """Return a value as text; what was read as JSON on the way is written as JSON again."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return value_text(value)


def read_list(value: Any) -> list[str]:
    """Return a list: a ready one, JSON text of one, or text with commas."""
    if isinstance(value, list):
        return [plain_text(item) for item in cast("list[Any]", value)]
    text = plain_text(value).strip()
    if text.startswith("["):
        try:
            read: Any = json.loads(text)
        except ValueError:
            read = None
        if isinstance(read, list):
            return [plain_text(item) for item in cast("list[Any]", read)]
    return [part.strip() for part in text.split(",") if part.strip()]


def read_value(value: Any, wanted: ValueType) -> Plain:
    """Return a value as a playbook's type. Raises InputError when it is missing or of another type."""
    if wanted is ValueType.LIST:
        return read_list(value)
    text = plain_text(value)
    if wanted is ValueType.STRING:
        return text
    if wanted is ValueType.BOOLEAN and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if wanted is ValueType.INTEGER and _INTEGER.fullmatch(text):
        return int(text)
    raise InputError(f"a value is missing or not of type {wanted.value}", f"it arrived as {text[:80]!r}")


def read_given(entry: AnyAction, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action's input from what Shuffle passed. Empty text is a parameter that was not filled in."""
    given: dict[str, Any] = {}
    for shape in fields_of(entry.request):
        value = arguments.get(shape.name, "")
        if value is None or value == "":
            continue
        if shape.kind is Kind.LIST:
            given[shape.name] = read_list(value)
        elif shape.kind is Kind.BOOLEAN:
            given[shape.name] = plain_text(value).lower()
        else:
            given[shape.name] = plain_text(value)
    return given


def shown(output: Mapping[str, Any]) -> dict[str, Any]:
    """Return outputs as later steps refer to them: beside each list and boolean its text, for use inside other text."""
    found: dict[str, Any] = {}
    for name, value in output.items():
        if value is None:
            continue
        found[name] = value
        if isinstance(value, (list, bool)):
            found[name + TEXT_SUFFIX] = value_text(value)
    return found


def read_names(text: str) -> dict[str, ValueType]:
    """Return `name:type` pairs joined by commas. Raises InputError."""
    pairs: dict[str, ValueType] = {}
    for part in read_list(text):
        name, _, kind = part.partition(":")
        try:
            pairs[name] = ValueType(kind)
        except ValueError as error:
            raise InputError(f"{part!r} is no name:type", "the types are string, integer, boolean and list") from error
    return pairs


def read_document_names(value: Any) -> dict[str, str]:
    """Return `name:kind` pairs as they are; the kind `item` stands for the item of a `for_each`."""
    parts = [part.partition(":") for part in read_list(value)]
    return {name: kind for name, _, kind in parts}
