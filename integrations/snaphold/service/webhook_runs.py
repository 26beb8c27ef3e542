"""Starts the playbooks that a delivery asks for. The same incident and playbook are the same run, however often it is told."""

from __future__ import annotations

from snaphold.config import select_playbook
from snaphold.engine.plan import make_plan
from snaphold.engine.run import Run
from snaphold.errors import InputError
from snaphold.playbook.lint import load_checked
from snaphold.playbook.load import SUFFIXES
from snaphold.runtime import Runtime
from snaphold.service.principals import WEBHOOK
from snaphold.service.records import WebhookDelivery
from snaphold.service.run_process import start_driver

AUTO = "auto"


def start_runs(runtime: Runtime, delivery: WebhookDelivery) -> tuple[str, ...]:
    """Start the playbooks of a delivery in the name of its webhook; return the ids of their runs, also of those that exist.

    Raises InputError (no such playbook, inputs missing) and what keeps a run from beginning; a repeat starts nothing twice.
    """
    runs: list[str] = []
    for wanted in delivery.playbooks:
        incident = delivery.declared
        name = select_playbook(runtime.configuration, incident).playbook if wanted == AUTO else wanted
        if name.endswith(SUFFIXES):
            raise InputError(f"there is no playbook {name!r}", "a playbook is given by its name, not as a file")
        loaded, parts = load_checked(name, runtime.configuration)
        why = f"{delivery.event} of webhook {delivery.webhook}, delivery {delivery.id}"
        plan = make_plan(loaded, parts, {}, incident, justification=why)
        existing = runtime.ledger.record(Run, plan.run)
        if existing is None:
            existing = start_driver(runtime, f"{WEBHOOK}{delivery.webhook}", plan)
        if existing.id not in runs:
            runs.append(existing.id)
    return tuple(runs)
