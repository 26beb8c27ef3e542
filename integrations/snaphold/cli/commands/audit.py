"""`snaphold audit verify|list|export|checkpoint`: the audit trail, for auditors and for those who must prove something."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snaphold.cli.options import add_config_option, add_runtime_options, runtime_of, sentence
from snaphold.cli.output import Writer, details, table
from snaphold.errors import EXIT_DONE, EXIT_FAILED, EXIT_FINDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snaphold.config import Configuration
    from snaphold.ledger.database import DatabaseLedger
    from snaphold.ledger.verify import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `verify`, `list`, `export` and `checkpoint`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands", required=True)
    verify = _add(subparsers, "verify", "check every entry, record and checkpoint")
    add_config_option(verify)
    verify.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a checkpoint that was kept elsewhere (FILE.sig beside it); may be given several times",
    )
    shown = _add(subparsers, "list", "show entries as a table")
    add_config_option(shown)
    _add_incident(shown)
    export = _add(subparsers, "export", "write entries as JSON lines or CSV")
    add_config_option(export)
    _add_incident(export)
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="jsonl can be re-checked (default)")
    export.add_argument("--out", type=Path, metavar="FILE", help="write to a file instead of standard output")
    checkpoint = _add(subparsers, "checkpoint", "sign the state of the trail")
    add_runtime_options(checkpoint)
    checkpoint.add_argument("--out", type=Path, metavar="FOLDER", help="also write it there, to be kept elsewhere")


def _add(subparsers: Any, name: str, text: str) -> argparse.ArgumentParser:
    return subparsers.add_parser(name, help=text, description=sentence(text))


def _add_incident(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--incident", metavar="ID", help="only entries of this incident")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run one of the parts. `verify` returns 0 verified, 1 at a fault, 3 when it cannot be told; the others 0."""
    if arguments.part == "checkpoint":
        return _checkpoint(arguments, writer)
    configuration, ledger = _open(arguments.config)
    try:
        if arguments.part == "verify":
            return _verify(configuration, ledger, arguments.checkpoint, writer)
        if arguments.part == "list":
            return _list(ledger, arguments.incident, writer)
        return _export(ledger, arguments, writer)
    finally:
        ledger.close()


def _open(config: Path | None) -> tuple[Configuration, DatabaseLedger]:
    """Auditors need no role, only the file: it is opened without writing."""
    from snaphold.clock import SystemClock
    from snaphold.config import load_configuration
    from snaphold.ledger import open_ledger

    configuration = load_configuration(config)
    return configuration, open_ledger(configuration, SystemClock(), read_only=True)


def _verify(configuration: Configuration, ledger: DatabaseLedger, kept: list[Path], writer: Writer) -> int:
    from snaphold.ledger.checkpoint import load_checkpoint, signature_check
    from snaphold.ledger.verify import Status, verify_ledger

    report = verify_ledger(ledger, signature_check(configuration), [load_checkpoint(path) for path in kept])
    writer.document(_report_document(report), _report_text(report, writer))
    return {Status.VERIFIED: EXIT_DONE, Status.FAILED: EXIT_FAILED, Status.UNVERIFIABLE: EXIT_FINDINGS}[report.status]


def _report_document(report: Report) -> dict[str, Any]:
    return {
        "status": report.status.value,
        "entries": report.entries,
        "head": report.head,
        "checkpoints": report.checkpoints,
        "entries_after_checkpoint": report.after_checkpoint,
        "first_bad": report.first_bad,
        "faults": [{"sequence": fault.sequence, "message": fault.message} for fault in report.faults],
        "unchecked": report.unchecked,
    }


def _report_text(report: Report, writer: Writer) -> str:
    facts = [
        ("status", writer.mark(report.status.value)),
        ("entries", str(report.entries)),
        ("head", report.head),
        ("checkpoints", str(report.checkpoints)),
        ("after the last good checkpoint", f"{report.after_checkpoint} entries, chained but not yet signed"),
    ]
    if report.first_bad is not None:
        facts.append(("first bad entry", str(report.first_bad)))
    if report.faults:
        facts.append(("faults", "\n".join(fault.message for fault in report.faults)))
    if report.unchecked:
        facts.append(("not checked", "\n".join(report.unchecked)))
    return details(facts)


def _list(ledger: DatabaseLedger, incident: str | None, writer: Writer) -> int:
    entries = [_row(fields) for fields in ledger.each_stored(incident)]
    headings = ("sequence", "at", "event", "outcome", "actor", "incident", "action", "key")
    rows = [[str(fields[name]) for name in headings] for fields in entries]
    writer.document({"entries": entries}, table(headings, rows))
    return EXIT_DONE


def _row(fields: dict[str, Any]) -> dict[str, Any]:
    names = (
        "sequence", "at", "event", "outcome", "actor", "login", "incident", "run", "action", "key", "justification",
        "detail", "hash",
    )  # fmt: skip
    return {name: fields.get(name, "") for name in names}


def _export(ledger: DatabaseLedger, arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.ledger.export import csv_lines, json_lines, write_file

    stored = ledger.each_stored(arguments.incident)
    lines: Iterator[str] = json_lines(stored) if arguments.format == "jsonl" else csv_lines(stored)
    if arguments.out is None:
        for line in lines:
            writer.exact(line)
        return EXIT_DONE
    write_file(arguments.out, lines)
    writer.document({"path": str(arguments.out), "format": arguments.format}, f"written to {arguments.out}")
    return EXIT_DONE


def _checkpoint(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.ledger.checkpoint import make_checkpoint, save_checkpoint

    runtime = runtime_of(arguments)
    try:
        made = make_checkpoint(runtime.ledger, runtime.configuration, runtime.actor)
    finally:
        runtime.ledger.close()
    path = save_checkpoint(made, arguments.out) if arguments.out else None
    document = {"entries": made.entries, "head": made.head, "text": made.text, "signature": made.signature}
    facts = [("entries", str(made.entries)), ("head", made.head)]
    if path:
        document["path"] = str(path)
        facts.append(("kept in", f"{path} and {path.name}.sig"))
    writer.document(document, details(facts))
    return EXIT_DONE
