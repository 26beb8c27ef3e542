"""Lints calls: the playbook exists, its inputs fit, and no playbook ends up calling itself."""

from __future__ import annotations

from snaphold.documents import suggest
from snaphold.errors import InputError, PlaybookError, SnapholdError
from snaphold.playbook.findings import Subject
from snaphold.playbook.inputs import read_value
from snaphold.playbook.lint_actions import takes
from snaphold.playbook.lint_expressions import check_text
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.reference import ExpressionError, references_in, resolve
from snaphold.playbook.step import CallStep
from snaphold.playbook.walk import Place, every_step, placed_steps


def lint_calls(subject: Subject) -> None:
    """Check every call."""
    for place, step in placed_steps(subject.playbook):
        if isinstance(step, CallStep):
            _call(subject, place, step)


def _call(subject: Subject, place: Place, step: CallStep) -> None:
    if step.at_once is not None and step.for_each is None:
        subject.error_at_key((*place, "at_once"), "at_once needs for_each")
    types = {
        name: check_text(subject, place, (*place, "with", name), value, item=step.for_each is not None)
        if isinstance(value, (str, tuple))
        else None
        for name, value in step.arguments.items()
    }
    try:
        called = subject.find(step.call)
    except PlaybookError as error:
        subject.error((*place, "call"), f"the playbook {step.call!r} has faults of its own", str(error.problems[0]))
        return
    except InputError as error:
        subject.error((*place, "call"), error.what, error.why or "")
        return
    circle = _circle(subject, called, [subject.playbook.name])
    if circle:
        subject.error((*place, "call"), f"the playbook ends up calling itself: {' -> '.join(circle)}")
    declared = called.playbook.inputs
    for name, value in step.arguments.items():
        where: Place = (*place, "with", name)
        declaration = declared.get(name)
        if declaration is None:
            subject.error_at_key(where, f"the playbook {step.call} has no input {name!r}", suggest(name, list(declared)))
        elif _is_literal(value):
            if read_value(resolve(value, {}), declaration.type) is None:
                subject.error(where, f"the playbook {step.call} takes {name} of type {declaration.type.value}")
        else:
            found = types[name]
            if found is not None and found not in takes(declaration.type):
                wanted = f"of type {declaration.type.value}, and this is of type {found.value}"
                subject.error(where, f"the playbook {step.call} takes {name} {wanted}")
    for name, declaration in declared.items():
        if declaration.required and name not in step.arguments:
            at = (*place, "with") if step.arguments else (*place, "call")
            subject.error_at_key(at, f"the playbook {step.call} needs the input {name!r}", declaration.description)


def _is_literal(value: object) -> bool:
    try:
        return not references_in(value)
    except ExpressionError:
        return False


def _circle(subject: Subject, called: LoadedPlaybook, way: list[str]) -> list[str]:
    """Return the names from this playbook back to itself; empty when no way leads back."""
    name = called.playbook.name
    if name == way[0]:
        return [*way, name]
    if name in way:
        return []  # a circle further down, which is reported there
    for step in every_step(called.playbook):
        if isinstance(step, CallStep):
            try:
                inner = subject.find(step.call)
            except SnapholdError:
                continue  # reported where that playbook is checked
            found = _circle(subject, inner, [*way, name])
            if found:
                return found
    return []
