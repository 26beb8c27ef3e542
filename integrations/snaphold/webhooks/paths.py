"""Paths into a body: names and numbers joined by dots; `*` stands for every item of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

MOST_VALUES = 500


def find_values(document: Any, path: str) -> list[Any]:
    """Return what stands at the path: nothing, one value, or with `*` several (at most 500). Null counts as nothing."""
    found: list[Any] = [document]
    for part in path.split("."):
        found = [inner for value in found for inner in _step(value, part)][:MOST_VALUES]
    return [value for value in found if value is not None]


def find_texts(document: Any, path: str) -> tuple[str, ...]:
    """Return the texts at the path; lists are taken apart, numbers and truth are written as JSON has them."""
    texts: list[str] = []
    for value in find_values(document, path) if path else []:
        items = cast("list[Any]", value) if isinstance(value, list) else [value]
        texts += [text for text in map(text_of, items) if text]
    return tuple(texts[:MOST_VALUES])


def text_of(value: Any) -> str:
    """Return a plain value as text; empty for objects, lists and null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip() if isinstance(value, (str, int, float)) else ""


def _step(value: Any, part: str) -> list[Any]:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return [fields[part]] if part in fields else []
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if part == "*":
            return items
        if part.isascii() and part.isdigit() and int(part[:6]) < len(items):
            return [items[int(part[:6])]]
    return []
