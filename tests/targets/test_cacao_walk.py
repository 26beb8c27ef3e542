"""The exported steps do what the interpreter does: the same calls, questions and ending, in hundreds of scripted worlds."""

from __future__ import annotations

import re
from typing import Any

import pytest

from snaphold.playbook.load import LoadedPlaybook, load_parts
from snaphold.targets.base import stable_uuid
from support.cacao_play import cacao_set, run_here, walk_there
from support.every_construct import everything
from support.playbooks import read_trial, shipped, shipped_files

SHIPPED = [path.stem for path in shipped_files()]
GUARD = "Nothing has stopped?"


def differs(
    loaded: LoadedPlaybook, parts: dict[str, LoadedPlaybook], documents: dict[str, Any], seed: int, **options: Any
) -> str:
    here, there = run_here(loaded, parts, seed), walk_there(loaded, parts, seed, documents, **options)
    same = (here.calls, here.ending, here.asked) == (there.calls, there.ending, there.asked)
    return "" if same else f"seed {seed}: {here} here, {there} there"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_playbook_does_the_same_as_here(name: str) -> None:
    loaded = shipped(name)
    parts = load_parts(loaded)
    documents = cacao_set(loaded, parts)
    ways: set[tuple[str, ...]] = set()
    for seed in range(60):
        assert not differs(loaded, parts, documents, seed)
        here = run_here(loaded, parts, seed)
        ways.add((here.ending, *(action for action, _ in here.calls)))
    assert len(ways) > 1, "the worlds are all alike"


@pytest.mark.parametrize("gateway_halts", [True, False])
def test_every_construct_does_the_same_as_here(gateway_halts: bool) -> None:
    loaded, parts = everything()
    documents = cacao_set(loaded, parts)
    for seed in range(300):
        assert not differs(loaded, parts, documents, seed, gateway_halts=gateway_halts)


def test_every_construct_does_the_same_when_the_service_takes_its_time() -> None:
    loaded, parts = everything()
    documents = cacao_set(loaded, parts)
    for seed in range(300):
        assert not differs(loaded, parts, documents, seed, slow=True)


@pytest.mark.slow
def test_every_construct_does_the_same_as_here_in_thousands_of_worlds() -> None:
    loaded, parts = everything()
    documents = cacao_set(loaded, parts)
    endings = [run_here(loaded, parts, seed).ending for seed in range(3000) if not differs(loaded, parts, documents, seed)]
    assert len(endings) == 3000
    assert set(endings) == {"running", "failed", "stopped"}


def checks(documents: dict[str, Any]) -> list[tuple[str, str]]:
    """Return every if-condition that keeps something from running.

    Left out: what is decided by the gateway's own helpers, whether a gate was denied or expired, what guards against a service
    that fails at a gate (the next test), and the last step of the last handler, after which nothing can run.
    """
    by_gateway = ("Has it stopped?", "Was there one?")
    last = {
        f"if-condition--{stable_uuid(playbook, step, 'cacao if-condition succeeded')}"
        for playbook in documents
        for step in ("last_report", "part_report")
    }
    return [
        (playbook, id)
        for playbook, made in documents.items()
        for id, step in made["workflow"].items()
        if step["type"] == "if-condition" and id not in last and step.get("name") not in by_gateway
        if not re.search(r"gate(_grant)?-(OUTCOME|JOB_STATE|RESULT-|decision__:value = '(denied|expired)')", step["condition"])
        if (step.get("name") == GUARD or "on_false" in step) and step["on_true"] != step.get("on_false")
    ]


def without(documents: dict[str, Any], playbook: str, id: str) -> dict[str, Any]:
    """Return the documents with one condition taken out: whatever led to it goes straight to what it protects."""
    made = documents[playbook]
    target = made["workflow"][id]["on_true"]

    def lead(value: Any) -> Any:
        if isinstance(value, list):
            return [lead(item) for item in value]
        if isinstance(value, dict):
            return {key: lead(item) for key, item in value.items()}
        return target if value == id else value

    return {**documents, playbook: {**made, "workflow": {key: lead(step) for key, step in made["workflow"].items()}}}


FAULTS: dict[str, dict[str, Any]] = {
    "the question is refused": {"approval.ask": None},
    "the question fails": {"approval.ask": {"outcome": "failed"}},
    "the question is lost": {"approval.ask": {"outcome": "unknown"}},
    "nobody says how it stands": {"approval.status": None},
    "how it stands is not known": {"approval.status": {"outcome": "unknown", "state": "done", "decision": "approved"}},
    "the decision is another word": {"approval.status": {"outcome": "succeeded", "state": "done", "decision": "Approved"}},
    "it stays open": {"approval.status": {"outcome": "succeeded", "state": "running", "decision": "waiting"}},
    "the grant is refused": {"authority.issue_grant": None},
    "the grant fails": {"authority.issue_grant": {"outcome": "failed"}},
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_service_that_fails_at_a_gate_lets_nothing_pass(name: str) -> None:
    loaded, parts = everything()
    documents = cacao_set(loaded, parts)
    reached = 0
    for seed in range(0, 60, 3):  # the worlds in which nothing else fails
        whole = walk_there(loaded, parts, seed, documents)
        passed = any(action == "backup.start" for action, _ in whole.calls)
        if not passed:
            continue
        reached += 1
        walk = walk_there(loaded, parts, seed, documents, gate_faults=FAULTS[name])
        assert walk.ending == "failed"
        assert not any(action == "backup.start" for action, _ in walk.calls)
    assert reached


@pytest.mark.slow
def test_every_guard_and_every_check_is_needed() -> None:
    loaded, parts = everything()
    documents = cacao_set(loaded, parts)
    here = [run_here(loaded, parts, seed) for seed in range(4000)]

    def is_missed(changed: dict[str, Any]) -> bool:
        walks = (walk_there(loaded, parts, seed, changed) for seed in range(len(here)))
        return any((a.calls, a.ending, a.asked) != (b.calls, b.ending, b.asked) for a, b in zip(here, walks, strict=True))

    found = checks(documents)
    assert len(found) > 40
    assert [
        documents[playbook]["workflow"][id] for playbook, id in found if not is_missed(without(documents, playbook, id))
    ] == []


@pytest.mark.parametrize(
    "block",
    [
        "if: $look.healthy == false\n    then:\n      - {id: halt, stop: Enough.}",
        "if: $look.healthy == true\n    then:\n      - id: deep\n        if: $look.healthy == true\n        then:\n"
        "          - {id: halt, stop: Enough.}",
        "approve: {ask: Go on, from: group/managers, within: 5m}",
        "parallel:\n      - - {id: one, do: evidence.seal}\n      - - {id: two, do: evidence.seal}",
    ],
)
def test_nothing_runs_after_a_stop(block: str) -> None:
    body = (
        "steps:\n  - {id: look, do: backup.check_health, with: {assets: a}, out: {healthy: boolean}}\n"
        f"  - id: block\n    {block}\n  - {{id: after, do: report.summary}}\n"
    )
    loaded = read_trial(body)
    documents = cacao_set(loaded, {})
    reached: set[bool] = set()
    for seed in range(100):
        assert not differs(loaded, {}, documents, seed)
        walked = walk_there(loaded, {}, seed, documents)
        reached.add("report.summary" in [name for name, _ in walked.calls])
        if walked.ending != "running":
            assert [name for name, _ in walked.calls].count("report.summary") <= 1
    assert reached == {True, False}


def test_keys_of_the_same_step_differ_from_item_to_item() -> None:
    loaded, parts = everything()
    documents = cacao_set(loaded, parts)
    longest = max((walk_there(loaded, parts, seed, documents).keys for seed in range(0, 600, 3)), key=len)
    starts = [key for key in longest if ".start/" in key]
    assert len(starts) > 2
    assert len(starts) == len(set(starts))
    assert starts[0] == "INC-1/everything.each.0.start/orders-db/1"
    assert starts[1] == "INC-1/everything.each.1.start/orders-db/1"
    assert starts[-1] == "INC-1/everything.once.start/files-01/1"
