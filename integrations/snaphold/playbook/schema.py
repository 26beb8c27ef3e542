"""The JSON Schema of a playbook file, for editors and other tools; made from the model."""

from __future__ import annotations

import json
from typing import Any, cast

from snaphold.playbook.model import PlaybookFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def playbook_schema() -> dict[str, Any]:
    """Return the schema (2020-12). It checks the form; the linter checks the meaning."""
    schema = tidy_schema(PlaybookFile.model_json_schema(by_alias=True))
    return {"$schema": DIALECT, **schema, "title": "Snaphold playbook"}


def schema_text() -> str:
    """Return the schema as it stands in `schemas/playbook.schema.json`."""
    return json.dumps(playbook_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def tidy_schema(node: Any) -> Any:
    """Take away titles that repeat a key's name, and null: a key without a value is a fault, not a choice.

    The result is the same with every version of pydantic that is supported.
    """
    if isinstance(node, list):
        return [tidy_schema(value) for value in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    found = cast("dict[str, Any]", node)
    kept = {
        key: tidy_schema(value)
        for key, value in found.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    if len(kept.get("enum", ())) == 1 and "const" in kept:
        del kept["enum"]
    for word in ("anyOf", "allOf"):  # older pydantic wraps a lone reference in allOf
        if word in kept:
            choices = [choice for choice in kept.pop(word) if choice != {"type": "null"}]
            kept = {**choices[0], **kept} if len(choices) == 1 else {**kept, word: choices}
    return kept
