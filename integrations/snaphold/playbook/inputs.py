"""The inputs of a playbook: types, defaults, and text taken apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from snaphold.documents import suggest
from snaphold.errors import PlaybookError, Problem
from snaphold.playbook.model import InputDeclaration, Playbook
from snaphold.playbook.valuetype import Plain, ValueType, split_list, type_of

INCIDENT_ID = "incident_id"
"""An input of this name that is not given is filled with the incident's id."""


def bind_inputs(playbook: Playbook, given: Mapping[str, Any], incident_id: str) -> dict[str, Plain]:
    """Return every declared input with its value. Raises PlaybookError naming each missing, unknown or ill-typed one.

    A list takes text with commas apart; whole numbers and booleans may come as text, because SOARs and command lines
    pass text.
    """
    problems = [
        Problem("the playbook has no such input", name, hint=suggest(name, list(playbook.inputs)))
        for name in given
        if name not in playbook.inputs
    ]
    bound: dict[str, Plain] = {}
    for name, declaration in playbook.inputs.items():
        value = given.get(name)
        if value is None and name == INCIDENT_ID and not declaration.default:
            value = incident_id
        value = declaration.default if value is None else value
        if value is None:
            problems.append(Problem("is required and was not given", name))
            continue
        read = read_value(value, declaration.type)
        if read is None:
            problems.append(Problem(f"must be of type {declaration.type.value}", name))
        else:
            bound[name] = read
    if problems:
        raise PlaybookError(f"the inputs of the playbook {playbook.name} are wrong", problems)
    return bound


def read_value(value: object, wanted: ValueType) -> Plain | None:
    """Return a value as the wanted type; None when it is not of that type and no text for it."""
    found = type_of(value)
    if found is wanted:
        return list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else cast("Plain", value)
    if not isinstance(value, str):
        return None
    if wanted is ValueType.LIST:
        return split_list(value)
    if wanted is ValueType.INTEGER and re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", value):
        return int(value)
    if wanted is ValueType.BOOLEAN and value in ("true", "false"):
        return value == "true"
    return None


def default_fault(declaration: InputDeclaration) -> str:
    """Return what is wrong with a declaration's default; empty when nothing is."""
    if declaration.required:
        return "" if declaration.default is None else "a required input has no default"
    if declaration.default is None:
        return "an optional input needs a default: a missing value is never a pass"
    if type_of(declaration.default) is not declaration.type:
        return f"the default is not of type {declaration.type.value}"
    return ""
