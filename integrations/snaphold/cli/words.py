"""What can stand where on the command line, read from the parsers. The completion scripts are made from it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from snaphold.cli.parsers import help_of, options_of, subcommands_of, summaries_of

_FILES = ("DIR", "FILE", "FOLDER", "PLAYBOOK")
"""What stands for a file or folder in the help, also where the command takes it as text."""


@dataclass(frozen=True)
class Values:
    """What can stand as a value: one of `choices`, a file, or (neither) something that only the user knows."""

    choices: tuple[str, ...] = ()
    files: bool = False


@dataclass(frozen=True)
class Option:
    """One option: its spellings, its one-line help, its values (None: it takes no value) and what stands for them."""

    names: tuple[str, ...]
    summary: str
    values: Values | None
    metavar: str = ""


@dataclass(frozen=True)
class Place:
    """One command or subcommand. `path` is the words that lead to it, without the program's name."""

    path: tuple[str, ...]
    description: str
    subcommands: dict[str, str]
    options: tuple[Option, ...]
    positional: Values
    positionals: tuple[tuple[str, str], ...]


def places_of(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> list[Place]:
    """Return the parser and all its subcommands as places, outermost first."""
    parts = options_of(parser)
    positional = [part for part in parts if not part.option_strings]
    values = [_values(part) for part in positional]
    options = tuple(_option(part) for part in parts if part.option_strings and part.help != argparse.SUPPRESS)
    place = Place(
        path=path,
        description=parser.description or "",
        subcommands=summaries_of(parser),
        options=options,
        positional=Values(tuple(word for v in values for word in v.choices), any(v.files for v in values)),
        positionals=tuple((_metavar(part), help_of(part)) for part in positional),
    )
    found = [place]
    for name, child in subcommands_of(parser).items():
        found += places_of(child, (*path, name))
    return found


def _option(part: argparse.Action) -> Option:
    if part.nargs == 0:
        return Option(tuple(part.option_strings), help_of(part), None)
    return Option(tuple(part.option_strings), help_of(part), _values(part), _metavar(part))


def _metavar(part: argparse.Action) -> str:
    if part.metavar is None and part.choices is not None:
        return "|".join(str(choice) for choice in part.choices)
    return str(part.metavar or part.dest.upper())


def _values(part: argparse.Action) -> Values:
    if part.choices is not None:
        return Values(choices=tuple(str(choice) for choice in part.choices))
    return Values(files=part.type is Path or part.metavar in _FILES)
