"""What a playbook needs from people: the actions that it uses, the gates, and the roles that they grant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from snaphold.action import AnyAction, Effect
from snaphold.authority import covers, reason_for_grant
from snaphold.clock import format_duration
from snaphold.config import Configuration
from snaphold.playbook.model import Playbook
from snaphold.playbook.step import ApproveStep, DoStep
from snaphold.playbook.walk import every_step


@dataclass(frozen=True)
class ActionDemand:
    """An action in use: its effect, whether it needs a grant, and the roles that may do it (of the configuration)."""

    action: str
    effect: str
    needs_grant: bool
    roles: tuple[str, ...]


@dataclass(frozen=True)
class GateDemand:
    """A gate: who is asked, how many must approve, how long it may wait in all, and the role that it grants."""

    playbook: str
    step: str
    asked_of: str
    escalates_to: str
    quorum: str
    waits: str
    grants: str


def action_demands(
    playbooks: Iterable[Playbook], actions: Mapping[str, AnyAction], configuration: Configuration | None
) -> list[ActionDemand]:
    """Return every action that the playbooks use, by name. Without a configuration the roles are empty."""
    names = {name for playbook in playbooks for name in _actions_of(playbook)}
    return [_demand(name, actions.get(name), configuration) for name in sorted(names)]


def _actions_of(playbook: Playbook) -> Iterable[str]:
    for step in every_step(playbook):
        if isinstance(step, DoStep):
            yield step.do
            if step.poll:
                yield step.poll.do


def _demand(name: str, entry: AnyAction | None, configuration: Configuration | None) -> ActionDemand:
    effect = entry.effect.value if entry else "unknown"
    if configuration is None:
        return ActionDemand(name, effect, effect == Effect.DESTROYS.value, ())
    needs_grant = bool(reason_for_grant(entry, configuration)) if entry else False
    may = tuple(role.name for role in configuration.roles if covers(role.may, name))
    return ActionDemand(name, effect, needs_grant, may)


def gate_demands(playbooks: Iterable[Playbook]) -> list[GateDemand]:
    """Return every gate of the playbooks, in the order of their files."""
    found: list[GateDemand] = []
    for playbook in playbooks:
        for step in every_step(playbook):
            if isinstance(step, ApproveStep):
                question = step.approve
                waits = question.within + question.escalate.within if question.escalate else question.within
                grants = f"{question.grants.role} for {format_duration(question.grants.lasts)}" if question.grants else ""
                found.append(
                    GateDemand(
                        playbook=playbook.name,
                        step=step.id,
                        asked_of=question.asked_of,
                        escalates_to=question.escalate.to if question.escalate else "",
                        quorum=str(question.quorum),
                        waits=format_duration(waits),
                        grants=grants,
                    )
                )
    return found
