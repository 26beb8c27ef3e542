"""One run in the hands of one process: what its steps share, and what each of them does."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from snaphold.clock import format_time
from snaphold.context import Context
from snaphold.domain.authority import Approval, ApprovalState
from snaphold.engine.acting import carry_out
from snaphold.engine.approvals import approvers, describe_end, judge, may_decide, name_approval, open_request
from snaphold.engine.frame import judge as judge_run
from snaphold.engine.leaving import RunLeftError
from snaphold.engine.plan import Plan
from snaphold.engine.reachable import reachable
from snaphold.engine.run import Reason, Run, RunStatus, change_run, find_run
from snaphold.engine.steps import Act, Answer, BranchResult, Gate, Listener, StepEvent, Tick
from snaphold.errors import InputError, SnapholdError
from snaphold.runtime import Runtime

LONGEST_BUSY_SECONDS = 60.0
"""A worker that was left behind by another process may still be at a step; then the playbook's `retry` has its say."""
BUSY_PAUSE_SECONDS = 1.0
CANCELLED = "the run was cancelled"


def _nobody_waits() -> None:
    """Tell nobody."""


@dataclass
class Drive:
    """What the steps of a run share in the process that drives it."""

    runtime: Runtime
    plan: Plan
    run: Run
    listener: Listener
    stay_at_gates: bool = True
    left: dict[str, RunLeftError] = field(default_factory=dict[str, RunLeftError])
    finished: set[str] = field(default_factory=set[str])
    changed: threading.Condition = field(default_factory=threading.Condition)
    leaving: threading.Event = field(default_factory=threading.Event)
    ended: Callable[[], None] = _nobody_waits
    """Called whenever a part of the run has ended, from its thread."""
    at_work: Counter[str] = field(default_factory=Counter[str])
    """How many threads of this process each part of the run has; a part that was taken up twice may have two."""

    def watch(self, workflow: str, body: Callable[[], Any]) -> Any:
        """Run the body of a workflow; what stops this process from going on leaves the run instead of failing it."""
        with self.changed:
            self.at_work[workflow] += 1
        try:
            return body()
        except RunLeftError as error:
            self.left[workflow] = error
            raise
        except BaseException as error:
            # Also what is no Exception: DBOS says so that another process has taken the workflow.
            cause = error if isinstance(error, Exception) else SnapholdError("this process has lost the run", str(error))
            left = RunLeftError(cause=cause)
            self.left[workflow] = left
            raise left from error
        finally:
            with self.changed:
                self.at_work[workflow] -= 1
                self.finished.add(workflow)
                self.changed.notify_all()
            self.ended()

    def unattended(self, parts: Iterable[str]) -> frozenset[str]:
        """Return those of the parts that no thread of this process drives, and that were not left either."""
        with self.changed:
            return frozenset(part for part in parts if not self.at_work[part] and part not in self.left)

    def stop_here(self) -> None:
        """Raise RunLeftError when this process was asked to let go."""
        if self.leaving.is_set():
            raise RunLeftError

    def context(self) -> Context:
        """Return the surroundings of the run's actions."""
        context = self.runtime.context(self.plan.incident, justification=self.plan.justification, run=self.run.id)
        return replace(context, ledger=reachable(context.ledger))

    def is_cancelled(self) -> bool:
        """Return whether somebody asked for the run to be cancelled; read anew every time."""
        return bool(find_run(self.runtime.ledger, self.run.id).cancel_requested)

    def now(self) -> str:
        """Return the time as text."""
        return format_time(self.runtime.clock.now())

    def tick(self) -> Tick:
        """Return the time, and whether the run was cancelled."""
        self.stop_here()
        return Tick(self.now(), self.is_cancelled())

    def act(self, act: Act) -> Answer:
        """Carry out an action, unless the run was cancelled. While something else is at it, wait a little."""
        deadline = time.monotonic() + LONGEST_BUSY_SECONDS
        while True:
            self.stop_here()
            if self.is_cancelled():
                now = self.now()
                return Answer("cancelled", now, now, detail=CANCELLED, reason=Reason.CANCELLED)
            # Steps of two playbooks may have one path: what one of them did is not what the other is to do.
            placed = replace(act, path=f"{self.plan.playbook}.{act.path}")
            answer = carry_out(placed, self.context(), self.plan.generation)
            if not answer.busy or time.monotonic() >= deadline:
                return answer
            self.leaving.wait(BUSY_PAUSE_SECONDS)

    def open_gate(self, gate: Gate) -> Mapping[str, str]:
        """Put the question; return when, and why it cannot be put (empty when it could)."""
        self.stop_here()
        try:
            approval = open_request(gate, self.context(), self.run.requested_by)
        except SnapholdError as error:
            return {"began": self.now(), "fault": f"{error.what}: {error.why}"}
        self.note_waiting()
        return {"began": format_time(approval.requested_at), "fault": ""}

    def look_at_gate(self, gate: Gate) -> Mapping[str, Any]:
        """Return how the question stands, and how many seconds are left when it is open."""
        self.stop_here()
        now = self.runtime.clock.now()
        if self.is_cancelled():
            return {"state": "cancelled", "at": format_time(now), "detail": CANCELLED}
        approval = judge(gate, self.context())
        if approval.state is ApprovalState.WAITING:
            if not self.stay_at_gates:
                raise RunLeftError(waiting=True)
            left = (approval.expires_at - now).total_seconds()
            return {"state": "waiting", "left": max(0.0, left), "asked_of": approval.escalated_to or approval.asked_of}
        self.note_waiting()
        return {
            "state": approval.state.value, "at": format_time(now), "id": approval.id, "by": list(approvers(approval)),
            "detail": describe_end(approval),
        }  # fmt: skip

    def describe_gate(self, gate: Gate) -> Mapping[str, Any]:
        """Return what people need to know about an open question."""
        found = self.runtime.ledger.record(Approval, name_approval(self.run.id, gate.path))
        if found is None:
            return {}
        people = list(may_decide(self.runtime.configuration, found))
        return {**found.model_dump(mode="json", exclude={"votes"}), "people": people, "votes": len(found.votes)}

    def grant(self, gate: Gate, by: list[str]) -> Mapping[str, str]:
        """Issue the role that the approved gate grants; return its id, or why it could not be issued."""
        from snaphold.authority import issue_grant

        if gate.grants is None:
            return {"grant": "", "fault": ""}
        try:
            grant = issue_grant(
                self.context(),
                role=gate.grants.role,
                lasts=gate.grants.lasts,
                approvers=by,
                approval_id=name_approval(self.run.id, gate.path),
            )
        except SnapholdError as error:
            return {"grant": "", "fault": f"{error.what}: {error.why}"}
        return {"grant": grant.id, "fault": ""}

    def note_waiting(self) -> None:
        """Keep the register's status equal to whether a question of this run is open."""
        approvals = self.runtime.ledger.records(Approval, self.run.incident)
        is_open = any(one.run == self.run.id and one.state is ApprovalState.WAITING for one in approvals)
        status = RunStatus.WAITING if is_open else RunStatus.RUNNING

        def note(run: Run) -> Run:
            return run if run.has_ended else run.model_copy(update={"status": status})

        self._change("run.wait" if is_open else "run.continue", note)

    def end(self, result: BranchResult) -> str:
        """Record how the run ended; return its status. Repeating it changes nothing."""
        status = judge_run(result)

        def end(run: Run) -> Run:
            if run.has_ended:
                return run
            told = {"reason": result.reason, "why": result.why, "steps": result.lines, "ended_at": self.runtime.clock.now()}
            return run.model_copy(update={"status": status, **told})

        ended = self._change("run.end", end)
        self._sign_ledger()
        return ended.status.value

    def _sign_ledger(self) -> None:
        """Sign the audit trail up to here; only a checkpoint shows a tail that is cut off later.

        A missing signing key cannot undo what the run did: it is told, and `snaphold audit verify` says it too.
        """
        from snaphold.ledger.checkpoint import make_checkpoint

        runtime = self.runtime
        try:
            make_checkpoint(runtime.ledger, runtime.configuration, runtime.actor, incident=self.run.incident, run=self.run.id)
        except InputError as error:
            self.listener(StepEvent("unsigned", "", detail={"why": f"{error.what}; {error.do}"}))

    def _change(self, action: str, change: Callable[[Run], Run]) -> Run:
        runtime = self.runtime
        return change_run(runtime.ledger, self.run.id, runtime.actor, action, change)
