"""The reference page of the shipped playbooks: what each does, its gates, its deadlines, and who is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snaphold.action import AnyAction
from snaphold.clock import format_duration
from snaphold.playbook.case import LoadedCase
from snaphold.playbook.coverage import branches
from snaphold.playbook.demands import action_demands, gate_demands
from snaphold.playbook.load import PARTS, LoadedPlaybook
from snaphold.playbook.model import Playbook
from snaphold.playbook.step import ApproveStep, CallStep, DoStep
from snaphold.playbook.walk import every_step
from snaphold.targets.docs import table

_HEAD = """\
# Playbooks

Generated from the playbooks and their cases by `make docs`; edit those, not this page. `snaphold playbook show NAME`
shows every step, and `snaphold playbook test NAME` runs the cases. [The language](playbook-language.md) and
[how to write one](../how-to/write-a-playbook.md) have pages of their own.
"""
_CONTACT_FIELDS = ("contact", "next")


@dataclass(frozen=True)
class Shipped:
    """One playbook, all that it calls, and its cases."""

    loaded: LoadedPlaybook
    parts: Mapping[str, LoadedPlaybook]
    cases: Sequence[LoadedCase]

    @property
    def playbook(self) -> Playbook:
        """The playbook."""
        return self.loaded.playbook

    @property
    def everything(self) -> list[Playbook]:
        """The playbook and all that it calls."""
        return [self.playbook, *(part.playbook for part in self.parts.values())]


def playbooks_reference(shipped: Sequence[Shipped], actions: Mapping[str, AnyAction]) -> str:
    """Return the page as Markdown: a summary, then one section for each playbook, then the parts."""
    whole = [one for one in shipped if one.loaded.path.parent.name != PARTS]
    parts = [one for one in shipped if one not in whole]
    rows = [
        (f"[`{one.playbook.name}`](#{one.playbook.name})", str(one.playbook.metadata.severity), _people(one)) for one in whole
    ]
    lines = [_HEAD, *table(("Playbook", "Severity", "Who is needed"), rows)]
    lines += ["", "## Roles and contacts", "", *_roles(shipped)]
    for one in whole:
        lines += ["", f"## {one.playbook.name}", "", *_section(one, actions)]
    lines += ["", "## Parts", "", "Playbooks that others call. They can be run alone too."]
    for one in parts:
        lines += ["", f"### {one.playbook.name}", "", *_section(one, actions)]
    return "\n".join(lines) + "\n"


def roles_of(playbook: Playbook) -> set[str]:
    """Return the roles that a playbook itself names: whom it asks, and what an approval grants."""
    found: set[str] = set()
    for step in every_step(playbook):
        if isinstance(step, ApproveStep):
            question = step.approve
            asked = [question.asked_of, *([question.escalate.to] if question.escalate else [])]
            found |= {name.partition("/")[2] for name in asked if name.startswith("group/")}
            if question.grants:
                found.add(question.grants.role)
    return found


def contacts_of(playbook: Playbook) -> set[str]:
    """Return the contacts that a playbook itself names in its steps and in the defaults of its inputs."""
    found = {str(playbook.inputs[name].default) for name in _CONTACT_FIELDS if name in playbook.inputs}
    for step in every_step(playbook):
        if isinstance(step, (DoStep, CallStep)):
            given = [str(step.arguments[name]) for name in _CONTACT_FIELDS if name in step.arguments]
            found |= {name for name in given if "$" not in name}
    return found


def _roles(shipped: Sequence[Shipped]) -> list[str]:
    roles = sorted({role for one in shipped for role in roles_of(one.playbook)})
    contacts = sorted({contact for one in shipped for contact in contacts_of(one.playbook)})
    return [
        "The configuration must have these roles, with enough members besides the person who starts the run:",
        ", ".join(f"`{role}`" for role in roles) + ".",
        "It should list these contacts: " + ", ".join(f"`{contact}`" for contact in contacts) + ".",
    ]


def _link(name: str) -> str:
    return f"[`{name}`](#{name})"


def _people(one: Shipped) -> str:
    return ", ".join(f"`{role}`" for role in sorted({role for playbook in one.everything for role in roles_of(playbook)})) or "-"


def _section(one: Shipped, actions: Mapping[str, AnyAction]) -> list[str]:
    metadata = one.playbook.metadata
    lines = [f"{metadata.description}", "", f"Version {metadata.version}, change record {metadata.change_record}."]
    called = sorted({step.call for step in every_step(one.playbook) if isinstance(step, CallStep)})
    if called:
        lines.append("Calls " + ", ".join(map(_link, called)) + ".")
    inputs = [
        (f"`{name}`", declared.type.value, "required" if declared.required else _default(declared.default), declared.description)
        for name, declared in one.playbook.inputs.items()
    ]
    if inputs:
        lines += ["", *table(("Input", "Type", "Default", "Description"), inputs)]
    gates = [
        (f"`{gate.step}`", gate.asked_of, gate.escalates_to or "-", gate.quorum, gate.waits, gate.grants or "-")
        for gate in gate_demands([one.playbook])
    ]
    if gates:
        lines += ["", *table(("Gate", "Asks", "Then", "Quorum", "Waits in all", "An approval grants"), gates)]
    deadlines = list(_deadlines(one.playbook))
    if deadlines:
        lines += ["", *table(("Step", "Deadline", "When it passes"), deadlines)]
    demands = action_demands([one.playbook], actions, None)
    if demands:
        lines += ["", "Actions: " + ", ".join(f"`{demand.action}` ({demand.effect})" for demand in demands) + "."]
    return [*lines, "", *_cases(one)]


def _default(value: object) -> str:
    return "(empty)" if value in ("", ()) else f"`{'true' if value is True else 'false' if value is False else value}`"


def _deadlines(playbook: Playbook) -> Iterator[tuple[str, str, str]]:
    last = playbook.metadata.on_error
    for step in every_step(playbook):
        if isinstance(step, ApproveStep):
            question = step.approve
            waits = question.within + question.escalate.within if question.escalate else question.within
            yield f"`{step.id}`", format_duration(waits), _then(step.on_timeout)
        elif isinstance(step, DoStep):
            fails = (
                f"`{step.on_error.run}`, then {step.on_error.then}" if step.on_error else f"`{last}`, then stop" if last else ""
            )
            if step.timeout:
                yield (
                    f"`{step.id}`",
                    f"{format_duration(step.timeout)} for each attempt",
                    fails or "the caller's handler, then stop",
                )
            if step.poll:
                yield (
                    f"`{step.id}`",
                    f"{format_duration(step.poll.within)} for its job",
                    fails or "the caller's handler, then stop",
                )


def _then(decision: str) -> str:
    return decision if decision in ("stop", "continue") else f"`{decision}`, then stop"


def _cases(one: Shipped) -> list[str]:
    count = len(branches(one.playbook))
    taken = f"take all {count} branches" if count else "walk it; it has no branches of its own"
    return [f"{len(one.cases)} cases {taken}:", "", *(f"- {case.name}: {case.case.metadata.description}" for case in one.cases)]
