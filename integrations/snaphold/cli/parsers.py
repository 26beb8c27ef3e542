"""The parser class of every command: short errors with a suggestion, no abbreviations; and a look into its parts.

argparse keeps its options and subcommands to itself; this is the one module that looks at them.
"""

from __future__ import annotations

import argparse
import sys
from argparse import _SubParsersAction  # pyright: ignore[reportPrivateUsage]
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NoReturn, cast

from snaphold.errors import InputError

ALTERNATIVES_SHOWN = 30


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are InputErrors and whose options are never guessed from a prefix."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("allow_abbrev", False)
        settings.setdefault("formatter_class", _formatter)
        super().__init__(**settings)

    def error(self, message: str) -> NoReturn:
        """Raise InputError with the message and the command that explains more."""
        raise InputError(message, do=f"{self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or version; unlike argparse's own, a full disk or a reader that left is not ignored."""
        stream = file or sys.stdout or sys.stderr
        if message and stream is not None:
            stream.write(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        why = nearest(str(value), [str(choice) for choice in action.choices])
        if isinstance(action, _SubParsersAction):
            raise InputError(f"{self.prog} has no command {str(value)!r}", why, f"{self.prog} --help")
        raise InputError(f"{_name(action)} cannot be {str(value)!r}", why, f"{self.prog} --help")


class _Formatter(argparse.HelpFormatter):
    """Lists subcommands without the line of their metavar, so that all of them have room for their summaries."""

    def _iter_indented_subactions(self, action: argparse.Action) -> Generator[argparse.Action, None, None]:
        if isinstance(action, _SubParsersAction):
            yield from action._get_subactions()  # pyright: ignore[reportPrivateUsage]
            return
        yield from super()._iter_indented_subactions(action)

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        return text.partition("\n")[2] if isinstance(action, _SubParsersAction) else text


def _formatter(prog: str) -> argparse.HelpFormatter:
    return _Formatter(prog, max_help_position=30)


def _name(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or str(action.metavar or action.dest)


def nearest(word: str, known: Sequence[str]) -> str:
    """Return `did you mean "x"?` for the nearest known word; else the list of what there is."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    more = f" and {len(known) - ALTERNATIVES_SHOWN} more" if len(known) > ALTERNATIVES_SHOWN else ""
    return f"there are: {', '.join(known[:ALTERNATIVES_SHOWN])}{more}"


def finish(parser: argparse.ArgumentParser) -> None:
    """Give a parser and all its subcommands `--json`, and let the parsed result name the innermost as `reached`.

    A missing subcommand is not argparse's error: whoever runs the parser prints the help of `reached`.
    """
    for part in _parts(parser):
        if isinstance(part, _SubParsersAction):
            part.required = False
    for child in subcommands_of(parser).values():
        finish(child)
    if not any("--json" in option.option_strings for option in options_of(parser)):
        parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON for programs")
    parser.set_defaults(reached=parser)


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Return the parsed words, with `reached` (the innermost parser) and `json`.

    Raises InputError; an unknown option is answered with the nearest known one.
    """
    parsed, extra = parser.parse_known_args(list(words), argparse.Namespace(json=False))
    if not extra:
        return parsed
    unknown = extra[0].partition("=")[0]
    prog = parsed.reached.prog
    if not unknown.startswith("-"):
        raise InputError(f"{prog} does not take {extra[0]!r}", "it is one word too many", f"{prog} --help")
    known = [text for option in options_of(parsed.reached) for text in option.option_strings if text.startswith("--")]
    raise InputError(f"{prog} has no option {unknown}", nearest(unknown, known), f"{prog} --help")


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options and positional arguments of a parser, without its subcommands."""
    return [found for found in _parts(parser) if not isinstance(found, _SubParsersAction)]


def subcommands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the subcommands of a parser by name, in the order of their definition."""
    for found in _parts(parser):
        if isinstance(found, _SubParsersAction):
            return dict(cast("Mapping[str, argparse.ArgumentParser]", found.choices))  # pyright: ignore[reportUnknownMemberType]
    return {}


def summaries_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return the one-line help of each subcommand."""
    for found in _parts(parser):
        if isinstance(found, _SubParsersAction):
            listed = found._get_subactions()  # pyright: ignore[reportPrivateUsage]
            return {choice.dest: help_of(choice) for choice in listed}
    return {}


def help_of(action: argparse.Action) -> str:
    """Return the help of an option or subcommand as people read it."""
    return (action.help or "").replace("%%", "%")


def _parts(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # pyright: ignore[reportPrivateUsage]
