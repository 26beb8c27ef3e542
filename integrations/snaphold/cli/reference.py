"""The reference page of the command line, from the parsers."""

from __future__ import annotations

from collections.abc import Sequence

from snaphold.cli.words import Option, Place
from snaphold.targets.docs import table


def cli_reference(places: Sequence[Place], exit_codes: str) -> str:
    """Return the page as Markdown: one section for each command, without those that the catalogue makes."""
    lines = [
        "# Command line",
        "",
        "Generated from the parsers by `make docs`; edit the command, not this page. The options of `snaphold do ACTION`",
        "follow from the action: see [actions](actions.md).",
        "",
        "Results go to stdout, progress and errors to stderr. `--json` may stand anywhere after the command: results are then",
        "JSON on stdout, and the last line of a failure on stderr is a JSON object with `message_type` `exit_error`, `code`,",
        "`message`, `why` and `do`. Colour is used on terminals only, and never with `NO_COLOR` or `--json`.",
        "",
        exit_codes[0].upper() + exit_codes[1:] + ".",
    ]
    for place in places:
        if place.path[:1] == ("do",) and len(place.path) > 1:
            continue
        lines += ["", *_section(place)]
    return "\n".join(lines) + "\n"


def _section(place: Place) -> list[str]:
    name = " ".join(("snaphold", *place.path))
    lines = [f"{'##' if len(place.path) < 2 else '###'} {name}"]  # noqa: PLR2004  a subcommand of a subcommand
    if place.description:
        lines += ["", place.description]
    if place.subcommands and place.path != ("do",):
        rows = [(f"`{name} {word}`", summary) for word, summary in place.subcommands.items()]
        lines += ["", *table(("Command", "What it does"), rows)]
    rows = [(f"`{word}`", summary) for word, summary in place.positionals]
    rows += [(_spelling(option), option.summary) for option in place.options if "--help" not in option.names]
    rows = [row for row in rows if not row[0].startswith("`--json`") or not place.path]
    return [*lines, "", *table(("Argument", "Meaning"), rows)] if rows else lines


def _spelling(option: Option) -> str:
    return ", ".join(f"`{name}{' ' + option.metavar if option.metavar else ''}`" for name in option.names)
