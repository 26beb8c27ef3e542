"""Lints gates: they fail closed, can be passed by somebody, and stand before everything that destroys."""

from __future__ import annotations

from collections.abc import Sequence

from snaphold.action import Effect
from snaphold.clock import format_duration
from snaphold.documents import suggest
from snaphold.errors import SnapholdError
from snaphold.playbook.findings import Subject
from snaphold.playbook.scope import fails_open
from snaphold.playbook.step import CONTINUE, ApproveStep, CallStep, DoStep, StepBase
from snaphold.playbook.walk import Place, lists_in, placed_steps, walk


def lint_gates(subject: Subject) -> None:
    """Check every gate, and every action that needs one."""
    _follow(subject, subject.playbook.steps, ("steps",), [])
    for name, steps in subject.playbook.handlers.items():
        _follow(subject, steps, ("handlers", name), [])
    for place, step in placed_steps(subject.playbook):
        if isinstance(step, ApproveStep):
            _people(subject, place, step)
    _destroyers(subject)


def _follow(subject: Subject, steps: Sequence[StepBase], place: Place, after: Sequence[StepBase]) -> None:
    """Check each gate of a list against what comes after it, up to the end of the playbook."""
    for index, step in enumerate(steps):
        here: Place = (*place, index)
        rest = [*(inner for _, inner in walk(steps[index + 1 :], ())), *after]
        if isinstance(step, ApproveStep) and fails_open(step):
            _open_gate(subject, here, step, rest)
        for inner in lists_in(step, here):
            _follow(subject, inner.steps, inner.place, rest)


def _open_gate(subject: Subject, place: Place, step: ApproveStep, rest: Sequence[StepBase]) -> None:
    writer = next((later for later in rest if changes_something(subject, later, set())), None)
    for key, then in (("on_denied", step.on_denied), ("on_timeout", step.on_timeout)):
        if then != CONTINUE:
            continue
        if writer is not None:
            hint = "write stop, or the name of a handler"
            subject.error((*place, key), f"the gate fails open, and {writer.id!r} after it changes something", hint)
        else:
            subject.warn((*place, key), f"the gate fails open: without an approval the run goes on ({key}: continue)")


def changes_something(subject: Subject, step: StepBase, seen: set[str]) -> bool:
    """Return whether a step writes or destroys; what cannot be looked up is taken to."""
    if isinstance(step, DoStep):
        entry = subject.actions.get(step.do)
        return entry is None or entry.effect is not Effect.READS
    if not isinstance(step, CallStep) or step.call in seen:
        return False
    seen.add(step.call)
    try:
        called = subject.find(step.call).playbook
    except SnapholdError:
        return True
    return any(changes_something(subject, inner, seen) for _, inner in walk(called.steps, ()))


def _people(subject: Subject, place: Place, step: ApproveStep) -> None:
    question = step.approve
    asked: list[tuple[Place, str]] = [((*place, "approve", "from"), question.asked_of)]
    if question.escalate:
        asked.append(((*place, "approve", "escalate", "to"), question.escalate.to))
        if question.escalate.to == question.asked_of:
            subject.warn(asked[1][0], "the escalation asks the same people again")
    for where, approver in asked:
        kind, _, name = approver.partition("/")
        needed = question.quorum if isinstance(question.quorum, int) else 1
        if kind == "individual" and needed > 1:
            subject.error(where, f"one person cannot give {needed} approvals", "ask a group")
        _known(subject, where, kind, name, needed)
    if question.grants and subject.configuration is not None:
        roles = [role.name for role in subject.configuration.roles]
        if question.grants.role not in roles:
            hint = suggest(question.grants.role, roles) or "add it under roles in snaphold.yaml"
            subject.error((*place, "approve", "grants", "role"), f"there is no role {question.grants.role!r}", hint)
        longest = subject.configuration.authority.longest_grant
        if question.grants.lasts > longest:
            lasts, most = format_duration(question.grants.lasts), format_duration(longest)
            subject.error(
                (*place, "approve", "grants", "for"), f"a grant of {lasts} is longer than authority.longest_grant, {most}"
            )


def _known(subject: Subject, where: Place, kind: str, name: str, needed: int) -> None:
    """Check an approver against the configuration, when there is one."""
    if subject.configuration is None:
        return
    members = {role.name: role.members for role in subject.configuration.roles}
    known = list(members) if kind == "group" else [person.id for person in subject.configuration.people]
    if name not in known:
        hint = suggest(name, known) or "add it to snaphold.yaml"
        subject.error(where, f"there is no {kind} {name!r}", hint)
    elif kind == "group" and len(members[name]) < needed:
        subject.error(where, f"the group {name!r} has {len(members[name])} members, and {needed} must approve")


def _destroyers(subject: Subject) -> None:
    granting = {
        step.id
        for _, step in placed_steps(subject.playbook)
        if isinstance(step, ApproveStep) and step.approve.grants and not fails_open(step)
    }
    for place, step in placed_steps(subject.playbook):
        entry = subject.actions.get(step.do) if isinstance(step, DoStep) else None
        if entry is not None and entry.effect is Effect.DESTROYS and not granting & subject.scope.before[place]:
            subject.error(
                (*place, "do"),
                f"{entry.name} destroys, and no approval that grants a role always comes before it",
                "put an approve step with grants before it, in the same list",
            )
