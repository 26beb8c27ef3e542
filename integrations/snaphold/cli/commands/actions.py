"""`snaphold actions list` and `snaphold actions show NAME`: the catalogue."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from snaphold.action import AnyAction, Effect, Needs, catalogue, find_action
from snaphold.cli.options import sentence
from snaphold.cli.output import Writer, details, table
from snaphold.errors import EXIT_DONE
from snaphold.fields import FieldShape, fields_of, schema_of, value_text
from snaphold.targets.docs import EFFECT_TEXTS, RECOVERY_TEXTS, example_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `list` and `show`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands")
    subparsers.add_parser("list", help="list all actions", description="List all actions.")
    text = "show one action: inputs, outputs, effect, proof"
    show = subparsers.add_parser("show", help=text, description=sentence(text))
    show.add_argument("name", metavar="ACTION", choices=list(catalogue()), help="the action's name, e.g. backup.start")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Print the list, or one action. Returns 0."""
    if arguments.part == "list":
        entries = list(catalogue().values())
        rows = [(entry.name, entry.effect.value, entry.needs.value, entry.title) for entry in entries]
        writer.document({"actions": [summary(entry) for entry in entries]}, table(("action", "effect", "needs", "title"), rows))
    else:
        entry = find_action(arguments.name)
        writer.document(action_document(entry), action_text(entry))
    return EXIT_DONE


def summary(entry: AnyAction) -> dict[str, str]:
    """Return the one-line facts of an action."""
    return {"name": entry.name, "title": entry.title, "effect": entry.effect.value, "needs": entry.needs.value}


def action_document(entry: AnyAction) -> dict[str, Any]:
    """Return everything about an action for programs, with the JSON Schemas of input and output."""
    return {
        **summary(entry),
        "description": entry.description,
        "recovery": entry.recovery.value,
        "key_fields": list(entry.key_fields),
        "example": example_command(entry),
        "adapters": [{"name": name, "proved_on": proof} for name, proof in proofs(entry).items()],
        "input_schema": schema_of(entry.request),
        "output_schema": schema_of(entry.result, "serialization"),
    }


def action_text(entry: AnyAction) -> str:
    """Return everything about an action for people."""
    facts = [("effect", EFFECT_TEXTS[entry.effect]), ("needs", entry.needs.value)]
    if entry.effect is not Effect.READS:
        facts.append(("after a lost attempt", RECOVERY_TEXTS[entry.recovery]))
        facts.append(("once per", ", ".join(("incident", "step", *entry.key_fields))))
    facts += [("adapter " + name, "proved on: " + proof) for name, proof in proofs(entry).items()]
    inputs = [
        ("--" + shape.name.replace("_", "-"), shape.kind_text, _need(shape), _example(shape), shape.description)
        for shape in fields_of(entry.request)
    ]
    outputs = [(shape.name, shape.kind_text, _example(shape), shape.description) for shape in fields_of(entry.result)]
    return "\n".join(
        [
            f"{entry.name}: {entry.title}",
            "",
            entry.description,
            "",
            details(facts),
            "",
            "inputs",
            table(("option", "type", "default", "example", "description"), inputs),
            "",
            "outputs",
            table(("name", "type", "example", "description"), outputs),
            "",
            "example",
            f"  {example_command(entry)}",
        ]
    )


def _need(shape: FieldShape) -> str:
    return "required" if shape.required else value_text(shape.default)


def _example(shape: FieldShape) -> str:
    return value_text(shape.examples[0]) if shape.examples else ""


def proofs(entry: AnyAction) -> Mapping[str, str]:
    """Return, for an action that goes through adapters, how each of them was proved."""
    if entry.needs is not Needs.PROVIDER:
        return {}
    from snaphold.providers.registry import provider_proofs
    from snaphold.quiesce.registry import adapter_proofs

    quiesce = {f"quiesce {name}": proof for name, proof in adapter_proofs().items()} if entry.effect is not Effect.READS else {}
    return {**provider_proofs(), **quiesce}
