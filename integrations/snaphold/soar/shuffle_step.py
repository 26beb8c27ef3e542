"""One step of a playbook on Shuffle: the action, its repeats, its job and its polls, spread over as many passes as it takes.

The answer says in `way` where the workflow goes on: `next`, or `waiting` until a later pass. `success` is false only when
the step has failed, and then the error path is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from snaphold.action import AnyAction, Effect
from snaphold.clock import Clock, format_time, parse_duration, parse_time
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, NotAuthorisedError, SnapholdError, TimedOutError, UnknownOutcomeError
from snaphold.execute import action_key
from snaphold.playbook.condition import holds
from snaphold.playbook.reference import with_result
from snaphold.playbook.valuetype import type_of
from snaphold.recorded import redact_document
from snaphold.secrets import redact
from snaphold.soar.answers import Job
from snaphold.soar.client import ServiceClient
from snaphold.soar.shuffle_memory import Memory
from snaphold.soar.shuffle_values import read_names, shown

NEXT, WAITING = "next", "waiting"
RESERVED = frozenset({"success", "way", "why", "run", "pass", "incident"})
"""What a result says of itself; no output and no input of a playbook may have one of these names."""
LOST_ANSWERS = 5
"""So often an action whose answer was lost is asked for again, under the same key, before the outcome is unknown."""
_GOOD = (Outcome.SUCCEEDED.value, Outcome.PARTIAL.value)


class _FinalError(SnapholdError):
    """The job itself has failed, or its result is not whole: asking again tells nothing new."""


class _SaidUnknownError(UnknownOutcomeError):
    """Nobody knows, and asking again would not tell: a person decides."""


@dataclass(frozen=True)
class StepTerms:
    """What the playbook says of a step, as text. `place` is its name in the run, `joins` the step whose job it polls."""

    place: str
    expects: str = ""
    attempts: str = ""
    every: str = ""
    timeout: str = ""
    until: str = ""
    fail: str = ""
    within: str = ""
    joins: str = ""


def failure(error: SnapholdError) -> dict[str, Any]:
    """Return the answer of a step that failed."""
    unknown = isinstance(error, (UnknownOutcomeError, TimedOutError))
    why = redact(": ".join(part for part in (error.what, error.why or "") if part))
    outcome = Outcome.UNKNOWN if unknown else Outcome.FAILED
    return {"success": False, "way": "error", "outcome": outcome.value, "why": why, "do": redact(error.do or "")}


def waiting(why: str) -> dict[str, Any]:
    """Return the answer of a step that goes on in a later pass."""
    return {"success": True, "way": WAITING, "why": redact(why)}


def run_step(
    entry: AnyAction, given: Mapping[str, Any], terms: StepTerms, memory: Memory, client: ServiceClient, clock: Clock
) -> dict[str, Any]:
    """Return the step's answer: the one that it has, or what comes of asking the service once. Raises StorageError."""
    name = f"step.{terms.place}"
    note = memory.recall(name)
    if "answer" in note:
        return note["answer"]
    now = clock.now()
    note.setdefault("began", format_time(now))
    if "not_before" in note and now < parse_time(note["not_before"]):
        return waiting("the pause before the next question has not passed")
    started = memory.recall(f"step.{terms.joins}") if terms.joins else {}
    try:
        found = _ask(entry, given, terms, note, memory, client)
        answer = _judge(found, entry, terms, note, started, now)
    except SnapholdError as error:
        answer = _failed(error, entry, terms, note, started, now)
    if answer["way"] != WAITING:
        note = {"answer": redact_document(answer), "at": format_time(clock.now()), "outcome": answer["outcome"]}
    memory.record(name, note)
    return answer


def key_place(run: Mapping[str, Any], place: str, entry: AnyAction) -> str:
    """Return the step of an idempotency key as our own runner names it.

    A handler's step that was copied for its caller (`step@caller`) is still the same step of the playbook.
    """
    items: list[str] = list(run.get("items") or [])
    named = f"{run.get('path', '')}{place.partition('@')[0]}"
    return f"{named}[{'+'.join(items)}]" if items and not entry.key_fields else named


def _ask(
    entry: AnyAction, given: Mapping[str, Any], terms: StepTerms, note: dict[str, Any], memory: Memory, client: ServiceClient
) -> dict[str, Any] | Job:
    if note.get("job"):
        return client.job(str(note["job"]))
    run = memory.recall("run")
    incident = cast("dict[str, Any] | str", run.get("incident") or "")
    incident_id = str(incident["id"]) if isinstance(incident, dict) else incident
    place = key_place(run, terms.place, entry)
    # A clean failure did nothing, so a repeat is a piece of work of its own; a lost answer is asked for under the same key.
    generation = 1 if entry.effect is Effect.READS else int(note.get("attempt", 1))
    key = "" if entry.effect is Effect.READS else action_key(entry, given, incident_id, place, generation).replace(" ", "_")
    return client.call(entry.name, given, key=key, justification=str(run.get("justification", "")), incident=incident)


def _judge(
    found: dict[str, Any] | Job,
    entry: AnyAction,
    terms: StepTerms,
    note: dict[str, Any],
    started: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    if isinstance(found, Job):
        if not found.has_ended:
            _check_timeout(entry, terms, note, now)
            note["job"] = found.id
            return waiting(f"{entry.name} goes on in the service")
        note.pop("job", None)
        if found.error is not None:
            raise found.error
        found = dict(found.result or {})
    if terms.until:
        verdict = _polled(found, terms, started, now)
        if verdict:
            note["not_before"] = format_time(now + parse_duration(terms.every))
            return waiting(verdict)
    if found["outcome"] not in _GOOD:
        told = "; ".join(found.get("findings") or []) or f"{entry.name} says {found['outcome']}"
        if found["outcome"] == Outcome.UNKNOWN.value:
            raise _SaidUnknownError(f"the outcome of {entry.name} is unknown", told)
        raise (_FinalError if terms.until else SnapholdError)(f"{entry.name} did not succeed", told)
    before: dict[str, Any] = started.get("answer") or {}
    output: dict[str, Any] = {name: value for name, value in before.items() if name not in RESERVED} | found
    outcomes = (output["outcome"], started.get("outcome"))
    output["outcome"] = Outcome.PARTIAL.value if Outcome.PARTIAL.value in outcomes else Outcome.SUCCEEDED.value
    lacking = [
        name for name, kind in read_names(terms.expects).items() if name not in output or type_of(output[name]) is not kind
    ]
    if lacking:
        raise _FinalError(f"the result of {entry.name} lacks {', '.join(lacking)}")
    return {"success": True, "way": NEXT, **shown(output)}


def _polled(found: Mapping[str, Any], terms: StepTerms, started: Mapping[str, Any], now: datetime) -> str:
    """Return why the job is not done yet; empty when it is. Raises SnapholdError: it failed, or takes too long."""
    values = with_result({}, found)
    failed, done = holds(terms.fail, values), holds(terms.until, values)
    if failed:
        raise _FinalError(f"the job failed ({terms.fail})", "; ".join(found.get("findings") or []) or None)
    if done:
        return ""
    if _is_late(terms, started, now):
        raise _SaidUnknownError(f"the job was not done within {terms.within}", do="look it up before starting it again")
    return "the job is not done yet"


def _is_late(terms: StepTerms, started: Mapping[str, Any], now: datetime) -> bool:
    if "at" not in started:
        raise InputError("the job to wait for was never started", f"there is no answer of {terms.joins}")
    return now >= parse_time(str(started["at"])) + parse_duration(terms.within)


def _check_timeout(entry: AnyAction, terms: StepTerms, note: Mapping[str, Any], now: datetime) -> None:
    if terms.timeout and now >= parse_time(str(note["began"])) + parse_duration(terms.timeout):
        raise TimedOutError(f"{entry.name} did not end within {terms.timeout}", "it may still be at work in the service")


def _failed(
    error: SnapholdError,
    entry: AnyAction,
    terms: StepTerms,
    note: dict[str, Any],
    started: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Return the answer after a failure: `waiting` when asking again may help and cannot double an effect."""
    late_write = isinstance(error, TimedOutError) and entry.effect is not Effect.READS
    final = late_write or isinstance(error, (InputError, NotAuthorisedError, _FinalError, _SaidUnknownError))
    attempt = int(note.get("attempt", 1))
    again = format_time(now + (parse_duration(terms.every) if terms.every else timedelta(0)))
    if terms.until and not final and "at" in started and not _is_late(terms, started, now):
        note["not_before"] = again
        return waiting(f"the question about the job got no answer: {error.what}")
    if isinstance(error, UnknownOutcomeError):
        if final or note.get("lost", 0) >= LOST_ANSWERS:
            return failure(error)
        note["lost"] = note.get("lost", 0) + 1
        return waiting(f"no clear answer about {entry.name}; it is asked again under the same key")
    if not final and attempt < int(terms.attempts or "1"):
        note.pop("job", None)
        note |= {"attempt": attempt + 1, "not_before": again, "began": again}
        return waiting(f"attempt {attempt} of {entry.name} failed: {error.what}")
    return failure(error)
