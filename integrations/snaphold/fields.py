"""The fields of an action's input or output as every surface shows them: the command line, documents, schemas.

Fields are flat: one value or a list of short texts. Both SOAR platforms pass text, and so does a shell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from snaphold.clock import DURATION_PATTERN, format_duration


class Kind(str, Enum):
    """What a field holds."""

    TEXT = "text"
    DURATION = "duration"
    TIME = "time"
    CHOICE = "choice"
    INTEGER = "whole number"
    NUMBER = "number"
    BOOLEAN = "true or false"
    LIST = "list of text"


_SCALARS = {"string": Kind.TEXT, "integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}


@dataclass(frozen=True)
class FieldShape:
    """One field. `default` is its value as JSON and counts only when the field is not required."""

    name: str
    kind: Kind
    required: bool
    default: Any
    description: str
    examples: tuple[Any, ...]
    choices: tuple[str, ...] = ()

    @property
    def kind_text(self) -> str:
        """What the field holds, for people; the choices when there are any."""
        return " | ".join(self.choices) if self.choices else self.kind.value


class _Schema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Write a duration as our documents write it (`7d`), not as ISO 8601."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def schema_of(model: type[BaseModel], mode: JsonSchemaMode = "validation") -> dict[str, Any]:
    """Return the JSON Schema of a model, with durations as text such as `7d` also where they are defaults."""
    return model.model_json_schema(schema_generator=_Schema, mode=mode)


def fields_of(model: type[BaseModel]) -> list[FieldShape]:
    """Return the fields of an action's input or output in their order. Raises ValueError for one that is not flat."""
    schema = schema_of(model)
    required: list[str] = schema.get("required", [])
    definitions: dict[str, dict[str, Any]] = schema.get("$defs", {})
    found: list[FieldShape] = []
    for name, given in cast("dict[str, dict[str, Any]]", schema.get("properties", {})).items():
        inner = _inner(given, definitions)
        kind = _kind(inner)
        if kind is None:
            raise ValueError(f"{model.__name__}.{name} is not flat: use one value or a list of text")
        found.append(
            FieldShape(
                name=name,
                kind=kind,
                required=name in required,
                default=given.get("default"),
                description=given.get("description", ""),
                examples=tuple(given.get("examples", ())),
                choices=tuple(str(choice) for choice in inner.get("enum", ())),
            )
        )
    return found


def _inner(given: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Follow a reference, a single `allOf`, or the part of `x | None` that is not null."""
    if "$ref" in given:
        return _inner(definitions[str(given["$ref"]).rpartition("/")[2]], definitions)
    for word in ("allOf", "anyOf"):
        parts = [part for part in given.get(word, ()) if part.get("type") != "null"]
        if len(parts) == 1:
            return _inner(parts[0], definitions)
    return given


def _kind(inner: Mapping[str, Any]) -> Kind | None:
    if "enum" in inner:
        return Kind.CHOICE
    if inner.get("pattern") == DURATION_PATTERN:
        return Kind.DURATION
    if inner.get("format") == "date-time":
        return Kind.TIME
    if inner.get("type") == "array":
        return Kind.LIST if cast("dict[str, Any]", inner.get("items", {})).get("type") == "string" else None
    return _SCALARS.get(str(inner.get("type")))


def value_text(value: Any) -> str:
    """Return a field's value as people write it: lists with commas, `true`, `false`, and nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (list, tuple)):
        return ",".join(value_text(part) for part in cast("list[Any]", value))
    return str(value)
