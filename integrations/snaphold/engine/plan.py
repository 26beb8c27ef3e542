"""The plan of a run: every playbook that it may call, its inputs and its incident, pinned when the run starts.

A run never reads a playbook's file again. The plan is written before the run is registered, and the register holds its
digest, so that a plan that somebody changed is refused when the run is resumed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaphold.config import Configuration
from snaphold.domain.incident import Incident
from snaphold.engine.run import Run, name_run, runs_folder
from snaphold.errors import LedgerError, StorageError
from snaphold.ledger.entry import canonical
from snaphold.playbook.inputs import bind_inputs
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.model import Playbook
from snaphold.playbook.valuetype import Plain

FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """What a run does. `playbooks` holds the one that runs (`playbook`) and all that it calls, by name."""

    run: str
    playbook: str
    playbooks: Mapping[str, Playbook]
    inputs: Mapping[str, Plain]
    incident: Incident
    generation: int = 1
    justification: str = ""

    @property
    def root(self) -> Playbook:
        """The playbook that runs."""
        return self.playbooks[self.playbook]

    def to_document(self) -> dict[str, Any]:
        """Return the plan as plain JSON data."""
        return {
            "format": FORMAT,
            "run": self.run,
            "playbook": self.playbook,
            "playbooks": {name: playbook.to_document() for name, playbook in sorted(self.playbooks.items())},
            "inputs": dict(self.inputs),
            "incident": self.incident.model_dump(mode="json"),
            "generation": self.generation,
            "justification": self.justification,
        }


def make_plan(
    loaded: LoadedPlaybook,
    parts: Mapping[str, LoadedPlaybook],
    given: Mapping[str, Any],
    incident: Incident,
    *,
    generation: int = 1,
    justification: str = "",
) -> Plan:
    """Return the plan of a run. Inputs called `assets`, `severity` and `category` come from the incident when not given.

    Raises PlaybookError naming every input that is missing, unknown or of the wrong type.
    """
    name = loaded.playbook.name
    playbooks = {name: loaded.playbook, **{part: found.playbook for part, found in parts.items()}}
    from_incident: dict[str, Any] = {
        "assets": list(incident.assets),
        "severity": incident.severity,
        "category": incident.category,
    }
    declared = loaded.playbook.inputs
    filled = {field: value for field, value in from_incident.items() if field in declared and declared[field].required}
    inputs = bind_inputs(loaded.playbook, {**filled, **given}, incident.id)
    run = name_run(incident.id, name, generation)
    return Plan(run, name, playbooks, inputs, incident, generation, justification)


def plan_path(configuration: Configuration, run: str) -> Path:
    """Return where a run's plan is kept."""
    return runs_folder(configuration) / f"{run}.plan.json"


def write_plan(configuration: Configuration, plan: Plan) -> str:
    """Write the plan to disk, whole or not at all, and return its SHA-256. Raises StorageError."""
    data = canonical(plan.to_document()).encode()
    path = plan_path(configuration, plan.run)
    beside = path.with_suffix(".part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise StorageError(f"the plan {path} cannot be written", error.strerror, "check the state folder") from error
    return hashlib.sha256(data).hexdigest()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_plan(configuration: Configuration, run: Run) -> Plan:
    """Return the plan that a registered run was started with. Raises LedgerError when it was changed or is missing."""
    path = plan_path(configuration, run.id)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LedgerError(
            f"the plan of {run.id} cannot be read", f"{path}: {error.strerror}", "start a new generation of the run"
        ) from error
    check_plan(run, hashlib.sha256(data).hexdigest(), str(path))
    return plan_from(json.loads(data))


def check_plan(run: Run, sha256: str, place: str) -> None:
    """Raise LedgerError when a plan that was found in a place is not the one that the run was started with."""
    if sha256 != run.plan_sha256:
        raise LedgerError(
            f"the plan of {run.id} was changed after the run was started",
            f"what is in {place} does not have the SHA-256 that the register holds",
            "find out who changed it; then cancel the run and start a new generation",
        )


def plan_from(document: Mapping[str, Any]) -> Plan:
    """Return the plan that `to_document` described."""
    return Plan(
        run=document["run"],
        playbook=document["playbook"],
        playbooks={name: Playbook.model_validate(playbook) for name, playbook in document["playbooks"].items()},
        inputs=document["inputs"],
        incident=Incident.model_validate(document["incident"]),
        generation=document["generation"],
        justification=document["justification"],
    )
