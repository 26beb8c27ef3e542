"""`snaphold db status|upgrade`: the schema of the database that holds the ledger and the runs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from snaphold.cli.options import add_config_option, add_database_option, configuration_of, sentence
from snaphold.cli.output import Writer, details
from snaphold.errors import EXIT_DONE, EXIT_FINDINGS, MissingToolError

if TYPE_CHECKING:
    from snaphold.ledger.upgrade import SchemaStatus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `status` and `upgrade`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands", required=True)
    for name, text in (
        ("status", "show the schema's revision and whether this program can use it"),
        ("upgrade", "bring the schema to this program's revision; changes nothing when it is there"),
    ):
        child: Any = subparsers.add_parser(name, help=text, description=sentence(text))
        add_config_option(child)
        add_database_option(child)


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run the subcommand. `status` returns 0 when this program can use the schema, else 3; `upgrade` returns 0."""
    try:
        from snaphold.ledger.upgrade import schema_status, upgrade_schema
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed", "the database needs it", "pip install 'snaphold[service]'"
        ) from error
    configuration = configuration_of(arguments)
    if arguments.part == "status":
        status = schema_status(configuration)
        writer.document(_document(status), details([*_facts(status), ("usable", _usable(status))]))
        return EXIT_DONE if status.current else EXIT_FINDINGS
    before, after = upgrade_schema(configuration)
    changed = "yes" if before != after else "no, it was there already"
    document = {**_document(after), "before": before.revision, "changed": before != after}
    writer.document(document, details([*_facts(after), ("changed", changed)]))
    return EXIT_DONE


def _document(status: SchemaStatus) -> dict[str, Any]:
    return {**asdict(status), "current": status.current}


def _facts(status: SchemaStatus) -> list[tuple[str, str]]:
    return [("database", status.place), ("kind", status.kind), ("revision", status.revision or "none"),
            ("this program's", status.head)]  # fmt: skip


def _usable(status: SchemaStatus) -> str:
    if status.current:
        return "yes" if status.revision == status.head else "yes; it has no revision yet, and snaphold db upgrade notes it"
    if not status.known:
        return "no: a newer program made it"
    if not status.exists and status.kind == "sqlite":
        return "not yet: there is no ledger; the first run makes it"
    return "no: snaphold db upgrade"
