"""The description of the API in OpenAPI 3.0, for importers that know nothing newer, such as Shuffle's.

Everything is kept that 3.0 can say. What it cannot is left out or said wider, never narrower.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

VERSION = "3.0.3"
_LEFT_OUT = frozenset(
    {"examples", "const", "prefixItems", "propertyNames", "patternProperties", "contentMediaType", "contentEncoding", "$defs"}
)
_LISTS = ("anyOf", "oneOf", "allOf")
_BOUNDS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def in_openapi_3_0(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document in the words of 3.0."""
    found = cast("dict[str, Any]", _walked(document))
    found["openapi"] = VERSION
    found["info"].get("license", {}).pop("identifier", None)
    schemas = found["components"].get("schemas", {})
    found["components"]["schemas"] = {name: schema_in_3_0(schema) for name, schema in schemas.items()}
    return found


def _walked(part: Any) -> Any:
    """Return a part of the document with the schemas below it converted; schemas stand only under `schema`."""
    if isinstance(part, Mapping):
        fields = cast("Mapping[str, Any]", part)
        return {
            name: schema_in_3_0(value) if name == "schema" else value if name in ("example", "schemas") else _walked(value)
            for name, value in fields.items()
        }
    return [_walked(item) for item in cast("list[Any]", part)] if isinstance(part, list) else part


def schema_in_3_0(schema: Any) -> Any:
    """Return a JSON Schema of 2020-12 as a schema of OpenAPI 3.0."""
    if not isinstance(schema, Mapping):
        return {} if schema is True else {"not": {}} if schema is False else schema
    given = cast("Mapping[str, Any]", schema)
    found = {name: value for name, value in given.items() if name not in _LEFT_OUT}
    if "const" in given:
        found["enum"] = [given["const"]]
    if given.get("examples"):
        found["example"] = given["examples"][0]
    for exclusive, bound in _BOUNDS:
        if isinstance(given.get(exclusive), (int, float)) and not isinstance(given[exclusive], bool):
            found |= {bound: given[exclusive], exclusive: True}
    if found.get("type") == "array":
        found.setdefault("items", {})
    for name in ("items", "not", "additionalProperties"):
        if name in found and not isinstance(found[name], bool):
            found[name] = schema_in_3_0(found[name])
    if isinstance(found.get("items"), bool):
        found["items"] = {}
    if "properties" in found:
        found["properties"] = {name: schema_in_3_0(value) for name, value in found["properties"].items()}
    for name in _LISTS:
        if name in found:
            _narrow(found, name)
    return found


def _narrow(found: dict[str, Any], name: str) -> None:
    """Convert a list of alternatives; `null` among them becomes `nullable`, because 3.0 has no such type."""
    kept = [schema_in_3_0(one) for one in found[name] if one != {"type": "null"}]
    if len(kept) < len(found[name]):
        found["nullable"] = True
        if len(kept) == 1:
            del found[name]
            only = kept[0]
            found |= {"allOf": kept} if "$ref" in only else {key: value for key, value in only.items() if key not in found}
            return
    found[name] = kept
