"""`execute()`: the one path of every action. validate, authorise, intent, act, outcome.

Nothing in the product calls an action's function around this. Whoever calls (CLI, playbook, service, SOAR) gets the
same checks, the same ledger entries and the same four outcomes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import ValidationError

from snaphold.action import AnyAction, Effect, Recovery, Request, Result, find_action
from snaphold.authority import authorise
from snaphold.context import Attempt, Context
from snaphold.domain.outcome import Outcome
from snaphold.errors import (
    DocumentError,
    InputError,
    LedgerError,
    NotAuthorisedError,
    Problem,
    SnapholdError,
    UnknownOutcomeError,
)
from snaphold.ledger.entry import Event, NewEntry, digest
from snaphold.ledger.ledger import Claim, ClaimState
from snaphold.recorded import (
    is_busy,
    is_error,
    outcome_of,
    record_error,
    redact_document,
    redact_record,
    restore_error,
)
from snaphold.secrets import redact
from snaphold.standing import check_standing
from snaphold.validation import problems_of, suggest

LEASE_SECONDS = 900.0
"""Longer than the longest call of an action plus the worst pause of its process: a fence protects the ledger only."""
LONGEST_KEY_VALUES = 80
_PLAIN = re.compile(r"[A-Za-z0-9._@-]*")


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
    return suggest(problem.field, names) if problem.message.startswith("unknown key") else ""


def action_key(entry: AnyAction, given: Mapping[str, Any], incident_id: str, step: str, generation: int = 1) -> str:
    """Return the idempotency key `INCIDENT/STEP/KEYVALUES/GENERATION` of one use of an action.

    KEYVALUES are the values of the action's key fields, joined with `+` (lists with `,`); `-` when there are none; the
    first 16 hex digits of their SHA-256 when they are long or hold characters that would make the key ambiguous.
    Raises InputError when the input is wrong, the step is empty, or the generation is below 1.
    """
    if not step or generation < 1:
        raise InputError("a key needs a step and a generation from 1", f"step {step!r}, generation {generation}")
    fields = validate(entry, given).model_dump(mode="json")
    return f"{incident_id}/{step}/{_key_values([fields[name] for name in entry.key_fields])}/{generation}"


def _key_values(values: list[Any]) -> str:
    parts = [_texts(value) for value in values]
    joined = "+".join(",".join(part) for part in parts)
    if joined == "+" * (len(parts) - 1):
        return "-"
    plain = all(_PLAIN.fullmatch(text) for part in parts for text in part)
    if plain and joined != "-" and len(joined) <= LONGEST_KEY_VALUES:
        return joined
    return digest(parts)[:16]


def _texts(value: Any) -> list[str]:
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    return ["" if item is None else str(item) for item in items]


def execute(name: str, given: Mapping[str, Any], context: Context) -> Result:
    """Run the action `name` with input `given` and return its result; the ledger holds intent and outcome.

    What was reached before under the same key is returned, or raised, again without acting; with
    `context.retry_failed` a clean failure is tried anew; with `context.repeat` a read records only news. With
    `context.dry_run`, actions that write do nothing and a result made of examples is returned.

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
    # Its own list: what a failed action staged must not be written with the next one's outcome.
    own = replace(context, staged=[])
    if context.dry_run:
        return entry.example_result() if entry.effect is not Effect.READS else _call(entry, request, own)
    if entry.effect is Effect.READS:
        return _read(entry, request, own, note)
    return _write(entry, request, own, note)


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


def _call(entry: AnyAction, request: Request, context: Context) -> Result:
    """Run the function. An unforeseen fault becomes an error with its cause; KeyboardInterrupt and exit pass through."""
    check_standing()
    try:
        return entry.function(request, context)
    except SnapholdError:
        raise
    except Exception as error:
        kind = SnapholdError if entry.effect is Effect.READS else UnknownOutcomeError
        raise kind(
            f"{entry.name} ended in an unforeseen fault",
            f"{type(error).__name__}: {redact(str(error))}",
            "look at what it left behind; this is a fault of the program, report it",
        ) from error


def _read(entry: AnyAction, request: Request, context: Context, note: NewEntry) -> Result:
    """Reads may be repeated: they are recorded, not claimed. A question asked again is recorded when its answer is news."""
    repeat = context.repeat
    if repeat is None:
        context.ledger.append(note)
    asked = {"asked": repeat.asked + 1} if repeat else {}
    try:
        result = _call(entry, request, context)
    except SnapholdError as error:
        outcome, told = outcome_of(error), _tell(error)
        if repeat is None or repeat.is_news(outcome.value, [tell_in_one(error)], {}):
            context.ledger.append(_outcome(note, outcome, {**told, **asked}))
        raise
    found = _findings(result)
    records = [redact_record(record) for record in context.staged]
    if repeat is None or records or repeat.is_news(result.outcome.value, found["findings"], result.model_dump(mode="json")):
        context.ledger.append(_outcome(note, result.outcome, {**found, **asked}), records)
    return result


def _write(entry: AnyAction, request: Request, context: Context, note: NewEntry) -> Result:
    if not context.key:
        raise InputError(f"{entry.name} needs an idempotency key", "it changes something outside")
    claim = _claim(context, note)
    if claim.state is ClaimState.SETTLED:
        return _settled(entry, claim)
    try:
        if claim.state is ClaimState.TAKEN_OVER and entry.recovery is Recovery.PERSON:
            raise UnknownOutcomeError(
                f"it is not known whether {entry.name} happened",
                "an earlier attempt was lost after its intent, and this action cannot be looked up",
                "check by hand, then ask for a new generation",
            )
        attempt = Attempt.TAKEN_OVER if claim.state is ClaimState.TAKEN_OVER else Attempt.FRESH
        result = _call(entry, request, replace(context, attempt=attempt))
    except SnapholdError as error:
        outcome = outcome_of(error)
        context.ledger.settle(claim, _outcome(note, outcome, _tell(error)), record_error(error, outcome), [])
        raise
    recorded = redact_document(result.model_dump(mode="json"))
    records = [redact_record(record) for record in context.staged]
    context.ledger.settle(claim, _outcome(note, result.outcome, _findings(result)), recorded, records)
    return result


def _claim(context: Context, note: NewEntry) -> Claim:
    claim = context.ledger.claim(note, lease_seconds=LEASE_SECONDS, reopen_failed=context.retry_failed)
    if claim.state is ClaimState.SETTLED and is_busy(claim.result or {}):
        # Something else was in the way then, and nothing happened: asking again is always safe.
        return context.ledger.claim(note, lease_seconds=LEASE_SECONDS, reopen_failed=True)
    return claim


def _settled(entry: AnyAction, claim: Claim) -> Result:
    """Return the recorded result, or raise the recorded error again."""
    recorded = claim.result or {}
    if is_error(recorded):
        raise restore_error(recorded, entry.name)
    try:
        return entry.result.model_validate(recorded)
    except ValidationError as error:
        raise LedgerError(
            f"the recorded result of {claim.key} cannot be read",
            "another version of this action wrote it",
            "look it up with snaphold audit list; nothing was done again",
        ) from error


def _outcome(note: NewEntry, outcome: Outcome, detail: Mapping[str, Any]) -> NewEntry:
    return note.model_copy(update={"event": Event.OUTCOME, "outcome": outcome.value, "detail": {**note.detail, **detail}})


def _tell(error: SnapholdError) -> dict[str, Any]:
    return {"error": redact(error.what), "why": redact(error.why or "")}


def tell_in_one(error: SnapholdError) -> str:
    """Return what happened and why as one text, without secrets."""
    return redact(f"{error.what}: {error.why}" if error.why else error.what)


def _findings(result: Result) -> dict[str, Any]:
    return {"findings": [redact(finding) for finding in result.findings]}
