"""The entry point: finds the command, runs it, turns errors into one screen and an exit code."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence

from snaphold import __version__
from snaphold.cli.commands import COMMANDS, module_of
from snaphold.cli.failure import error_document, error_text, explain, tell
from snaphold.cli.parsers import Parser, finish, parse, subcommands_of
from snaphold.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED

EXIT_CODES = (
    "exit codes: 0 done, 1 failed, 2 bad input, 3 finished with findings, 4 not authorised, "
    "5 waiting for approval, 6 timed out, 130 interrupted; treat any other as failed"
)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser. Only the named command's own arguments are loaded; all of them with `*`."""
    parser = Parser(
        prog="snaphold",
        description="Incident backups: classify, quiesce, back up, seal as evidence, hold.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"snaphold {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        child = subparsers.add_parser(name, help=summary, description=summary + ".")
        if command in (name, "*"):
            importlib.import_module(f"snaphold.cli.commands.{module_of(name)}").add_arguments(child)
    finish(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see `snaphold.errors`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]  it is None when the shell closed it
            sys.stdout.flush()
    except KeyboardInterrupt:
        tell("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return EXIT_FAILED
    except Exception as fault:  # noqa: BLE001  the one place that catches all: nobody is ever shown a traceback
        error = explain(fault)
        as_json = "--json" in words
        tell(json.dumps(error_document(error), ensure_ascii=False) if as_json else error_text(error))
        _abandon_stdout()
        return error.exit_code
    return code


def _abandon_stdout() -> None:
    """Let nothing that is still buffered fail a second time when Python flushes it at its own exit."""
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):  # closed, full, or its reader has left: that was told already
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _run(words: list[str]) -> int:
    parser = build_parser(next((word for word in words if not word.startswith("-")), None))
    try:
        parsed = parse(parser, words)
    except SystemExit as done:  # --help and --version have printed
        return int(done.code or EXIT_DONE)
    if subcommands_of(parsed.reached):
        parsed.reached.print_help()
        return EXIT_BAD_INPUT
    from snaphold.cli.output import Writer

    return int(
        importlib.import_module(f"snaphold.cli.commands.{module_of(parsed.command)}").run(parsed, Writer(as_json=parsed.json))
    )


if __name__ == "__main__":
    sys.exit(main())
