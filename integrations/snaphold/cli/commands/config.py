"""`snaphold config check`, `config sample` and `config schema`."""

from __future__ import annotations

import argparse
import json

from snaphold.cli.options import add_config_option, sentence
from snaphold.cli.output import Writer, table
from snaphold.config import Configuration, find_configuration, load_configuration
from snaphold.errors import EXIT_DONE, EXIT_FINDINGS
from snaphold.json_schemas import SHIPPED, schema_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `check`, `sample` and `schema`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands", required=True)
    text = "check snaphold.yaml and show what is configured and what is missing; exit code 3 with findings"
    add_config_option(subparsers.add_parser("check", help=text, description=sentence(text)))
    text = "print a complete, commented sample of snaphold.yaml"
    subparsers.add_parser("sample", help=text, description=sentence(text))
    text = "print the JSON Schema of a document"
    schema = subparsers.add_parser("schema", help=text, description=sentence(text))
    schema.add_argument(
        "document", metavar="DOCUMENT", nargs="?", default="configuration", choices=list(SHIPPED),
        help="one of: " + ", ".join(SHIPPED) + " (default: configuration)",
    )  # fmt: skip


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Do what was asked. Returns 0, or 3 when the check has findings."""
    if arguments.part == "check":
        return _check(arguments, writer)
    if arguments.part == "sample":
        from snaphold.config_sample import sample_text

        # Made of the product's own words: nothing in it may be taken for a secret and hidden.
        text = sample_text()
        writer.exact(json.dumps({"sample": text}) + "\n" if writer.as_json else text)
    else:
        writer.exact(schema_text(arguments.document))
    return EXIT_DONE


def _check(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.clock import SystemClock
    from snaphold.config_review import review

    path = find_configuration(arguments.config)
    configuration = load_configuration(path)
    findings = review(configuration, SystemClock().now().date())
    rows = [*_contents(configuration)]
    closing = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}" if findings else "no findings"
    parts = [table(("part", "count", "names"), rows)]
    if findings:
        parts.append(table(("part", "finding"), [(finding.part, finding.text) for finding in findings]))
    writer.document(
        {
            "configuration": str(path),
            "contents": {part: int(count) for part, count, _names in rows},
            "findings": [{"part": finding.part, "text": finding.text} for finding in findings],
        },
        "\n\n".join([*parts, f"{path} is valid; {closing}"]),
    )
    return EXIT_FINDINGS if findings else EXIT_DONE


def _contents(configuration: Configuration) -> list[tuple[str, str, str]]:
    named: dict[str, list[str]] = {
        "tiers": [tier.id for tier in configuration.tiers],
        "assets": [asset.id for asset in configuration.assets],
        "classification": [rule.name for rule in configuration.classification],
        "severities": [f"{rule.severity}{'/' + rule.category if rule.category else ''}" for rule in configuration.severities],
        "pools": [f"{pool.name} ({pool.provider})" for pool in configuration.pools],
        "routes": [f"{'+'.join(route.tiers)} → {route.primary}" for route in configuration.routes],
        "integrations": [f"{item.name} ({item.kind})" for item in configuration.integrations],
        "webhooks": [f"{hook.name} ({hook.kind.value})" for hook in configuration.webhooks],
        "triggers": [trigger.name for trigger in configuration.triggers],
        "people": [person.id for person in configuration.people],
        "roles": [role.name for role in configuration.roles],
        "retention": [rule.data_class or "everything" for rule in configuration.retention],
        "contacts": [contact.role for contact in configuration.contacts],
    }
    return [(part, str(len(names)), _shorten(names)) for part, names in named.items()]


def _shorten(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
