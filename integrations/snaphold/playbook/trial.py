"""Runs a playbook offline on a case: the real interpreter, scripted actions, scripted people. Nothing outside is touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from snaphold.action import AnyAction, catalogue
from snaphold.engine.frame import judge
from snaphold.engine.plan import make_plan
from snaphold.engine.run import Reason, RunStatus, StepLine
from snaphold.playbook.case import CaseError, Expectation, ExpectedAction, LoadedCase
from snaphold.playbook.case_check import case_problems
from snaphold.playbook.coverage import Branch, Coverage, cover
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.scripted import Call, ScriptedSteps
from snaphold.playbook.steppath import names_of
from snaphold.playbook.witness import Witness


@dataclass(frozen=True)
class Trial:
    """How a case went. `differences` from what it expects are sentences; none means that it passed."""

    case: str
    status: RunStatus
    reason: Reason
    why: str
    lines: tuple[StepLine, ...]
    calls: tuple[Call, ...]
    handlers: tuple[str, ...]
    taken: frozenset[Branch]
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything came as expected."""
        return not self.differences


def run_trial(
    loaded: LoadedPlaybook,
    parts: Mapping[str, LoadedPlaybook],
    case: LoadedCase,
    actions: Mapping[str, AnyAction] | None = None,
) -> Trial:
    """Run a playbook on a case and return how it went.

    Raises CaseError with file:line:column when the case does not fit the playbook, PlaybookError for its inputs.
    """
    known = catalogue() if actions is None else actions
    playbooks = {loaded.playbook.name: loaded.playbook, **{name: part.playbook for name, part in parts.items()}}
    problems = case_problems(case, loaded.playbook.name, playbooks, known)
    if problems:
        raise CaseError(f"the case {case.path} has faults", problems)
    incident = case.case.incident.to_incident()
    plan = make_plan(loaded, parts, case.case.inputs, incident)
    script = ScriptedSteps(case, plan.playbooks, plan.playbook, known)
    witness = Witness(plan.playbooks, incident.id, script)
    result = witness.run(plan.playbook, plan.inputs)
    done = Trial(
        case=case.name,
        status=judge(result),
        reason=result.reason,
        why=result.why,
        lines=result.lines,
        calls=tuple(script.calls),
        handlers=tuple(witness.handled),
        taken=frozenset(witness.taken),
        differences=(),
    )
    return replace(done, differences=tuple(_differences(case.case.expect, done)))


def total_coverage(loaded: LoadedPlaybook, trials: Iterable[Trial]) -> Coverage:
    """Return which branches of the playbook itself the trials took together; called playbooks have cases of their own."""
    return cover(loaded.playbook, {branch for trial in trials for branch in trial.taken})


def expected_calls(calls: Sequence[Call]) -> list[Call]:
    """Return the calls as expectations see them: repeated questions about one job count once."""
    kept: list[Call] = []
    for call in calls:
        again = call.poll and kept and kept[-1].poll and (kept[-1].path, kept[-1].items) == (call.path, call.items)
        if not again:
            kept.append(call)
    return kept


def _differences(expect: Expectation, trial: Trial) -> list[str]:
    found: list[str] = []
    if trial.status.value != expect.outcome:
        found.append(f"outcome: expected {expect.outcome}, got {trial.status.value}" + (f" ({trial.why})" if trial.why else ""))
    if expect.reason is not None and trial.reason.value != expect.reason:
        found.append(f"reason: expected {expect.reason}, got {trial.reason.value or 'none'}")
    if expect.why not in trial.why:
        found.append(f"why: expected {expect.why!r} in {trial.why!r}")
    if expect.handlers is not None and trial.handlers != expect.handlers:
        found.append(f"handlers: expected {_names(expect.handlers)}, ran {_names(trial.handlers)}")
    calls = expected_calls(trial.calls)
    found += [f"never: {call.action} was called at {call.path}" for call in calls if call.action in expect.never]
    return found + (_exact(expect.actions, calls) if expect.exact else _in_order(expect.actions, calls))


def _in_order(wanted: Sequence[ExpectedAction], calls: Sequence[Call]) -> list[str]:
    """Find the expected calls one after the other; the first that does not come is named."""
    position = 0
    for number, expected in enumerate(wanted, 1):
        match = next((at for at in range(position, len(calls)) if _fits(expected, calls[at])), None)
        if match is None:
            after = f" after {calls[position - 1].path}" if position else ""
            return [f"action {number}: {_tell(expected)} was not called{after}"]
        position = match + 1
    return []


def _exact(wanted: Sequence[ExpectedAction], calls: Sequence[Call]) -> list[str]:
    for number, (expected, call) in enumerate(zip(wanted, calls, strict=False), 1):
        if not _fits(expected, call):
            return [f"action {number}: expected {_tell(expected)}, got {call.action} at {call.path}"]
    if len(wanted) > len(calls):
        return [f"action {len(calls) + 1}: {_tell(wanted[len(calls)])} was not called"]
    return [f"action {len(wanted) + 1}: {calls[len(wanted)].action} was not expected"] if len(calls) > len(wanted) else []


def _fits(expected: ExpectedAction, call: Call) -> bool:
    at = expected.step in ("", *names_of(call.path, call.item))
    wanted = {name: list(value) if isinstance(value, tuple) else value for name, value in expected.arguments.items()}
    return expected.do == call.action and at and all(call.given.get(name) == value for name, value in wanted.items())


def _tell(expected: ExpectedAction) -> str:
    place = f" at {expected.step}" if expected.step else ""
    given = ", ".join(f"{name}={value}" for name, value in expected.arguments.items())
    return f"{expected.do}{place}" + (f" with {given}" if given else "")


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
