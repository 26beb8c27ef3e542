"""`execute()`: the one path of every action. validate, authorise, intent, act, outcome.

Nothing in the product calls an action's function around this. Whoever calls (CLI, playbook, service, SOAR) gets the
same checks, the same ledger entries and the same four outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from snaphold.action import AnyAction, Effect, Recovery, Request, Result, find_action
from snaphold.authority import authorise
from snaphold.context import Attempt, Context
from snaphold.documents import problems_of
from snaphold.domain.outcome import Outcome
from snaphold.errors import (
    BusyError,
    DocumentError,
    InputError,
    NotAuthorisedError,
    Problem,
    SnapholdError,
    TimedOutError,
    UnknownOutcomeError,
)
from snaphold.ledger.entry import Event, NewEntry, digest
from snaphold.ledger.ledger import Claim, ClaimState
from snaphold.secrets import redact

LEASE_SECONDS = 900.0
"""Longer than the longest call of an action plus the worst pause of its process: a fence protects the ledger only."""


def validate(entry: AnyAction, given: Mapping[str, Any]) -> Request:
    """Return the action's request. Raises InputError naming every faulty field."""
    try:
        return entry.request.model_validate(dict(given))
    except ValidationError as error:
        names = list(entry.request.model_fields)
        problems = [
            problem if problem.hint else Problem(problem.message, problem.field, hint=_hint(problem, names))
            for problem in problems_of(error, None, entry.request)
        ]
        raise DocumentError(f"the input of {entry.name} is wrong", problems, f"snaphold actions show {entry.name}") from error


def _hint(problem: Problem, names: list[str]) -> str:
    from snaphold.documents import suggest

    return suggest(problem.field, names) if problem.message.startswith("unknown key") else ""


def execute(name: str, given: Mapping[str, Any], context: Context) -> Result:
    """Run the action `name` with input `given` and return its result; the ledger holds intent and outcome.

    A result that was reached before under the same key is returned again without acting. With `context.dry_run`,
    actions that write do nothing and a result made of examples is returned.

    Raises InputError (bad input), NotAuthorisedError, BusyError (another worker is at it), UnknownOutcomeError, and
    what the action itself raises; every refusal and failure is in the ledger first.
    """
    entry = find_action(name)
    request = validate(entry, given)
    note = _note(entry, request, context)
    try:
        grant = authorise(entry, context)
    except NotAuthorisedError as error:
        if not context.dry_run:
            context.ledger.append(note.model_copy(update={"event": Event.REFUSED, "detail": _tell(error)}))
        raise
    if grant:
        note = note.model_copy(update={"detail": {"grant": grant}})
    if context.dry_run and entry.effect is not Effect.READS:
        return entry.example_result()
    if context.dry_run:
        return entry.function(request, context)
    if entry.effect is Effect.READS:
        return _read(entry, request, context, note)
    return _write(entry, request, context, note)


def _note(entry: AnyAction, request: Request, context: Context) -> NewEntry:
    return NewEntry(
        event=Event.INTENT,
        actor=context.actor.id,
        login=context.actor.login,
        incident=context.incident.id,
        run=context.run,
        action=entry.name,
        key=context.key,
        justification=redact(context.justification),
        inputs_digest=digest({"action": entry.name, "input": request.model_dump(mode="json")}),
    )


def _read(entry: AnyAction, request: Request, context: Context, note: NewEntry) -> Result:
    """Reads may be repeated: they are recorded, not claimed."""
    context.ledger.append(note)
    try:
        result = entry.function(request, context)
    except SnapholdError as error:
        context.ledger.append(_outcome(note, _judge(error), _tell(error)))
        raise
    except Exception as error:
        context.ledger.append(_outcome(note, Outcome.FAILED, {"error": type(error).__name__}))
        raise
    context.ledger.append(_outcome(note, result.outcome, {"findings": _clean(result.findings)}), context.staged)
    return result


def _write(entry: AnyAction, request: Request, context: Context, note: NewEntry) -> Result:
    if not context.key:
        raise InputError(f"{entry.name} needs an idempotency key", "it changes something outside")
    claim = context.ledger.claim(note, lease_seconds=LEASE_SECONDS)
    if claim.state is ClaimState.SETTLED:
        return entry.result.model_validate(claim.result)
    if claim.state is ClaimState.TAKEN_OVER and entry.recovery is Recovery.PERSON:
        _settle_error(entry, context, claim, note, Outcome.UNKNOWN, "an earlier attempt was lost after its intent")
        raise UnknownOutcomeError(
            f"it is not known whether {entry.name} happened",
            "an earlier attempt was lost after its intent, and this action cannot be looked up",
            "check by hand, then ask for a new generation",
        )
    attempt = Attempt.TAKEN_OVER if claim.state is ClaimState.TAKEN_OVER else Attempt.FRESH
    try:
        result = entry.function(request, replace(context, attempt=attempt))
    except BusyError:
        raise
    except SnapholdError as error:
        _settle_error(entry, context, claim, note, _judge(error), str(error))
        raise
    except Exception as error:
        # The effect may or may not have happened: an unforeseen fault never counts as a clean failure.
        _settle_error(entry, context, claim, note, Outcome.UNKNOWN, type(error).__name__)
        raise
    detail = {**note.detail, "findings": _clean(result.findings)}
    context.ledger.settle(claim, _outcome(note, result.outcome, detail), result.model_dump(mode="json"), list(context.staged))
    return result


def _settle_error(entry: AnyAction, context: Context, claim: Claim, note: NewEntry, outcome: Outcome, message: str) -> None:
    result = {"outcome": outcome.value, "findings": [redact(message)], "error": entry.name}
    context.ledger.settle(claim, _outcome(note, outcome, {**note.detail, "error": redact(message)}), result, [])


def _outcome(note: NewEntry, outcome: Outcome, detail: Mapping[str, Any]) -> NewEntry:
    return note.model_copy(update={"event": Event.OUTCOME, "outcome": outcome.value, "detail": dict(detail)})


def _judge(error: SnapholdError) -> Outcome:
    """A lost answer or a passed deadline is unknown; a refusal that says so is a failure."""
    return Outcome.UNKNOWN if isinstance(error, (UnknownOutcomeError, TimedOutError)) else Outcome.FAILED


def _tell(error: SnapholdError) -> dict[str, Any]:
    return {"error": redact(error.what), "why": redact(error.why or "")}


def _clean(findings: list[str]) -> list[str]:
    return [redact(finding) for finding in findings]
