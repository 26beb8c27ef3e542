"""What an approval lets happen: the steps behind its gate, and the gravest thing that they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snaphold.action import Effect, catalogue
from snaphold.clock import format_duration
from snaphold.engine.plan import Plan
from snaphold.playbook.step import ApproveStep, CallStep, DoStep, StepBase
from snaphold.targets.flow import APPROVED, DENIED, ERROR, NodeKind, build_flow

RISKS = {
    Effect.READS: "It only reads.",
    Effect.WRITES: "It starts or changes something; nothing is deleted.",
    Effect.DESTROYS: "It deletes for good. That cannot be undone.",
}
_ORDER = (Effect.READS, Effect.WRITES, Effect.DESTROYS)


@dataclass(frozen=True)
class Consequence:
    """One step: what it is called, its action (or the playbook that it calls), and what that does to the world."""

    title: str
    action: str
    effect: str


@dataclass(frozen=True)
class Guarded:
    """What follows a gate: until the end or the next gate, when it is approved; and when it is denied."""

    approved: tuple[Consequence, ...]
    denied: tuple[Consequence, ...]
    risk: str
    grant: str = ""


def guarded_by(plan: Plan, path: str) -> Guarded | None:
    """Return what the gate at `path` (a path of step ids) guards; None when it is inside a called playbook."""
    flow = build_flow(plan.root)
    gate = path.rpartition(".")[2]
    node = next((node for node in flow.nodes if node.id == gate and node.kind is NodeKind.APPROVAL), None)
    if node is None or not isinstance(node.step, ApproveStep):
        return None

    def beyond(label: str) -> list[StepBase]:
        found: list[StepBase] = []
        ahead = [edge.target for edge in flow.leaving(node.id) if edge.label == label]
        seen: set[str] = set()
        while ahead:
            id = ahead.pop(0)
            if id in seen:
                continue
            seen.add(id)
            there = flow.node(id)
            if there.step is not None and there.kind in (NodeKind.ACTION, NodeKind.CALL):
                found.append(there.step)
            if there.kind is not NodeKind.APPROVAL:
                ahead += [edge.target for edge in flow.leaving(id) if edge.label != ERROR]
        return found

    approved = _consequences(beyond(APPROVED), plan)
    effects = {Effect(one.effect) for one in approved} or {Effect.READS}
    grants = node.step.approve.grants
    return Guarded(
        approved=approved,
        denied=_consequences(beyond(DENIED), plan),
        risk=RISKS[max(effects, key=_ORDER.index)],
        grant=f"the role {grants.role} for {format_duration(grants.lasts)}" if grants else "",
    )


def _consequences(steps: Sequence[StepBase], plan: Plan) -> tuple[Consequence, ...]:
    known = catalogue()
    found: list[Consequence] = []
    for step in steps:
        if isinstance(step, DoStep) and step.do in known:
            entry = known[step.do]
            found.append(Consequence(step.title or entry.title, step.do, entry.effect.value))
        elif isinstance(step, CallStep):
            found.append(Consequence(step.title or step.call, step.call, _gravest(step.call, plan, set()).value))
    return tuple(dict.fromkeys(found))


def _gravest(name: str, plan: Plan, seen: set[str]) -> Effect:
    """Return the gravest effect of a called playbook and all that it calls; of one that is not known, the gravest there is."""
    playbook = plan.playbooks.get(name)
    if playbook is None:
        return Effect.DESTROYS
    if name in seen:
        return Effect.READS
    seen.add(name)
    known = catalogue()
    effects = [Effect.READS]
    for node in build_flow(playbook).nodes:
        if isinstance(node.step, DoStep):
            effects.append(known[node.step.do].effect if node.step.do in known else Effect.DESTROYS)
        elif isinstance(node.step, CallStep):
            effects.append(_gravest(node.step.call, plan, seen))
    return max(effects, key=_ORDER.index)
