"""Runs a playbook twice in the same scripted world: compiled for XSOAR with our real commands, and in the interpreter."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch

from snaphold.action import Effect, find_action
from snaphold.engine.interpreter import Interpreter
from snaphold.engine.run import Reason
from snaphold.engine.steps import Act, Answer, Branch, BranchResult, RunBranch
from snaphold.errors import ProviderError
from snaphold.execute import validate
from snaphold.playbook.inputs import bind_inputs
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.valuetype import write_value
from snaphold.soar import xsoar, xsoar_call
from snaphold.targets.xsoar import compile_xsoar, display_name
from support.scripted_world import Script, ScriptedSteps
from support.xsoar_walker import XsoarWalker, load

SHIM = Path(__file__).with_name("demisto_shim")
INCIDENT = {
    "id": "1", "name": "An exercise", "severity": 4, "type": "Ransomware", "created": "2026-11-22T18:00:00Z",
    "CustomFields": {"snapholdassets": "orders-db, files-01"},
}  # fmt: skip


def shim() -> tuple[ModuleType, ModuleType]:
    """Return the stand-ins of demistomock and CommonServerPython."""
    if str(SHIM) not in sys.path:
        sys.path.append(str(SHIM))
    import CommonServerPython  # pyright: ignore[reportMissingImports]
    import demistomock  # pyright: ignore[reportMissingImports]

    return demistomock, CommonServerPython


class World(Protocol):
    """Gives the answers of actions."""

    def answer(self, action: str) -> dict[str, Any] | None:
        """Return the next answer of an action; None when the call itself fails."""
        ...


Decide = Callable[[str, str], "str | None"]
"""Gives what people decide at (whom, title): approved, denied, or None when nobody answers in time."""
PEOPLE = ("approval.ask", "approval.status", "authority.issue_grant")


@dataclass
class Question:
    """A question to people as the service keeps it."""

    given: dict[str, Any]
    said: str = "waiting"
    escalated: bool = False

    def stand(self, decide: Decide | None) -> dict[str, Any]:
        """Return where it stands, after the time of those who are asked now is over."""
        assert decide
        if self.said == "waiting":
            second = self.given.get("escalate_to", "")
            who = second if self.escalated else self.given["asked_of"]
            said = decide(who.partition("/")[2], "Escalated: " if self.escalated else "")
            if said is not None or self.escalated or not second:
                self.said = said or "expired"
            else:
                self.escalated = True
        state = "running" if self.said == "waiting" else "done"
        return {"state": state, "decision": self.said, "escalated": self.escalated}


@dataclass
class Commands:
    """Runs commands through the integration's entry point, with a scripted service and a clock that polling moves."""

    script: World
    trace: list[tuple[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    now: float = 0.0
    decide: Decide | None = None
    questions: dict[str, Question] = field(default_factory=dict)
    granted: list[str] = field(default_factory=list)

    def call(self, action: str, given: Mapping[str, Any], *, key: str = "", justification: str = "", incident: Any = "") -> Any:
        """Answer as the client of the service does."""
        assert incident
        if action in PEOPLE:
            return self.people(action, given, key, justification)
        self.trace.append((action, dict(given)))
        if find_action(action).effect is not Effect.READS:
            assert justification
            self.keys.append(key)
        answer = self.script.answer(action)
        self.now += getattr(self.script, "seconds", 0.0)
        if answer is None:
            raise ProviderError("no answer", retryable=action.endswith(".status"))
        return answer

    def people(self, action: str, given: Mapping[str, Any], key: str, justification: str) -> dict[str, Any] | None:
        """Answer as the service does about a question to people: a silence is escalated once, then it expires."""
        if action == "approval.status":
            asked = self.questions[given["approval"]]
            return {"outcome": "succeeded", "approval": given["approval"], **asked.stand(self.decide)}
        assert key
        assert justification
        if action == "approval.ask":
            validate(find_action(action), given)
            self.questions.setdefault(f"APR-{key}".replace("/", "."), Question(dict(given)))
            return {"outcome": "succeeded", "approval": f"APR-{key}".replace("/", ".")}
        asked = self.questions[given["approval"]]
        assert asked.said == "approved", "a grant needs an approval"
        self.granted.append(asked.given["role"])
        return {"outcome": "succeeded", "grant": "GRANT-1"}

    def client_of(self, _server: object) -> Commands:
        """Stand in the place of the client of the service."""
        return self

    def run(self, command: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """Run a command until it needs no further turn; return its context, or None for an error."""
        if command == "send-mail":
            return None  # a mail that fails must hold nothing up
        if command == "setIncident":
            return {}
        demisto, server = shim()
        with (
            patch.object(xsoar, "_client", self.client_of),
            # In that module only: the threads of other tests read the same clock.
            patch.object(xsoar_call, "time", SimpleNamespace(time=lambda: 1000.0 + self.now)),
            patch.object(xsoar_call, "SHORTEST_INTERVAL", 1),
        ):
            while True:
                demisto.STATE.clear()
                demisto.STATE.update({"command": command, "args": arguments, "incident": INCIDENT})
                demisto.RESULTS.clear()
                with contextlib.suppress(SystemExit):
                    xsoar.run({**vars(server), "demisto": demisto}, {})
                (entry,) = demisto.RESULTS
                if entry["Type"] == server.ERROR_ENTRY:
                    self.texts.append(entry["Contents"])
                    return None
                if "PollingCommand" not in entry:
                    return entry["EntryContext"]
                assert entry["PollingCommand"] == command
                self.now += float(entry["NextRun"])
                arguments = entry["PollingArgs"]


_COMPILED: dict[str, Any] = {}


def walk_there(
    loaded: LoadedPlaybook,
    parts: Mapping[str, LoadedPlaybook],
    script: World,
    given: Mapping[str, Any],
    decide: Decide,
) -> Any:
    """Walk the compiled playbook; return its calls, how it ended, and the commands."""
    documents: dict[str, Any] = {}
    for one in (loaded, *parts.values()):
        if one.digest not in _COMPILED:
            content = next(value for name, value in compile_xsoar(one, parts).files.items() if name.endswith(".yml"))
            _COMPILED[one.digest] = load(content)
        documents[display_name(one.playbook.name)] = _COMPILED[one.digest]
    commands = Commands(script, decide=decide)
    shim()[0].KEPT.update({"context": {}, "version": 0})
    walker = XsoarWalker(documents, commands.run, INCIDENT)
    done = walker.walk(display_name(loaded.playbook.name), given)
    assert not done.halted, done.halted
    ended = done.context["Snaphold"]["Ended"]
    place = f"{loaded.playbook.name}."
    marks = {one["outcome"] for one in (ended if isinstance(ended, list) else [ended]) if one["place"] == place}
    ending = "done" if marks == {"done"} else "stopped" if "stopped" in marks else "failed"
    return commands.trace, ending, commands


class NotedSteps(ScriptedSteps):
    """Notes the places of what writes, and begins as many turns at once as the playbook says."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.paths: list[str] = []

    def act(self, act: Act) -> Answer:
        """Note the place of what writes."""
        if find_action(act.action).effect is not Effect.READS:
            entry = find_action(act.action)
            self.paths.append(f"{act.path}[{'+'.join(act.items)}]" if act.items and not entry.key_fields else act.path)
        return super().act(act)

    def side_by_side(self, branches: Sequence[Branch], at_once: int, run: RunBranch) -> list[BranchResult]:
        """Run all lists; of a loop, after a turn that failed only those that would have begun beside it."""
        results: list[BranchResult] = []
        for position, branch in enumerate(branches):
            failed = any(result.reason is not Reason.NONE for result in results)
            if branch.list_index is None and position >= at_once and failed:
                break
            results.append(run(branch))
        return results


def run_here(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook], script: Script, given: Mapping[str, Any]) -> Any:
    """Run the source in the interpreter; return its calls and how it ended."""
    steps = NotedSteps(script)
    everything = {one.playbook.name: one.playbook for one in (loaded, *parts.values())}
    inputs = bind_inputs(loaded.playbook, given, "XSOAR-1")
    result = Interpreter(everything, "XSOAR-1", steps).run(loaded.playbook.name, inputs)
    ending = "done" if result.reason is Reason.NONE else "stopped" if result.handled else "failed"
    return steps.trace, ending, steps.paths


def as_text(calls: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return calls with their inputs as text, so that both ways can be compared."""
    written = [(action, {name: write_value(value) for name, value in given.items()}) for action, given in calls]
    return [(action, {name: value for name, value in given.items() if value}) for action, given in written]
