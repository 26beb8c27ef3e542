"""The sample of snaphold.yaml, made from the descriptions and examples of the model.

Each key's description stands above it. Keys that the example leaves out stand commented out with an example of their
own, so that taking `#` away before a key (not before a sentence) gives a configuration that is valid too.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from snaphold.config import Configuration
from snaphold.errors import DocumentError

WIDTH = 100
_HEAD = """\
# Snaphold configuration. Relative paths count from the folder of this file.
# Secrets are given by reference only: env:NAME, file:PATH or command:ARGV.
# Durations are a whole number and s, m, h or d. Check it with: snaphold config check
"""
_NEVER_QUOTED = re.compile(r"[A-Za-z/][A-Za-z0-9 ._/@()-]*|[0-9]+[smhd]|(file|env):[A-Za-z0-9._/-]+")


def sample_text() -> str:
    """Return the sample: complete, commented, and valid as it is."""
    lines = [_HEAD.rstrip()]
    for name, info in Configuration.model_fields.items():
        lines += ["", *_field(name, info, info.examples[0] if info.examples else None, "", live=_is_usual(info))]
    return "\n".join(lines) + "\n"


def _is_usual(info: FieldInfo) -> bool:
    """Return whether a key belongs into a first configuration; one that nobody misses is shown, but commented out."""
    return info.is_required() or info.default not in (None, "")


def _field(name: str, info: FieldInfo, value: Any, margin: str, *, live: bool) -> Iterator[str]:
    """Yield the lines of one key: its description, then the key and its value, commented out unless `live`."""
    required = " Required." if info.is_required() else ""
    for line in textwrap.wrap((info.description or "") + required, WIDTH - len(margin) - 2):
        yield f"{margin}# {line}"
    mark = "" if live else "#"
    inner = _model_of(info.annotation)
    if inner is None or not _holds_model(value):
        yield f"{margin}{mark}{name}: {_inline(value)}"
        return
    yield f"{margin}{mark}{name}:"
    if isinstance(value, Mapping):
        yield from _mapping(inner, cast("Mapping[str, Any]", value), margin + "  ", live=live)
        return
    for position, item in enumerate(cast("Sequence[Mapping[str, Any]]", value)):
        # The first item shows every key there is; the others are plain.
        lines = list(_mapping(inner, item, "", live=live)) if position == 0 else _plain(item)
        yield from _as_item(lines, margin + "  ")


def _mapping(model: type[BaseModel], value: Mapping[str, Any], margin: str, *, live: bool) -> Iterator[str]:
    for name, info in model.model_fields.items():
        given = name in value
        shown = value[name] if given else (info.examples or [None])[0]
        yield from _field(name, info, shown, margin, live=live and given)


def _as_item(lines: Sequence[str], margin: str) -> Iterator[str]:
    """Put `- ` before the first line that is a live key; sentences above it stand before the item."""
    first = next(at for at, line in enumerate(lines) if not line.startswith("#"))
    for at, line in enumerate(lines):
        yield margin + ("- " if at == first else "  ") + line if at >= first else f"{margin}{line}"


def _plain(item: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, value in item.items():
        if isinstance(value, Mapping):
            lines += [f"{name}:", *(f"  {line}" for line in _plain(cast("Mapping[str, Any]", value)))]
        else:
            lines.append(f"{name}: {_inline(value)}")
    return lines


def _holds_model(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in cast("list[Any]", value))


def _inline(value: Any) -> str:
    """Return a value on one line, as YAML that reads the same in every version of YAML."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value).items()
        return "{" + ", ".join(f"{name}: {_inline(inner)}" for name, inner in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in cast("list[Any]", value)) + "]"
    if isinstance(value, str):
        return value if _reads_the_same(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _reads_the_same(text: str) -> bool:
    from snaphold.documents import parse_document

    if not _NEVER_QUOTED.fullmatch(text) or text != text.strip():
        return False
    try:
        return parse_document(text, "sample").data == text
    except DocumentError:
        return False


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_of(argument))), None)
