"""`snaphold playbook compile|lint|list|schema|show|test`: check playbooks, show them, run their cases, compile them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from snaphold.action import catalogue
from snaphold.cli.compile_output import add_compile, run_compile
from snaphold.cli.options import add_config_option, sentence
from snaphold.cli.output import Writer, details, table
from snaphold.config import Configuration, find_configuration, load_configuration
from snaphold.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FINDINGS, ConfigurationError, DocumentError, Problem, SnapholdError
from snaphold.playbook.demands import action_demands, gate_demands
from snaphold.playbook.lint import errors_in, in_order, lint_file
from snaphold.playbook.load import (
    LoadedPlaybook,
    find_playbook,
    load_parts,
    load_playbook,
    playbook_files,
    playbook_folders,
)
from snaphold.playbook.outline import outline
from snaphold.playbook.schema import playbook_schema, schema_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `compile`, `lint`, `list`, `schema`, `show` and `test`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands")
    text = "check playbooks and all that they call; every fault with file:line:column"
    lint = subparsers.add_parser("lint", help=text, description=sentence(text) + " Exit code 2: errors, 3: warnings only.")
    lint.add_argument("playbooks", nargs="+", metavar="PLAYBOOK", help="names or files")
    text = "list your own and the shipped playbooks"
    listing = subparsers.add_parser("list", help=text, description=sentence(text))
    text = "print the JSON Schema of a playbook"
    subparsers.add_parser("schema", help=text, description=sentence(text))
    text = "show a playbook: steps, conditions, gates, deadlines, and the roles that it needs"
    show = subparsers.add_parser("show", help=text, description=sentence(text))
    show.add_argument("playbook", metavar="PLAYBOOK", help="a name or a file")
    for child in (lint, listing, show, _add_test(subparsers), add_compile(subparsers)):
        add_config_option(child)


def _add_test(subparsers: Any) -> argparse.ArgumentParser:
    text = "run playbooks offline on their cases: scripted results, scripted people; nothing outside is touched"
    more = " Exit code 1: an expectation was missed, 2: a case is wrong."
    parser: argparse.ArgumentParser = subparsers.add_parser("test", help=text, description=sentence(text) + more)
    parser.add_argument("playbooks", nargs="+", metavar="PLAYBOOK", help="names or files")
    parser.add_argument(
        "--case", action="append", type=Path, default=[], metavar="FILE",
        help="run this case and show its steps (may be repeated); left out: all cases beside the playbook",
    )  # fmt: skip
    parser.add_argument(
        "--require-coverage", type=_percent, metavar="PERCENT",
        help="exit code 1 when less of a playbook's branches was taken",
    )  # fmt: skip
    return parser


def _percent(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:  # noqa: PLR2004  per cent
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 100")
    return int(text)


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run the subcommand and return the exit code."""
    if arguments.part == "schema":
        writer.document(playbook_schema(), schema_text().rstrip())
        return EXIT_DONE
    configuration = _configuration(arguments.config)
    if arguments.part == "lint":
        return _lint(arguments.playbooks, configuration, writer)
    if arguments.part == "list":
        return _list(configuration, writer)
    if arguments.part == "test":
        from snaphold.cli.trial_output import run_test

        return run_test(arguments, configuration, writer)
    if arguments.part == "compile":
        return run_compile(arguments, configuration, writer)
    return _show(arguments.playbook, configuration, writer)


def _configuration(given: Path | None) -> Configuration | None:
    """Return the configuration; None when none was named and there is none. A faulty one is an error."""
    if given is None:
        try:
            find_configuration(None)
        except ConfigurationError:
            return None
    return load_configuration(given)


def _lint(names: Sequence[str], configuration: Configuration | None, writer: Writer) -> int:
    files = _with_parts([find_playbook(name, configuration) for name in names], configuration)
    problems = in_order(problem for path in files for problem in lint_file(path, configuration))
    errors = errors_in(problems)
    warnings = len(problems) - len(errors)
    tally = f"{_count(len(files), 'playbook')} checked: {_count(len(errors), 'error')}, {_count(warnings, 'warning')}"
    rows = [(str(problem.location or "-"), problem.severity, _message(problem), problem.hint) for problem in problems]
    document = {
        "files": [str(path) for path in files],
        "errors": len(errors),
        "warnings": warnings,
        "problems": [_problem_document(problem) for problem in problems],
    }
    listing = table(("place", "severity", "problem", "hint"), rows) + "\n\n" if rows else ""
    writer.document(document, listing + tally)
    return EXIT_BAD_INPUT if errors else EXIT_FINDINGS if problems else EXIT_DONE


def _with_parts(files: Sequence[Path], configuration: Configuration | None) -> list[Path]:
    """Return the files and those of all playbooks that they call; what cannot be read is named by the check itself."""
    found = list(dict.fromkeys(files))
    for path in files:
        try:
            parts = load_parts(load_playbook(path), configuration)
        except SnapholdError:
            continue
        found += [part.path for part in parts.values() if part.path not in found]
    return found


def _message(problem: Problem) -> str:
    return f"{problem.field}: {problem.message}" if problem.field else problem.message


def _problem_document(problem: Problem) -> dict[str, Any]:
    place = problem.location
    return {
        "path": place.path if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "severity": problem.severity,
        "field": problem.field,
        "message": problem.message,
        "hint": problem.hint,
    }


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _list(configuration: Configuration | None, writer: Writer) -> int:
    documents: list[dict[str, Any]] = []
    faulty = False
    for place in playbook_folders(configuration):
        for path in playbook_files(place):
            if any(path.stem == document["name"] for document in documents):
                continue  # one of your own stands before a shipped one of the same name
            try:
                documents.append(_summary(load_playbook(path)))
            except DocumentError as error:
                faulty = True
                documents.append({"name": path.stem, "path": str(path), "fault": str(error.problems[0])})
    rows = [
        (
            document["name"],
            document.get("version", "-"),
            document.get("change_record", "-"),
            document.get("fault", document["path"]),
        )
        for document in documents
    ]
    writer.document({"playbooks": documents}, table(("playbook", "version", "change", "file"), rows))
    return EXIT_FINDINGS if faulty else EXIT_DONE


def _summary(loaded: LoadedPlaybook) -> dict[str, Any]:
    metadata = loaded.playbook.metadata
    return {
        "name": metadata.name,
        "version": metadata.version,
        "change_record": metadata.change_record,
        "digest": loaded.digest,
        "path": str(loaded.path),
        "description": metadata.description,
    }


def _show(name: str, configuration: Configuration | None, writer: Writer) -> int:
    loaded = load_playbook(find_playbook(name, configuration))
    parts = load_parts(loaded, configuration)
    everything = [loaded.playbook, *(part.playbook for part in parts.values())]
    actions = action_demands(everything, catalogue(), configuration)
    gates = gate_demands(everything)
    document = {
        **_summary(loaded),
        "parts": [_summary(part) for part in parts.values()],
        "actions": [asdict(action) for action in actions],
        "gates": [asdict(gate) for gate in gates],
        "playbook": loaded.playbook.to_document(),
    }
    metadata = loaded.playbook.metadata
    facts = [
        ("version", metadata.version),
        ("change record", metadata.change_record),
        ("severity", str(metadata.severity)),
        ("file", str(loaded.path)),
        ("sha256", loaded.digest),
        *((f"calls {part.playbook.name}", f"{part.playbook.metadata.version}, sha256 {part.digest}") for part in parts.values()),
    ]
    inputs = [
        (field, declared.type.value, "required" if declared.required else _default(declared.default), declared.description)
        for field, declared in loaded.playbook.inputs.items()
    ]
    action_rows = [
        (action.action, action.effect, "yes" if action.needs_grant else "no", ", ".join(action.roles) or "-")
        for action in actions
    ]
    gate_rows = [(g.step, g.asked_of, g.escalates_to or "-", g.quorum, g.waits, g.grants or "-") for g in gates]
    sections = [
        f"{metadata.name}: {metadata.description}" if metadata.description else metadata.name,
        details(facts),
        "inputs\n" + table(("name", "type", "default", "description"), inputs),
        "\n".join(outline(loaded.playbook)),
        "gates\n" + table(("step", "asks", "then", "quorum", "waits", "grants"), gate_rows),
        "actions (with those of called playbooks)\n" + table(("action", "effect", "grant", "roles that may"), action_rows),
    ]
    writer.document(document, "\n\n".join(sections))
    return EXIT_DONE


def _default(value: object) -> str:
    if value in ("", ()):
        return "(empty)"
    return ",".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)
