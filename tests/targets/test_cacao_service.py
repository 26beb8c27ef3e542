"""The exported requests are what the real service takes: a walk of the steps over HTTP, jobs included."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from snaphold.action import describe
from snaphold.actions.core import halt, next_item
from snaphold.playbook.load import read_playbook
from snaphold.targets.cacao import cacao_document
from support.cacao_play import GIVEN
from support.cacao_walker import CacaoWalker
from support.playbooks import HEAD, read_trial
from support.service_lab import INCIDENT_DOCUMENT, ServiceLab, serving
from support.toy_actions import install, toy

PART = HEAD.replace("name: trial", "name: part").replace("11111111", "22222222") + (
    "inputs: {asset: {type: string, required: true}}\nsteps:\n  - {id: start, do: toy.start, with: {asset: $inputs.asset}}\n"
)
MAIN = (
    "inputs: {assets: {type: list, required: true}}\nsteps:\n"
    "  - {id: each, call: part, for_each: $inputs.assets, with: {asset: $item}}\n"
    "  - {id: slow, do: toy.wait, with: {asset: slow-01}, out: {job: string}}\n"
    '  - id: look\n    if: $slow.job == "JOB-slow-01"\n    then:\n      - {id: enough, stop: It is enough.}\n'
    "  - {id: never, do: toy.start, with: {asset: never}}\n"
)


def walk(lab: ServiceLab, assets: str, gate: threading.Event) -> tuple[dict[str, str], list[int]]:
    """Walk the export against the service; return the variables at the end and the status of every answer."""
    main, part = read_trial(MAIN), read_playbook(PART, Path("part.yaml"))
    entries = [describe(halt), describe(next_item), *lab.toys.entries(), toy()]
    actions = {entry.name: entry for entry in entries}
    made = [json.loads(json.dumps(cacao_document(one, {"part": part}, actions)[0])) for one in (main, part)]
    statuses: list[int] = []

    def ask(action: str, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
        headers = {"X-Snaphold-Justification": "an exercise"}
        if action.startswith("toy."):
            headers["Idempotency-Key"] = walker.keys[-1]
        with lab.hurried() if action == "toy.wait" else nullcontext():
            reply = lab.request("POST", f"/v1/actions/{action}", {**given, "incident": INCIDENT_DOCUMENT}, headers=headers)
        statuses.append(reply.status)
        return reply.document if reply.status < 300 else None

    def job(id: str) -> Mapping[str, Any] | None:
        gate.set()  # the slow action ends once somebody has seen that it became a job
        time.sleep(0.05)
        return lab.request("GET", f"/v1/jobs/{id}").document

    walker = CacaoWalker({document["id"]: document for document in made}, ask, lambda _who, _question: None, job)
    ended = walker.play(main.playbook.metadata.id, {**GIVEN, "__inputs-assets__": assets})
    return ended, statuses


def serve(folder: Path, patch: pytest.MonkeyPatch) -> Any:
    """Serve the toys and the helpers of CACAO, to a person who may use all of them."""
    from support.service_lab import Toys
    from support.toy_actions import FileVendor

    toys = Toys(FileVendor(folder / "vendor"))
    actions = {entry.name: entry for entry in [*toys.entries(), describe(halt), describe(next_item)]}
    install(patch, *actions.values())
    roles = [{"name": "analyst", "members": ["ana"], "may": ["*"]}, {"name": "backup-emergency", "may": ["toy.*"]}]
    return toys, serving(folder, patch, actions=actions, roles=roles)


def test_the_real_service_takes_every_request_and_a_stop_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toys, serving_it = serve(tmp_path, monkeypatch)
    with serving_it as lab:
        ended, statuses = walk(lab, "a-01,b-01", toys.gate)
        assert (set(statuses), statuses.count(202)) == ({200, 202}, 1), "the slow action becomes a job, and no other"
        assert ended["__slow-job__"] == "JOB-slow-01"
        assert ended["__SNAPHOLD_STATE-trial__"] == "failed"
        done = [entry.key for entry in lab.runtime.ledger.entries() if entry.event.value == "outcome" and entry.key]
        assert done == [
            "INC-1/trial.each.0.start/a-01/1", "INC-1/trial.each.1.start/b-01/1", "INC-1/trial.slow/slow-01/1",
        ]  # fmt: skip
        halted = [entry for entry in lab.runtime.ledger.entries() if entry.action == "core.halt"]
        assert halted[-1].detail["findings"] == ["It is enough."]


def test_an_item_that_stands_twice_fails_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toys, serving_it = serve(tmp_path, monkeypatch)
    with serving_it as lab:
        ended, _ = walk(lab, "a-01,a-01", toys.gate)
        assert ended["__SNAPHOLD_STATE-trial__"] == "failed"
        assert [entry for entry in lab.runtime.ledger.entries() if entry.action.startswith("toy.")] == []
