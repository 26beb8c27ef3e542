"""A small world for runs: people, a ledger, actions whose outcome the playbook chooses, and a vendor that counts starts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

import snaphold.action
from snaphold.action import AnyAction, Effect, Recovery, Request, Result, action, describe
from snaphold.clock import Clock, SystemClock
from snaphold.config import Configuration
from snaphold.context import Attempt, Context
from snaphold.domain.authority import Decision
from snaphold.domain.outcome import Outcome
from snaphold.engine.approvals import decide
from snaphold.engine.driver import cancel_run, start_run, wake_run
from snaphold.engine.plan import Plan, make_plan
from snaphold.engine.run import Run
from snaphold.engine.steps import StepEvent
from snaphold.errors import NotAuthorisedError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.ledger.database import DatabaseLedger
from snaphold.playbook.load import LoadedPlaybook, read_playbook
from snaphold.runtime import Runtime
from snaphold.standing import check_standing
from support.ledgers import INCIDENT, actor, configure
from support.toy_actions import FileVendor

PEOPLE: dict[str, Any] = {
    "people": [
        {"id": "ana", "name": "Ana Ruiz", "logins": ["ana"]},
        {"id": "ben", "name": "Ben Okoro", "logins": ["ben"]},
        {"id": "cleo", "name": "Cleo Lind", "logins": ["cleo"]},
        {"id": "dan", "name": "Dan Wu", "logins": ["dan"]},
    ],
    "roles": [
        {"name": "analyst", "members": ["ana", "ben"], "may": ["lab.*"]},
        {"name": "managers", "members": ["ana", "ben", "cleo"]},
        {"name": "ciso", "members": ["dan"]},
        {"name": "empty", "members": ["ana"]},
        {"name": "backup-emergency", "may": ["lab.*"]},
    ],
}


class LabRequest(Request):
    """What a lab action should do."""

    says: str = Field(default="succeeded", description="An outcome, or a kind of error.", examples=["failed"])
    asset: str = Field(default="orders-db", description="An asset.", examples=["orders-db"])
    text: str = Field(default="text", description="Is given back.", examples=["text"])
    count: int = Field(default=0, description="How often a job is not done yet.", examples=[0])


class LabResult(Result):
    """What a lab action gives."""

    text: str = Field(description="Text.", examples=["text"])
    flag: bool = Field(default=True, description="Truth.", examples=[True])
    number: int = Field(default=7, description="A number.", examples=[7])
    items: list[str] = Field(default_factory=lambda: ["a", "b"], description="A list.", examples=[["a", "b"]])
    state: str = Field(default="done", description="running, done or failed.", examples=["done"])
    note: str | None = Field(default=None, description="Nothing.", examples=["nothing"])


ERRORS: dict[str, SnapholdError] = {
    "refused": ProviderError("the vendor refuses", "it is told to"),
    "shaky": ProviderError("the vendor stumbles", "it is told to", retryable=True),
    "lost": UnknownOutcomeError("the answer was lost"),
    "forbidden": NotAuthorisedError("you may not"),
}


@dataclass
class Lab:
    """The actions' memory in this process: how often each text was asked for, and what blocks `wait`."""

    vendor: FileVendor
    calls: list[str] = field(default_factory=list[str])
    gate: threading.Event = field(default_factory=threading.Event)
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=240))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def behave(self, request: LabRequest, context: Context) -> LabResult:
        """Do what the input says."""
        with self.lock:
            self.calls.append(request.text)
            turn = self.calls.count(request.text)
        if request.says == "wait":
            self.gate.wait(240)
        if request.says == "meet":
            self.meeting.wait()
        if request.says == "slow":
            threading.Event().wait(0.3)
        if request.says == "bug":
            raise RuntimeError("a fault of the program")
        if request.says.startswith("first "):
            said = request.says.removeprefix("first ") if turn <= max(request.count, 1) else "succeeded"
            request = request.model_copy(update={"says": said})
        if request.says in ERRORS:
            raise ERRORS[request.says]
        outcome = Outcome(request.says) if request.says in Outcome._value2member_map_ else Outcome.SUCCEEDED
        state = "running" if turn <= request.count else "done"
        if request.says == "job failed":
            state = "failed"
        return LabResult(
            outcome=outcome, text=request.text, state=state, findings=[] if outcome is Outcome.SUCCEEDED else ["told"]
        )

    def start(self, request: LabRequest, context: Context) -> LabResult:
        """Start at the vendor, once for each key."""
        if context.attempt is Attempt.FRESH or not self.vendor.find(context.key):
            self.effect(context.key)
        return self.behave(request, context)

    def effect(self, key: str) -> None:
        """Have the vendor start, as every call does: not when this process stood still for too long. Tests that kill wrap it."""
        check_standing()
        self.vendor.start(key)


def lab_actions(lab: Lab) -> dict[str, AnyAction]:
    """Return a catalogue: lab.read, lab.write, lab.start (finds its key at the vendor), lab.status."""

    def read(request: LabRequest, context: Context) -> LabResult:
        """Read."""
        return lab.behave(request, context)

    def start(request: LabRequest, context: Context) -> LabResult:
        """Start."""
        return lab.start(request, context)

    looks_up, person = Recovery.LOOKS_UP, Recovery.PERSON
    made = [
        describe(action("lab.read", title="Read", effect=Effect.READS)(read)),
        describe(action("lab.status", title="Ask", effect=Effect.READS)(_copy(read))),
        describe(action("lab.write", title="Write", effect=Effect.WRITES, recovery=person)(_copy(read))),
        describe(action("lab.start", title="Start", effect=Effect.WRITES, recovery=looks_up, key_fields=("asset",))(start)),
    ]
    return {entry.name: entry for entry in made}


def _copy(function: Any) -> Any:
    def twin(request: LabRequest, context: Context) -> LabResult:
        """Do the same."""
        return function(request, context)

    return twin


HEAD = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: {name}
  id: playbook--11111111-1111-4111-8111-111111111111
  version: "1.0.0"
  change_record: CHG1
{more}"""


def trial(body: str, *, name: str = "trial", on_error: str = "") -> LoadedPlaybook:
    """Return a playbook whose text ends with `body`."""
    more = f"  on_error: {on_error}\n" if on_error else ""
    return read_playbook(HEAD.format(name=name, more=more) + body, Path(f"{name}.yaml"))


def plan_of(body: str, *parts: LoadedPlaybook, on_error: str = "", generation: int = 1, **given: Any) -> Plan:
    """Return the plan of a playbook called trial."""
    loaded = {part.playbook.name: part for part in parts}
    return make_plan(trial(body, on_error=on_error), loaded, given, INCIDENT, generation=generation, justification="an exercise")


@dataclass
class World:
    """A state folder with people and a lab; `events` are what the listener heard."""

    configuration: Configuration
    lab: Lab
    clock: Clock
    events: list[StepEvent] = field(default_factory=list[StepEvent])
    answers: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=lambda: {})

    def runtime(self, person: str = "ana") -> Runtime:
        """Return one process's view for a person."""
        ledger = DatabaseLedger.open(self.configuration, self.clock)
        return Runtime(self.configuration, ledger, self.clock, actor(self.configuration, person))

    def listen(self, event: StepEvent) -> None:
        """Note an event; when a gate waits and `answers` has its path, vote from another thread."""
        self.events.append(event)
        votes = self.answers.get(event.path, ()) if event.what == "waiting" else ()
        for person, decision in votes:
            threading.Thread(target=self.vote, args=(str(event.detail["id"]), person, decision)).start()

    def vote(self, id: str, person: str, decision: str) -> None:
        """Answer a request, or cancel its run, as a person."""
        runtime = self.runtime(person)
        if decision == "cancel":
            cancel_run(runtime, self.run().id)
            return
        approval = decide(self.configuration, runtime.ledger, id, runtime.actor, Decision(decision), "because", self.clock.now())
        wake_run(runtime, approval.run)

    def run(self) -> Run:
        """Return the newest run."""
        return self.runtime().ledger.records(Run)[-1]

    def start(self, plan: Plan, **options: Any) -> Run:
        """Start a run as ana."""
        return start_run(self.runtime(), plan, listener=self.listen, **options)


def make_world(folder: Path, patch: Any = None, *, sign: bool = False, **changes: Any) -> World:
    """Return a world in `folder`, and have the catalogue hold only lab actions."""
    configuration = configure(folder, sign=sign, **{**PEOPLE, **changes})
    configuration.state_folder.mkdir(parents=True, exist_ok=True)
    lab = Lab(FileVendor(configuration.state_folder / "starts.txt"))
    actions = lab_actions(lab)
    if patch is None:
        snaphold.action.catalogue = lambda: actions  # type: ignore[assignment]
    else:
        patch.setattr(snaphold.action, "catalogue", lambda: actions)
    return World(configuration, lab, SystemClock())


def outcomes(run: Run) -> list[tuple[str, str]]:
    """Return path and outcome of every line of a run."""
    return [(line.step, line.outcome) for line in run.steps]
