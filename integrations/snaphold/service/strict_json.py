"""Reads a request's JSON strictly: one object, no key twice, bounded depth, and only text that can be written down."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from snaphold.errors import InputError

DEEPEST = 16
LONGEST_NUMBER = 40
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def parse_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Raises InputError that says what is wrong with it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("the body is not UTF-8", f"byte {error.start} does not decode") from error
    _refuse_depth(text)
    try:
        document = json.loads(
            text, object_pairs_hook=_no_key_twice, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_number
        )
        _refuse_unwritable(document)
    except json.JSONDecodeError as error:
        raise InputError("the body is not JSON", f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise InputError("the body is nested too deeply", f"at most {DEEPEST} levels") from error
    if not isinstance(document, dict):
        raise InputError("the body must be a JSON object", f"it is a {type(document).__name__}", 'send {"name": value, ...}')
    return cast("dict[str, Any]", document)


def _refuse_depth(text: str) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        found = match[0]
        if found in ("{", "["):
            depth += 1
            if depth > DEEPEST:
                raise InputError("the body is nested too deeply", f"at most {DEEPEST} levels")
        elif found in ("}", "]"):
            depth -= 1


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise InputError(f"the key {name[:100]!r} stands twice in the body", "which one counts cannot be told")
        document[name] = value
    return document


def _refuse_constant(text: str) -> Any:
    raise InputError(f"{text} is not JSON", "numbers are finite")


def _integer(text: str) -> int:
    _check_length(text)
    return int(text)


def _number(text: str) -> float:
    _check_length(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InputError("a number in the body is too large", "it does not fit into 64 bits")
    return value


def _check_length(text: str) -> None:
    if len(text) > LONGEST_NUMBER:
        raise InputError("a number in the body is too long", f"at most {LONGEST_NUMBER} digits")


def _refuse_unwritable(document: Any) -> None:
    """Half a surrogate pair cannot be encoded, and a zero byte ends a file name early."""
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
                raise InputError("text in the body holds a zero byte or half a character", "such text cannot be recorded")
        elif isinstance(value, dict):
            for name, inner in cast("dict[str, Any]", value).items():
                waiting += [name, inner]
        elif isinstance(value, list):
            waiting += cast("list[Any]", value)
