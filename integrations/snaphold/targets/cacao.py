"""CACAO 2.0: the playbook as an OASIS security playbook, whose actions call the Snaphold service.

https://docs.oasis-open.org/cacao/security-playbooks/v2.0/security-playbooks-v2.0.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from snaphold.action import AnyAction, catalogue
from snaphold.clock import format_time
from snaphold.playbook.inputs import INCIDENT_ID as INCIDENT_INPUT
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import INPUTS, parse_reference
from snaphold.playbook.step import CallStep
from snaphold.playbook.valuetype import write_value
from snaphold.playbook.walk import every_step
from snaphold.targets.base import Loss, Output, Parts, Target, place_text, stable_uuid, stamp
from snaphold.targets.cacao_steps import Emitter, Region
from snaphold.targets.cacao_values import (
    CACAO_TYPES,
    FAILED,
    GATEWAY,
    GENERATION,
    INCIDENT,
    INCIDENT_ID,
    JUSTIFICATION,
    PORT,
    RUNNING,
    TOKEN,
    equals,
    input_variable,
    path_variable,
    state_variable,
)
from snaphold.targets.cacao_workflow import EXTENSION, Workflow

IDENTITY = f"identity--{stable_uuid('', '', 'cacao identity')}"
EXTENSION_SCHEMA = "urn:snaphold:cacao-extension:1"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHARED = (
    (GATEWAY, "string", None, "Host name of the Snaphold service."),
    (PORT, "integer", "443", "Port of the Snaphold service."),
    (TOKEN, "string", None, "API token of the Snaphold service; a secret."),
    (INCIDENT, "dictionary", None, "The incident as JSON, as `snaphold config schema incident` describes it."),
    (INCIDENT_ID, "string", None, "The id of that incident."),
    (JUSTIFICATION, "string", None, "Why this is done; recorded in the audit trail for ever."),
    (GENERATION, "integer", "1", "Another number does everything once more."),
)


def compile_cacao(loaded: LoadedPlaybook, parts: Parts) -> Output:
    """Return `NAME.json` and what CACAO cannot say. Every action must be in the catalogue and every part in `parts`."""
    document, losses = cacao_document(loaded, parts, catalogue())
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return Output({f"{loaded.playbook.name}.json": text.encode()}, losses)


def cacao_document(
    loaded: LoadedPlaybook, parts: Parts, actions: Mapping[str, AnyAction]
) -> tuple[dict[str, Any], tuple[Loss, ...]]:
    """Return the playbook as a CACAO document, and the losses."""
    playbook = loaded.playbook
    metadata = playbook.metadata
    workflow = Workflow(loaded, actions)
    _declare(workflow, playbook)
    emitter = Emitter(workflow, parts, _lists_as_json(playbook))
    start, last = _flow(emitter, playbook)
    workflow.drop_unused_ends([start, last])
    created, modified, dated = _dates(playbook)
    mark = stamp(loaded)
    document: dict[str, Any] = {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": metadata.id,
        "name": metadata.name,
        "description": f"{metadata.description}\n\n{mark.text}".strip(),
        "created_by": IDENTITY,
        "created": created,
        "modified": modified,
        "severity": metadata.severity,
        "labels": ["snaphold", f"version {mark.version}", f"change record {mark.change_record}", f"sha256 {mark.digest}"],
        "playbook_variables": workflow.variables,
        "workflow_start": start,
        "workflow": workflow.steps,
        "agent_definitions": workflow.agents,
        "extension_definitions": {EXTENSION: _extension_definition()},
        "playbook_extensions": {EXTENSION: _source(playbook)},
    }
    if last:
        document["workflow_exception"] = last
    losses = list(workflow.losses)
    if not dated:
        what = "the date is made from the version, because metadata has no created and modified; players tell versions by it"
        losses.insert(0, Loss("metadata", place_text(loaded, ("metadata",)), what))
    return document, tuple(sorted(losses, key=lambda loss: [int(number) for number in loss.place.split(":")[1:]]))


def _declare(workflow: Workflow, playbook: Playbook) -> None:
    for name, kind, value, description in _SHARED:
        workflow.declare(name, kind, value, description, external=True)
    workflow.declare(path_variable(playbook.name), "string", playbook.name, "Which call this is; part of idempotency keys.")
    workflow.declare(state_variable(playbook.name), "string", RUNNING, "running, failed, failed_for_good or stopped.")
    for name, declared in playbook.inputs.items():
        default = declared.default
        value = None if default is None else write_value(list(default) if isinstance(default, tuple) else default)  # type: ignore[arg-type]
        description = "The incident's id." if name == INCIDENT_INPUT else declared.description or None
        workflow.declare(input_variable(name), CACAO_TYPES[declared.type], value, description, external=True)


def _flow(emitter: Emitter, playbook: Playbook) -> tuple[str, str]:
    """Add all steps; return where the workflow starts and where a player goes after a fault of its own.

    The last handler stands after the steps, not in them: it runs once, however many branches failed.
    """
    workflow, state = emitter.workflow, state_variable(playbook.name)
    end, last = workflow.end("", "end"), ""
    after = end
    if playbook.metadata.on_error:
        handler_state = workflow.declare(f"__SNAPHOLD_HANDLER_STATE-{playbook.name}__", "string", RUNNING)
        steps = playbook.handlers[playbook.metadata.on_error]
        last = emitter.steps(steps, Region(handler_state), workflow.end("", "last handler"))
        after = workflow.branch("", "failed", equals(state, FAILED), on_true=last, on_completion=end, name="Has it failed?")
    entry = emitter.steps(playbook.steps, Region(state), workflow.end("", "steps"))
    whole = workflow.branch("", "steps", equals(state, RUNNING), on_true=entry, on_completion=after, name=playbook.name)
    return workflow.add("start", "", "start", on_completion=whole), last


def _lists_as_json(playbook: Playbook) -> frozenset[str]:
    lists = [parse_reference(step.for_each) for step in every_step(playbook) if isinstance(step, CallStep) and step.for_each]
    return frozenset(f"__{found.scope}-{found.field}__" for found in lists if found.scope != INPUTS)


def _dates(playbook: Playbook) -> tuple[str, str, bool]:
    """Return created, modified, and whether they are the author's. Never the clock: a rebuild must give the same bytes."""
    metadata = playbook.metadata
    if metadata.created and metadata.modified:
        return format_time(metadata.created), format_time(metadata.modified), True
    major, minor, patch = (int(part) for part in metadata.version.split("."))
    later = timedelta(days=major % 10_000, minutes=minor % 1_440, milliseconds=patch % 60_000)
    return format_time(metadata.created or _EPOCH), format_time(metadata.modified or (metadata.created or _EPOCH) + later), False


def _source(playbook: Playbook) -> dict[str, Any]:
    """Return the source without its steps, which stand beside the CACAO steps; handlers have many copies, so they stand here."""
    document = playbook.to_document()
    document["steps"] = [step.id for step in playbook.steps]
    return document


def _extension_definition() -> dict[str, Any]:
    return {
        "type": "extension-definition",
        "name": "Snaphold source",
        "description": (
            "The source of a playbook, so that it can be read back without loss, and which field of an action's answer each "
            "out_args variable takes: text as it is, a list with commas, and as JSON where the variable ends in -JSON."
        ),
        "created_by": IDENTITY,
        "schema": EXTENSION_SCHEMA,
        "version": "1.0.0",
    }


TARGET = Target("cacao", "CACAO 2.0 JSON that calls the Snaphold service", compile_cacao)
