"""Command line options made from an action's input model: the same names, defaults, choices and descriptions."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from snaphold.action import Request
from snaphold.fields import FieldShape, Kind, fields_of, value_text

PREFIX = "input."
"""Keeps an action's inputs apart from the command's own options in the parsed namespace."""
_METAVARS = {
    Kind.TEXT: "TEXT",
    Kind.DURATION: "DURATION",
    Kind.TIME: "TIME",
    Kind.INTEGER: "N",
    Kind.NUMBER: "NUMBER",
    Kind.LIST: "TEXT[,TEXT]",
}


def add_request_options(parser: argparse.ArgumentParser, request: type[Request], leave_out: frozenset[str]) -> None:
    """Add one option for each input field that is not in `leave_out`. Left-out options keep the model's default."""
    for shape in fields_of(request):
        if shape.name not in leave_out:
            _add_option(parser, shape)


def _add_option(parser: argparse.ArgumentParser, shape: FieldShape) -> None:
    flag = "--" + shape.name.replace("_", "-")
    common: dict[str, Any] = {"dest": PREFIX + shape.name, "default": argparse.SUPPRESS, "help": _help(shape)}
    if shape.kind is Kind.BOOLEAN:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, required=shape.required, **common)
    elif shape.kind is Kind.CHOICE:
        parser.add_argument(flag, choices=shape.choices, metavar="|".join(shape.choices), required=shape.required, **common)
    elif shape.kind is Kind.LIST:
        parser.add_argument(flag, action="extend", type=_split, metavar=_METAVARS[shape.kind], required=shape.required, **common)
    else:
        parser.add_argument(flag, metavar=_METAVARS[shape.kind], required=shape.required, **common)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _help(shape: FieldShape) -> str:
    """Return description, default and an example in one line."""
    parts = [shape.description.rstrip(".") or shape.name]
    if not shape.required and value_text(shape.default):
        parts.append(f"default {value_text(shape.default)}")
    elif shape.examples and value_text(shape.examples[0]) and shape.kind not in (Kind.BOOLEAN, Kind.CHOICE):
        parts.append(f"e.g. {value_text(shape.examples[0])}")
    if shape.kind is Kind.LIST:
        parts.append("commas or repeat the option")
    return "; ".join(parts).replace("%", "%%")


def given_inputs(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the inputs that were given on the command line, as text and lists, for the model to validate."""
    given: Mapping[str, Any] = vars(arguments)
    return {name.removeprefix(PREFIX): value for name, value in given.items() if name.startswith(PREFIX)}
