"""`snaphold do ACTION`: one action by hand, with the same checks and the same audit trail as in a playbook.

The incident is given as a file: the ledger keeps what was done for an incident, not the incident itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from snaphold.action import AnyAction, Effect, Result, catalogue, find_action
from snaphold.cli.arguments import add_request_options, given_inputs
from snaphold.cli.options import (
    add_dry_run_option,
    add_incident_option,
    add_justification_option,
    add_runtime_options,
    runtime_of,
)
from snaphold.cli.output import Writer, details
from snaphold.clock import format_time
from snaphold.domain.outcome import Outcome
from snaphold.errors import EXIT_DONE, EXIT_FAILED, EXIT_FINDINGS, InputError
from snaphold.fields import Kind, fields_of, value_text
from snaphold.ledger.entry import Event, digest

SHARED = "justification"
"""The one input that is also an option of the command: it is given once and serves both."""
RESERVED = frozenset({"as", "config", "dry_run", "generation", "help", "incident", "json"})
"""Names that no action may use for an input, because they are options of this command."""
EXIT_OF_OUTCOME = {
    Outcome.SUCCEEDED: EXIT_DONE,
    Outcome.PARTIAL: EXIT_FINDINGS,
    Outcome.FAILED: EXIT_FAILED,
    Outcome.UNKNOWN: EXIT_FAILED,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one subcommand for each action of the catalogue."""
    subparsers = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")
    for entry in catalogue().values():
        child = subparsers.add_parser(entry.name, help=entry.title, description=f"{entry.title}. {entry.description}")
        add_request_options(child, entry.request, frozenset({SHARED}))
        add_incident_option(child)
        add_runtime_options(child)
        if entry.effect is Effect.READS and SHARED not in entry.request.model_fields:
            child.set_defaults(justification="", generation=1)
        else:
            add_justification_option(child)
            child.add_argument(
                "--generation",
                type=_generation,
                default=1,
                metavar="N",
                help="do it once more on purpose: 2 after 1 (default 1; the same number never does it twice)",
            )
        add_dry_run_option(child)


def _generation(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it counts from 1")
    return number


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run the action and print its result. Returns 0 for succeeded, 3 for partial, 1 for failed and unknown."""
    from snaphold.execute import action_key, execute, validate
    from snaphold.runtime import load_incident

    entry = find_action(arguments.action)
    given = given_inputs(arguments)
    justification = str(arguments.justification).strip()
    if SHARED in entry.request.model_fields and justification:
        given[SHARED] = justification
    if entry.effect is not Effect.READS and not justification and not arguments.dry_run:
        raise InputError(
            f"{entry.name} needs a justification", "it changes something, and the audit trail says why", "--justification TEXT"
        )
    validate(entry, given)
    incident = load_incident(arguments.incident)
    runtime = runtime_of(arguments)
    key = action_key(entry, given, incident.id, step_of(entry, given), arguments.generation)
    acts = entry.effect is not Effect.READS and not arguments.dry_run
    before = [found for found in runtime.ledger.entries(incident.id) if found.key == key] if acts else []
    context = runtime.context(
        incident,
        justification=justification,
        key=key,
        dry_run=arguments.dry_run,
        progress=writer.progress,
    )
    ends = [found for found in before if found.event is Event.OUTCOME]
    if ends:
        writer.note(_repetition_note(ends[-1].outcome, format_time(before[-1].at), arguments.generation))
    result = execute(entry.name, given, context)
    if arguments.dry_run:
        writer.note(_dry_run_note(entry))
    if result.outcome is Outcome.UNKNOWN:
        writer.note("it is not known whether this took effect; look it up before doing it again")
    writer.document(_document(entry, result, dry_run=arguments.dry_run), _text(result, writer))
    return EXIT_OF_OUTCOME[result.outcome]


def step_of(entry: AnyAction, given: Mapping[str, Any]) -> str:
    """Return what stands in the idempotency key where a playbook has the name of its step.

    Where no key field tells two uses of an action apart, the input does: placing another hold is another deed.
    """
    if entry.key_fields:
        return f"cli.{entry.name}"
    return f"cli.{entry.name}.{digest(entry.request.model_validate(given).model_dump(mode='json'))[:8]}"


def _repetition_note(outcome: str, at: str, generation: int) -> str:
    """Return what to tell of a key that was used before: a failure is shown again and not tried again."""
    if outcome == Outcome.FAILED.value:
        return f"this failed at {at}, and is not tried again by itself: when the cause is gone, --generation {generation + 1}"
    return f"already done at {at}: this is what came out; --generation N does it once more"


def _dry_run_note(entry: AnyAction) -> str:
    if entry.effect is Effect.READS:
        return "dry run: it was really read, and nothing was recorded"
    return "dry run: nothing was done; the result below is made of examples"


def _document(entry: AnyAction, result: Result, *, dry_run: bool) -> dict[str, Any]:
    return {"action": entry.name, "dry_run": dry_run, **result.model_dump(mode="json")}


def _text(result: Result, writer: Writer) -> str:
    values: dict[str, Any] = result.model_dump(mode="json")
    shown = [("outcome", writer.mark(result.outcome.value))]
    for shape in fields_of(type(result)):
        if shape.name not in ("outcome", "findings"):
            text = "\n".join(map(value_text, values[shape.name])) if shape.kind is Kind.LIST else value_text(values[shape.name])
            shown.append((shape.name, text))
    if result.findings:
        shown.append(("findings", "\n".join(result.findings)))
    return details(shown)
