"""A dry run: reads happen, writes are shown by their examples, questions are shown and taken as approved.

Nothing is written to the ledger. What rests on an example is an example too, also when it only reads: a job that was
never started has no state to ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from snaphold.action import Effect, find_action
from snaphold.clock import format_time
from snaphold.engine.acting import carry_out, example, would
from snaphold.engine.approvals import check_people
from snaphold.engine.interpreter import Interpreter
from snaphold.engine.plan import Plan
from snaphold.engine.run import Reason
from snaphold.engine.steps import Act, Answer, Branch, BranchResult, Gate, Listener, RunBranch, StepEvent, Tick, nobody
from snaphold.errors import SnapholdError
from snaphold.runtime import Runtime


def rehearse(runtime: Runtime, plan: Plan, listener: Listener = nobody) -> BranchResult:
    """Walk a plan without changing anything and return how the run would go."""
    steps = DrySteps(runtime, plan, listener)
    return Interpreter(plan.playbooks, plan.incident.id, steps, listener).run(plan.playbook, plan.inputs)


class DrySteps:
    """The surroundings of a dry run. Pauses take no time; the clock is put forward by them instead."""

    def __init__(self, runtime: Runtime, plan: Plan, listener: Listener) -> None:
        self.runtime = runtime
        self.plan = plan
        self.listener = listener
        self.granted: list[str] = []
        self._ahead = timedelta(0)

    def act(self, act: Act) -> Answer:
        """Carry out what only reads; give an example for the rest."""
        try:
            reads = find_action(act.action).effect is Effect.READS
            if reads and act.imagined:
                return self._later(example(act, self.runtime.clock))
        except SnapholdError as error:
            now = self._now()
            return Answer("failed", now, now, detail=error.what, reason=Reason.FAILED)
        context = self.runtime.context(self.plan.incident, justification=self.plan.justification, dry_run=True)
        answer = carry_out(act, context, self.plan.generation)
        if answer.reason is Reason.NOT_AUTHORISED and self.granted:
            shown = example(act, self.runtime.clock)
            return self._later(replace(shown, findings=(*shown.findings, f"needs the grant of {', '.join(self.granted)}")))
        if reads or answer.reason is not Reason.NONE:
            return self._later(answer)
        return self._later(replace(answer, detail=would(act), findings=(), imagined=True))

    def ask(self, gate: Gate) -> Answer:
        """Show the question and go on as if it were approved."""
        now = self._now()
        try:
            able = check_people(self.runtime.configuration, gate, self.runtime.actor.id)
        except SnapholdError as error:
            return Answer("failed", now, now, detail=f"{error.what}: {error.why}", reason=Reason.FAILED)
        detail = {"ask": gate.ask, "asked_of": gate.asked_of, "people": list(able), "needed": gate.needed}
        self.listener(StepEvent("waiting", gate.path, detail=detail))
        if gate.grants is not None:
            self.granted.append(gate.grants.role)
        return Answer("approved", now, now, detail=f"would wait for {gate.needed} of {', '.join(able)}")

    def pause(self, length: timedelta) -> Tick:
        """Put the clock forward."""
        self._ahead += length
        return Tick(self._now())

    def side_by_side(self, branches: Sequence[Branch], at_once: int, run: RunBranch) -> list[BranchResult]:
        """Run branches one after the other; those that would have started already are run after a failure too."""
        results: list[BranchResult] = []
        started = min(at_once, len(branches))
        while len(results) < started:
            results.append(run(branches[len(results)]))
            if all(result.reason is Reason.NONE for result in results):
                started = min(started + 1, len(branches))
        return results

    def _now(self) -> str:
        return format_time(self.runtime.clock.now() + self._ahead)

    def _later(self, answer: Answer) -> Answer:
        return replace(answer, began=self._now(), at=self._now())
