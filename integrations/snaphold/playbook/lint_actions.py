"""Lints the use of actions: they exist, their inputs are known, given and of the right type, their outputs exist."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic.fields import FieldInfo

from snaphold.action import AnyAction, Effect, Recovery
from snaphold.documents import suggest
from snaphold.playbook.annotation import accepted_types, given_types, literal_fault
from snaphold.playbook.findings import Subject
from snaphold.playbook.lint_expressions import check_text
from snaphold.playbook.reference import ExpressionError, references_in, resolve
from snaphold.playbook.step import DoStep
from snaphold.playbook.valuetype import ValueType
from snaphold.playbook.walk import Place, placed_steps


def lint_actions(subject: Subject) -> None:
    """Check every action that the playbook names against the catalogue."""
    for place, step in placed_steps(subject.playbook):
        if isinstance(step, DoStep):
            _step(subject, place, step)


def _step(subject: Subject, place: Place, step: DoStep) -> None:
    entry = _find(subject, (*place, "do"), step.do)
    _arguments(subject, place, (*place, "with"), step.arguments, entry, own=None)
    polled: AnyAction | None = None
    if step.poll:
        polled = _find(subject, (*place, "poll", "do"), step.poll.do)
        _arguments(subject, place, (*place, "poll", "with"), step.poll.arguments, polled, own=step)
        if polled is not None and polled.effect is not Effect.READS:
            subject.error((*place, "poll", "do"), f"a poll repeats its action, and {polled.name} {polled.effect.value}")
    if entry is None:
        return
    if step.poll is None or polled is not None:
        _outputs(subject, place, step, entry, polled)
    if step.retry and entry.effect is not Effect.READS and entry.recovery is Recovery.PERSON:
        subject.error_at_key(
            (*place, "retry"),
            f"{entry.name} may not be repeated: it {entry.effect.value}, and a second attempt could double the effect",
        )


def _find(subject: Subject, where: Place, name: str) -> AnyAction | None:
    entry = subject.actions.get(name)
    if entry is None:
        subject.error(where, f"there is no action {name!r}", suggest(name, list(subject.actions)))
    return entry


def _arguments(
    subject: Subject,
    place: Place,
    where: Place,
    given: Mapping[str, object],
    entry: AnyAction | None,
    own: DoStep | None,
) -> None:
    fields: dict[str, FieldInfo] = entry.request.model_fields if entry else {}
    for name, value in given.items():
        found = check_text(subject, place, (*where, name), value, own=own) if _has_text(value) else None
        if entry is None:
            continue
        info = fields.get(name)
        if info is None:
            subject.error_at_key((*where, name), f"{entry.name} has no input {name!r}", suggest(name, list(fields)))
            continue
        if _is_literal(value):
            fault = literal_fault(info, resolve(value, {}))
            if fault:
                subject.error((*where, name), f"{entry.name} refuses this {name}: {fault}")
            continue
        accepted = accepted_types(info)
        if found is not None and accepted and found not in accepted:
            wanted = " or ".join(sorted(kind.value for kind in accepted))
            subject.error((*where, name), f"{entry.name} takes {name} of type {wanted}, and this is of type {found.value}")
    if entry is None:
        return
    for name, info in fields.items():
        if info.is_required() and name not in given:
            at = where if where in subject.loaded.document.keys else (*where[:-1], "do")
            subject.error_at_key(at, f"{entry.name} needs the input {name!r}", info.description or "")


def _has_text(value: object) -> bool:
    return isinstance(value, (str, list, tuple))


def _is_literal(value: object) -> bool:
    """Return whether a value holds no reference. A malformed one counts as a reference: it has been reported."""
    try:
        return not references_in(value)
    except ExpressionError:
        return False


def _outputs(subject: Subject, place: Place, step: DoStep, entry: AnyAction, polled: AnyAction | None) -> None:
    """A field may come from the action or from its poll; where both have it, its type must be the declared one in both."""
    models = [found.result.model_fields for found in (entry, polled) if found is not None]
    names = entry.name if polled is None else f"neither {entry.name} nor {polled.name}"
    for name, declared in step.out.items():
        infos: list[FieldInfo] = [fields[name] for fields in models if name in fields]
        if not infos:
            verb = "has no" if polled is None else "has an"
            known = [field for fields in models for field in fields]
            subject.error_at_key((*place, "out", name), f"{names} {verb} output {name!r}", suggest(name, known))
        for types in dict.fromkeys(given_types(info) for info in infos):
            if not types:
                hint = "let the action give a text"
                subject.error((*place, "out", name), f"the output {name!r} cannot be used in a playbook", hint)
            elif types != frozenset({declared}):
                found = " or ".join(sorted(kind.value for kind in types))
                subject.error((*place, "out", name), f"the output {name!r} is of type {found}, not {declared.value}")


def takes(declared: ValueType) -> frozenset[ValueType]:
    """Return the types that an input of a playbook takes; a list also takes text with commas apart."""
    return frozenset({declared, ValueType.STRING}) if declared is ValueType.LIST else frozenset({declared})
