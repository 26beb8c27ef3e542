"""The entry point: finds the command, runs it, turns errors into one screen and an exit code."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from snaphold import __version__
from snaphold.cli.commands import COMMANDS
from snaphold.errors import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, SnapholdError


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser. Only the named command's own arguments are loaded; all of them with `*`."""
    parser = argparse.ArgumentParser(
        prog="snaphold", description="Incident backups: classify, quiesce, back up, seal as evidence, hold."
    )
    parser.add_argument("--version", action="version", version=f"snaphold {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        child = subparsers.add_parser(name, help=summary, description=summary + ".")
        if command in (name, "*"):
            importlib.import_module(f"snaphold.cli.commands.{name}").add_arguments(child)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see `snaphold.errors`)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in arguments if not word.startswith("-")), None)
    parser = build_parser(command)
    parsed = parser.parse_args(arguments)
    if not parsed.command:
        parser.print_help()
        return EXIT_BAD_INPUT
    from snaphold.cli.output import Writer

    as_json = bool(getattr(parsed, "json", False))
    try:
        return int(importlib.import_module(f"snaphold.cli.commands.{parsed.command}").run(parsed, Writer(as_json=as_json)))
    except SnapholdError as error:
        return report_error(error, as_json=as_json)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILED


def report_error(error: SnapholdError, *, as_json: bool) -> int:
    """Print an error on stderr, as what/why/do or as one JSON line, and return its exit code."""
    from snaphold.cli.output import printable
    from snaphold.secrets import redact

    if as_json:
        document = {
            "message_type": "exit_error",
            "code": error.exit_code,
            "message": redact(error.what),
            "why": redact(error.why or ""),
            "do": redact(error.do or ""),
        }
        sys.stderr.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(printable(redact(f"error: {error}")) + "\n")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
