"""Runs as the register knows them: what ran, for which incident, at whose request, and how it ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import Field

from snaphold.clock import Clock
from snaphold.config import Configuration
from snaphold.domain.people import Actor
from snaphold.domain.value import Identifier, Moment, Value
from snaphold.errors import EXIT_DONE, EXIT_FAILED, EXIT_FINDINGS, EXIT_NOT_AUTHORISED, EXIT_TIMED_OUT, EXIT_WAITING, InputError
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.ledger import Ledger

Also = Callable[[Any], None]
"""Done inside the transaction of a write, on its connection."""


class RunStatus(str, Enum):
    """Where a run stands. `unknown`: it ended on a step of which nobody can say whether it happened."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


ENDED = frozenset({RunStatus.DONE, RunStatus.PARTIAL, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.UNKNOWN})


class Reason(str, Enum):
    """Why a run ended before its last step."""

    NONE = ""
    FAILED = "failed"
    UNKNOWN = "unknown"
    DENIED = "denied"
    NOT_AUTHORISED = "not_authorised"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class StepLine(Value):
    """One step as it went: its path, what came out of it and how long it took, waiting included."""

    step: str = Field(description="Path of ids; a called playbook's steps stand below the call.")
    title: str = ""
    what: str = Field(default="", description="The action, or approve, call, stop.")
    item: str = Field(default="", description="The item of for_each that it ran for.")
    outcome: str = Field(description="succeeded, partial, failed, unknown, approved, denied, expired or cancelled.")
    seconds: float = 0.0
    detail: str = Field(default="", description="Why it failed, or who decided.")
    findings: tuple[str, ...] = ()


class Run(Value):
    """One run of one playbook for one incident."""

    id: Identifier
    incident: Identifier
    playbook: str
    version: str
    digest: str = Field(description="SHA-256 of the playbook's file.")
    change_record: str = ""
    plan_sha256: str = Field(default="", description="SHA-256 of the pinned plan: all playbooks, inputs and the incident.")
    status: RunStatus = RunStatus.RUNNING
    reason: Reason = Reason.NONE
    why: str = ""
    requested_by: Identifier
    login: str = Field(default="", description="The account, or the API token, with which it was asked for.")
    justification: str = ""
    started_at: Moment
    ended_at: Moment | None = None
    cancel_requested: str = Field(default="", description="Who asked for it to be cancelled.")
    generation: int = Field(default=1, ge=1)
    steps: tuple[StepLine, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen in it."""
        return self.status in ENDED

    @property
    def exit_code(self) -> int:
        """The exit code that tells a script where the run stands."""
        if self.status in (RunStatus.RUNNING, RunStatus.WAITING):
            return EXIT_WAITING
        if self.status in (RunStatus.DONE, RunStatus.PARTIAL):
            return EXIT_DONE if self.status is RunStatus.DONE else EXIT_FINDINGS
        by_reason = {
            Reason.DENIED: EXIT_NOT_AUTHORISED,
            Reason.NOT_AUTHORISED: EXIT_NOT_AUTHORISED,
            Reason.TIMED_OUT: EXIT_TIMED_OUT,
        }
        return by_reason.get(self.reason, EXIT_FAILED)


def name_run(incident: str, playbook: str, generation: int) -> str:
    """Return the run's id. The same incident, playbook and generation are the same run, so nothing starts twice."""
    text = f"{incident}\n{playbook}\n{generation}"
    return f"RUN-{incident}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def runs_folder(configuration: Configuration) -> Path:
    """Return the folder that holds, for each run, its plan, its state and its lock."""
    return configuration.state_folder / "runs"


def driver_lock(configuration: Configuration, run: str) -> Path:
    """Return the lock that the one process that drives the run holds."""
    return runs_folder(configuration) / f"{run}.lock"


def record_lock(configuration: Configuration, run: str) -> Path:
    """Return the lock under which a run's record is changed, for `Ledger.turn`."""
    return runs_folder(configuration) / f"{run}.record-lock"


def is_driven(configuration: Configuration, ledger: Ledger, run: str) -> bool:
    """Return whether a living process drives the run now."""
    from snaphold.engine.locks import is_held
    from snaphold.engine.tenures import driver_of
    from snaphold.ledger.database import DatabaseLedger

    if not configuration.database and is_held(driver_lock(configuration, run)):
        return True
    return isinstance(ledger, DatabaseLedger) and driver_of(ledger, run) is not None


def find_run(ledger: Ledger, run: str) -> Run:
    """Return a run. Raises InputError when there is none of that id."""
    found = ledger.record(Run, run)
    if found is None:
        raise _no_such(run)
    return found


def _no_such(run: str) -> InputError:
    return InputError(f"there is no run {run!r}", do="snaphold runs list")


def write_run(ledger: Ledger, run: Run, actor: Actor, action: str, *, also: Also | None = None) -> Run:
    """Write a run's record with its entry in the audit trail; return it. `also` is done in the same transaction."""
    entry = _entry_of(run, actor, action)
    if also is None:
        ledger.append(entry, [run])
    else:
        ledger.append(entry, [run], also=also)
    return run


def _entry_of(run: Run, actor: Actor, action: str) -> NewEntry:
    return NewEntry(
        event=Event.RUN,
        actor=actor.id,
        login=actor.login,
        incident=run.incident,
        run=run.id,
        action=action,
        justification=run.justification,
        outcome=run.status.value,
        detail={
            "playbook": run.playbook,
            "version": run.version,
            "digest": run.digest,
            "change_record": run.change_record,
            "generation": run.generation,
            "reason": run.reason.value,
            "why": run.why,
        },
    )


def change_run(ledger: Ledger, run: str, actor: Actor, action: str, change: Callable[[Run], Run]) -> Run:
    """Change a run's record so that no other process's change is lost; return it. Writes nothing when nothing changed."""
    found: list[Run] = []

    def amended(before: Run | None) -> tuple[NewEntry, Run] | None:
        if before is None:
            raise _no_such(run)
        found.append(change(before))
        return None if found[0] == before else (_entry_of(found[0], actor, action), found[0])

    ledger.amend(Run, run, amended)
    return found[0]


def request_cancel(configuration: Configuration, ledger: Ledger, run: str, actor: Actor, clock: Clock) -> Run:
    """Have a run stop before its next action, for good; return it. A run that nobody drives is ended here and now.

    Raises InputError when it has ended already.
    """

    def cancel(run: Run) -> Run:
        if run.has_ended:
            raise InputError(f"{run.id} has ended already", f"its status is {run.status.value}")
        return run if run.cancel_requested else run.model_copy(update={"cancel_requested": actor.id})

    def end(run: Run) -> Run:
        ended = {"status": RunStatus.CANCELLED, "reason": Reason.CANCELLED, "ended_at": clock.now()}
        return run if run.has_ended else run.model_copy(update={**ended, "why": f"cancelled by {actor.id}"})

    changed = change_run(ledger, run, actor, "run.cancel", cancel)
    if is_driven(configuration, ledger, run):
        return changed
    return change_run(ledger, run, actor, "run.end", end)
