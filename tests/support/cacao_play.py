"""Runs a playbook twice in the same scripted world: as CACAO by a walk of its steps, and in the local interpreter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snaphold.action import catalogue
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.valuetype import ValueType
from snaphold.targets.cacao import cacao_document
from support.cacao_walker import CacaoWalker
from support.scripted_world import Script, interesting_values, interpret

GIVEN = {
    "__SNAPHOLD_INCIDENT__": '{"id": "INC-1"}',
    "__SNAPHOLD_INCIDENT_ID__": "INC-1",
    "__SNAPHOLD_TOKEN__": "token",
    "__SNAPHOLD_GATEWAY__": "snaphold.example.org",
    "__SNAPHOLD_JUSTIFICATION__": "an exercise",
}
SAMPLES = {
    ValueType.LIST: "files-01,orders-db",
    ValueType.INTEGER: "3",
    ValueType.BOOLEAN: "true",
    ValueType.STRING: "orders-db",
}
PEOPLE = ("approval.ask", "approval.status", "authority.issue_grant")
_VALUES: dict[tuple[str, ...], dict[str, list[Any]]] = {}


@dataclass(frozen=True)
class Walk:
    """What was called, how it ended (running: to its end), who was asked, and the idempotency keys."""

    calls: list[tuple[str, Any]]
    ending: str
    asked: list[str]
    keys: list[str]


def cacao_set(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook]) -> dict[str, dict[str, Any]]:
    """Return the CACAO documents of a playbook and all that it calls, by id, as a reader of the files has them."""
    made = (cacao_document(one, parts, catalogue())[0] for one in [loaded, *parts.values()])
    documents = [json.loads(json.dumps(document)) for document in made]
    return {document["id"]: document for document in documents}


def make_script(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook], seed: int) -> Script:
    """Return the world of a seed; in some worlds nothing fails, in some much."""
    digests = (loaded.digest, *(part.digest for part in parts.values()))
    if digests not in _VALUES:
        _VALUES[digests] = interesting_values([loaded.playbook, *(part.playbook for part in parts.values())])
    return Script(seed, _VALUES[digests], failing=(0.0, 0.05, 0.2)[seed % 3])


def given_inputs(loaded: LoadedPlaybook) -> dict[str, str]:
    """Return a value for every input but the incident's id."""
    return {name: SAMPLES[item.type] for name, item in loaded.playbook.inputs.items() if name != "incident_id"}


def run_here(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook], seed: int) -> Walk:
    """Run the source in the interpreter."""
    script = make_script(loaded, parts, seed)
    playbooks = {name: part.playbook for name, part in parts.items()}
    calls, ending = interpret(loaded.playbook, playbooks, given_inputs(loaded), script, "INC-1")
    return Walk(calls, ending, script.asked, [])


def walk_there(
    loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook], seed: int, documents: Mapping[str, dict[str, Any]],
    *, gateway_halts: bool = True, slow: bool = False, gate_faults: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> Walk:  # fmt: skip
    """Walk the CACAO documents; calls of the gateway's own helpers are left out. `gate_faults`: wrong answers by action.

    Without `gateway_halts`, people stop it. When `slow`, the service makes a job of every action but questions.
    """
    script = make_script(loaded, parts, seed)
    jobs: dict[str, list[Mapping[str, Any] | None]] = {}

    def job(id: str) -> Mapping[str, Any] | None:
        return jobs[id].pop(0)

    def ask(action: str, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if action == "core.halt":
            return {"outcome": "succeeded", "state": given["state"]} if gateway_halts else None
        if action == "core.next_item":
            return next_item(given)
        if action in PEOPLE:
            return people(action, given)
        answer = script.answer(action)
        if not slow or answer is None or action.endswith(".status"):
            return answer
        id = f"JOB-{len(jobs)}"
        running = {"id": id, "action": action, "state": "running", "result": None}
        ended = {**running, "state": "done", "result": answer}
        if answer["outcome"] == "failed":  # what a refused job looks like: a problem in the place of a result
            ended = {**running, "state": "failed", "problem": {"title": "refused"}}
        jobs[id] = [None, running, ended]
        return running

    questions: dict[str, Mapping[str, Any]] = {}

    def people(action: str, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer as the service does about a question to people; the answer is there when it is asked for."""
        if gate_faults and action in gate_faults:
            return gate_faults[action]
        if action == "approval.ask":
            id = f"APR-{len(questions)}"
            questions[id] = {name: value for name, value in given.items() if name.endswith(("asked_of", "escalate_to"))}
            return {"outcome": "succeeded", "approval": id}
        if action == "authority.issue_grant":
            return {"outcome": "succeeded", "grant": "GRANT-1"}
        said: str | None = None
        for who in questions[given["approval"]].values():
            said = said or script.decision(str(who).partition("/")[2])
        return {"outcome": "succeeded", "state": "done", "decision": said or "expired"}

    def decide(who: str, question: str) -> str | None:
        assert who == "incident-operators", "approvals are given in Snaphold, not to the player"
        return question.rsplit(maxsplit=1)[-1].strip(".")

    walker = CacaoWalker(documents, ask, decide, job)
    inputs = {f"__inputs-{name}__": value for name, value in given_inputs(loaded).items()}
    if "incident_id" in loaded.playbook.inputs:
        inputs["__inputs-incident_id__"] = "INC-1"
    ended = walker.play(loaded.playbook.metadata.id, {**GIVEN, **inputs})
    ending = ended[f"__SNAPHOLD_STATE-{loaded.playbook.name}__"].removesuffix("_for_good")
    calls = [call for call in walker.trace if not call[0].startswith("core.") and call[0] not in PEOPLE]
    return Walk(calls, ending, script.asked, walker.keys)


def next_item(given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Answer as core.next_item does."""
    items, position = given["items"], given["position"]
    items = [item for item in items.split(",") if item] if isinstance(items, str) else items
    if len(set(items)) != len(items) or position >= len(items):
        return None
    after = position + 1
    return {"outcome": "succeeded", "item": items[position], "index": position, "position": after, "more": after < len(items)}
