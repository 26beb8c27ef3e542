"""What the pydantic models of actions say about types, in the four types of the language."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from snaphold.playbook.valuetype import ValueType, type_of

_PLAIN = {str: ValueType.STRING, bool: ValueType.BOOLEAN, int: ValueType.INTEGER}


def accepted_types(info: FieldInfo) -> frozenset[ValueType]:
    """Return the types of value that an input takes; empty when that cannot be told."""
    types = types_of(info.annotation)
    takes_text_apart = any(isinstance(item, BeforeValidator) for item in info.metadata)
    return types | {ValueType.STRING} if ValueType.LIST in types and takes_text_apart else types


def given_types(info: FieldInfo) -> frozenset[ValueType]:
    """Return the types of value that an output can have; empty when a playbook cannot hold it."""
    return types_of(info.annotation)


def types_of(annotation: Any) -> frozenset[ValueType]:
    """Return the types of value that a Python annotation stands for."""
    if annotation in _PLAIN:
        return frozenset({_PLAIN[annotation]})
    origin = get_origin(annotation)
    if origin is Annotated:
        return types_of(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return frozenset(kind for part in get_args(annotation) if part is not NoneType for kind in types_of(part))
    if origin is Literal:
        found = (type_of(value) for value in get_args(annotation))
        return frozenset(kind for kind in found if kind is not None)
    if origin in (list, tuple, set, frozenset) or annotation in (list, tuple):
        return frozenset({ValueType.LIST})
    if isinstance(annotation, type) and issubclass(annotation, (str, Enum, datetime, timedelta, PurePath)):
        return frozenset({ValueType.STRING})
    return frozenset()


def choices_of(info: FieldInfo) -> tuple[str, ...]:
    """Return the texts that a field can hold, in the order of its declaration; empty when it can hold any."""
    return _choices(info.annotation)


def _choices(annotation: Any) -> tuple[str, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _choices(get_args(annotation)[0])
    if origin is Literal:
        values = get_args(annotation)
        return tuple(values) if all(isinstance(value, str) for value in values) else ()
    if isinstance(annotation, type) and issubclass(annotation, str) and issubclass(annotation, Enum):
        return tuple(str(member.value) for member in annotation)
    return ()


def literal_fault(info: FieldInfo, value: object) -> str:
    """Return why an input refuses a literal, in the words of its own field; empty when it takes it."""
    field: Any = cast("Any", Annotated)[info.annotation, info]
    adapter: TypeAdapter[Any] = TypeAdapter(field)
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return (
            error.errors(include_url=False)[0]["msg"]
            .removeprefix("Value error, ")
            .replace("Input should", "it must")
            .replace("String should", "it must")
        )
    return ""
