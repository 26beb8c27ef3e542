"""Lints references and conditions: every name exists, always ran before, and has the type that is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from snaphold.documents import suggest
from snaphold.playbook.annotation import given_types
from snaphold.playbook.condition import parse_condition, type_fault
from snaphold.playbook.findings import Subject
from snaphold.playbook.reference import INPUTS, ITEM, RESULT, ExpressionError, Reference, references_in, whole_reference
from snaphold.playbook.step import ApproveStep, CallStep, DoStep, IfStep, Poll, StopStep, SwitchStep
from snaphold.playbook.valuetype import ValueType
from snaphold.playbook.walk import Place, placed_steps


def lint_expressions(subject: Subject) -> None:
    """Check every condition and every text with references; `with` is checked where its types are known."""
    for place, step in placed_steps(subject.playbook):
        if isinstance(step, IfStep):
            _condition(subject, place, (*place, "if"), step.condition)
        elif isinstance(step, SwitchStep):
            _switch(subject, place, step)
        elif isinstance(step, ApproveStep):
            check_text(subject, place, (*place, "approve", "ask"), step.approve.ask)
            if isinstance(step.approve.quorum, str):
                found = check_text(subject, place, (*place, "approve", "quorum"), step.approve.quorum)
                if found not in (None, ValueType.INTEGER):
                    subject.error((*place, "approve", "quorum"), f"a quorum is a whole number, and this is of type {found.value}")
        elif isinstance(step, StopStep):
            check_text(subject, place, (*place, "stop"), step.stop)
        elif isinstance(step, CallStep) and step.for_each is not None:
            found = check_text(subject, place, (*place, "for_each"), step.for_each)
            if found not in (None, ValueType.LIST):
                subject.error((*place, "for_each"), f"for_each needs a list, and {step.for_each} is of type {found.value}")
        elif isinstance(step, DoStep) and step.poll:
            _poll_conditions(subject, place, step, step.poll)


def _condition(subject: Subject, place: Place, where: Place, text: str, polled: DoStep | None = None) -> None:
    try:
        condition = parse_condition(text)
    except ExpressionError as error:
        subject.malformed(where, error)
        return
    for comparison in condition.comparisons:
        found = type_of_reference(subject, place, where, comparison.reference, polled=polled)
        fault = type_fault(found, comparison) if found else ""
        if fault:
            subject.error_within(where, comparison.column, fault)


def _poll_conditions(subject: Subject, place: Place, step: DoStep, poll: Poll) -> None:
    for key, text in (("until", poll.until), ("fail", poll.fail)):
        _condition(subject, place, (*place, "poll", key), text, polled=step)
    if poll.until.split() == poll.fail.split():
        subject.error((*place, "poll", "fail"), "until and fail are the same condition: nothing could tell done from failed")


def _switch(subject: Subject, place: Place, step: SwitchStep) -> None:
    found = check_text(subject, place, (*place, "switch"), step.switch)
    if found is ValueType.LIST:
        subject.error((*place, "switch"), f"{step.switch} is a list, and a list cannot be compared")
    for key in step.cases:
        wrong = (found is ValueType.BOOLEAN and key not in ("true", "false")) or (
            found is ValueType.INTEGER and not key.lstrip("-").isdigit()
        )
        if wrong and found:
            subject.error_at_key((*place, "cases", key), f"the case {key!r} never holds: {step.switch} is of type {found.value}")


def check_text(
    subject: Subject, place: Place, where: Place, value: object, *, item: bool = False, own: DoStep | None = None
) -> ValueType | None:
    """Check the references in a value and return the type that it will have; None when that cannot be told."""
    if isinstance(value, (list, tuple)):
        for index, element in enumerate(cast("Sequence[object]", value)):
            check_text(subject, place, (*where, index), element, item=item, own=own)
        return ValueType.LIST
    try:
        references = references_in(value)
        whole = whole_reference(value)
    except ExpressionError as error:
        subject.malformed(where, error)
        return None
    types = [type_of_reference(subject, place, where, reference, item=item, own=own) for reference in references]
    return types[0] if whole is not None else ValueType.STRING


def type_of_reference(
    subject: Subject,
    place: Place,
    where: Place,
    reference: Reference,
    *,
    item: bool = False,
    own: DoStep | None = None,
    polled: DoStep | None = None,
) -> ValueType | None:
    """Return the declared type of a reference used in the step at `place`; None, with an error recorded, when it has none.

    `item`: `$item` may be used. `own`: the step whose own first output may be used. `polled`: `$result` is its poll's.
    """
    scope, field = reference.scope, reference.field
    subject.used.add((scope, field))
    if scope == ITEM:
        if not item:
            _complain(subject, where, reference, "$item stands only in the `with` of a call that has for_each")
        return ValueType.STRING if item else None
    if scope == RESULT:
        return _type_of_result(subject, where, reference, polled)
    if scope == INPUTS:
        declaration = subject.playbook.inputs.get(field)
        if declaration is None:
            _unknown(subject, where, reference, f"there is no input {field!r}", field, subject.playbook.inputs)
        return declaration.type if declaration else None
    return _type_of_output(subject, place, where, reference, own or polled)


def _type_of_output(subject: Subject, place: Place, where: Place, reference: Reference, own: DoStep | None) -> ValueType | None:
    name, field = reference.scope, reference.field
    known = subject.scope
    if name not in known.places:
        _unknown(subject, where, reference, f"there is no step {name!r}", name, known.places)
        return None
    outputs = known.outputs[name]
    if field not in outputs:
        hint = suggest(field, list(outputs)) or f"declare it under out of {name}"
        _complain(subject, where, reference, f"the step {name!r} declares no output {field!r}", hint)
        return None
    if own is not None and name == own.id:
        started = subject.actions.get(own.do)
        if started is not None and field not in started.result.model_fields:
            _complain(subject, where, reference, f"{reference} is only known when the poll has ended")
    elif name not in known.before.get(place, frozenset()):
        why = known.uncertain.get(name) or "it does not come before this one"
        _complain(subject, where, reference, f"the step {name!r} does not always run before this one", why)
    return outputs[field]


def _type_of_result(subject: Subject, where: Place, reference: Reference, polled: DoStep | None) -> ValueType | None:
    if polled is None or polled.poll is None:
        _complain(subject, where, reference, "$result stands only in until and fail of a poll")
        return None
    entry = subject.actions.get(polled.poll.do)
    if entry is None:
        return None
    info = entry.result.model_fields.get(reference.field)
    if info is None:
        fields = list(entry.result.model_fields)
        _unknown(subject, where, reference, f"{entry.name} has no output {reference.field!r}", reference.field, fields)
        return None
    types = given_types(info)
    return next(iter(types)) if len(types) == 1 else None


def _unknown(subject: Subject, where: Place, reference: Reference, message: str, word: str, known: Iterable[str]) -> None:
    _complain(subject, where, reference, message, suggest(word, list(known)))


def _complain(subject: Subject, where: Place, reference: Reference, message: str, hint: str = "") -> None:
    subject.error_within(where, reference.column, message, hint)
