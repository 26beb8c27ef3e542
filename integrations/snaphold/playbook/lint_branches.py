"""Lints branches: every literal can occur, every switch says what happens otherwise, no condition is decided beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snaphold.playbook.annotation import choices_of
from snaphold.playbook.condition import Comparison, parse_condition
from snaphold.playbook.findings import Subject
from snaphold.playbook.reference import RESULT, ExpressionError, Reference, parse_reference
from snaphold.playbook.step import DoStep, IfStep, SwitchStep
from snaphold.playbook.valuetype import ValueType
from snaphold.playbook.walk import Place, every_step, placed_steps
from snaphold.validation import suggest

_BOTH = ("true", "false")


def lint_branches(subject: Subject) -> None:
    """Check every condition and every switch for branches that are never, or always, taken."""
    for place, step in placed_steps(subject.playbook):
        if isinstance(step, SwitchStep):
            _switch(subject, place, step)
        for where, text, polled in _conditions(place, step):
            _condition(subject, where, text, polled)


def _conditions(place: Place, step: object) -> Iterator[tuple[Place, str, DoStep | None]]:
    if isinstance(step, IfStep):
        yield (*place, "if"), step.condition, None
    elif isinstance(step, DoStep) and step.poll:
        yield (*place, "poll", "until"), step.poll.until, step
        yield (*place, "poll", "fail"), step.poll.fail, step


def _condition(subject: Subject, where: Place, text: str, polled: DoStep | None) -> None:
    try:
        condition = parse_condition(text)
    except ExpressionError:
        return  # reported where expressions are checked
    for comparison in condition.comparisons:
        choices = possible_texts(subject, comparison.reference, polled)
        equality = comparison.operator in ("==", "!=") and isinstance(comparison.literal, str)
        if choices and equality and comparison.literal not in choices:
            message = f"{comparison.reference} is never {comparison.literal!r}"
            subject.error_within(where, comparison.column, message, _instead(str(comparison.literal), choices))
    decided = _decided(condition.comparisons, condition.joiner)
    if decided:
        subject.error(where, decided)


def _decided(comparisons: Sequence[Comparison], joiner: str) -> str:
    """Return why a condition has one answer whatever the values are; empty when it depends on them."""
    operator, verdict = ("==", "never") if joiner == "and" else ("!=", "always")
    seen: dict[str, set[str | int | bool]] = {}
    for comparison in comparisons:
        if comparison.operator == operator:
            seen.setdefault(str(comparison.reference), set()).add(comparison.literal)
    twice = [name for name, literals in seen.items() if len(literals) > 1]
    return f"the condition {verdict} holds: {twice[0]} cannot be two values at once" if twice else ""


def _switch(subject: Subject, place: Place, step: SwitchStep) -> None:
    try:
        choices = possible_texts(subject, parse_reference(step.switch), None)
    except ExpressionError:
        return
    for key in step.cases:
        if choices and key not in choices:
            subject.error_at_key((*place, "cases", key), f"{step.switch} is never {key!r}", _instead(key, choices))
    missing = [choice for choice in choices if choice not in step.cases]
    if step.default is None and step.cases and (missing or not choices):
        some = f": it can also be {', '.join(missing)}" if missing else ""
        hint = "write default; a stop with a reason is enough"
        subject.error_at_key((*place, "switch"), f"the switch has no default for other values of {step.switch}{some}", hint)
    if step.default is not None and choices and not missing:
        subject.error_at_key((*place, "default"), f"default is never reached: the cases name every value of {step.switch}")


def possible_texts(subject: Subject, reference: Reference, polled: DoStep | None) -> tuple[str, ...]:
    """Return the texts that a reference can have, from the declaration of the action; empty when it can have any."""
    if reference.scope == RESULT:
        return _choices_in(subject, polled.poll.do, reference.field) if polled is not None and polled.poll else ()
    step = next((step for step in every_step(subject.playbook) if step.id == reference.scope), None)
    if not isinstance(step, DoStep):
        return ()
    if step.out.get(reference.field) is ValueType.BOOLEAN:
        return _BOTH
    # After a poll the last answer counts, where it has the field.
    polled_texts = _choices_in(subject, step.poll.do, reference.field) if step.poll else ()
    return polled_texts or _choices_in(subject, step.do, reference.field)


def _choices_in(subject: Subject, action: str, field: str) -> tuple[str, ...]:
    entry = subject.actions.get(action)
    info = entry.result.model_fields.get(field) if entry else None
    return choices_of(info) if info else ()


def _instead(word: str, choices: Sequence[str]) -> str:
    return suggest(word, list(choices)) or f"it can be {', '.join(choices)}"
