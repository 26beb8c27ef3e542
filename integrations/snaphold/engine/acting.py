"""Carries out one action of a run through `execute()`, and turns whatever happens into an answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace

from snaphold.action import AnyAction, Effect, Result, find_action
from snaphold.clock import Clock, format_duration, format_time
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.engine.items import brief
from snaphold.engine.run import Reason
from snaphold.engine.steps import Act, Answer
from snaphold.errors import (
    BusyError,
    InputError,
    NotAuthorisedError,
    ProviderError,
    SnapholdError,
    TimedOutError,
    UnknownOutcomeError,
)
from snaphold.execute import action_key, execute, tell_in_one
from snaphold.fields import value_text
from snaphold.secrets import redact


def carry_out(act: Act, context: Context, generation: int) -> Answer:
    """Carry out an action and return what came of it; a failure is an answer, not an exception.

    The key names incident, step, key values and generation, never the run, so that a second run of the same step finds
    what the first one did.
    """
    began = format_time(context.clock.now())
    try:
        entry = find_action(act.action)
        key = _key(act, entry, context, generation)
        surroundings = replace(context, key=key, retry_failed=act.attempt > 1, repeat=act.repeat)
        result = _within(act, lambda: execute(act.action, act.given, surroundings))
    except SnapholdError as error:
        return _told(error, act, began, context.clock)
    return _answered(result, entry, began, context.clock)


def example(act: Act, clock: Clock) -> Answer:
    """Return what a dry run shows for an action that is not carried out: a result made of examples."""
    now = format_time(clock.now())
    output = find_action(act.action).example_result().model_dump(mode="json")
    return Answer(str(output["outcome"]), now, now, output, detail=would(act), imagined=True)


def would(act: Act) -> str:
    """Return what a run would do in the place of an example."""
    given = ", ".join(f"{name}={value_text(value)}" for name, value in act.given.items())
    return f"would run {act.action}" + (f" with {given}" if given else "")


def _key(act: Act, entry: AnyAction, context: Context, generation: int) -> str:
    """Return the key. Inside `for_each`, an action without key values of its own is told apart by the items, in brief.

    An earlier version wrote long items out: what it has claimed keeps its key, so that it is not done again.
    """
    if not act.items or entry.key_fields:
        return action_key(entry, act.given, context.incident.id, act.path, generation)
    short, long = (
        action_key(entry, act.given, context.incident.id, f"{act.path}[{'+'.join(items)}]", generation)
        for items in (brief(act.items), act.items)
    )
    if short == long or entry.effect is Effect.READS or context.ledger.find_claim(long) is None:
        return short
    return long


def _within(act: Act, work: Callable[[], Result]) -> Result:
    """Return what `work` returns, or raise TimedOutError when the step's `timeout` passes first.

    Work that is too slow goes on in the background and settles its own key in the ledger; nobody waits for it.
    """
    if act.timeout is None:
        return work()
    done: queue.Queue[Result | BaseException] = queue.Queue(1)

    def run() -> None:
        try:
            done.put(work())
        except BaseException as error:  # noqa: BLE001  it is raised again by the thread that waits
            done.put(error)

    threading.Thread(target=run, daemon=True, name=f"action {act.path}").start()
    try:
        outcome = done.get(timeout=act.timeout.total_seconds())
    except queue.Empty:
        raise TimedOutError(
            f"{act.action} did not answer within {format_duration(act.timeout)}",
            "it may still be at work, so nobody knows what it did",
            "look up what it did before asking for a new generation",
        ) from None
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _answered(result: Result, entry: AnyAction, began: str, clock: Clock) -> Answer:
    outcome = result.outcome
    findings = tuple(redact(finding) for finding in result.findings)
    reason = {Outcome.FAILED: Reason.FAILED, Outcome.UNKNOWN: Reason.UNKNOWN}.get(outcome, Reason.NONE)
    detail = "" if reason is Reason.NONE else "; ".join(findings) or f"{entry.name} says {outcome.value}"
    repeatable = entry.effect is Effect.READS or outcome is Outcome.FAILED
    output = result.model_dump(mode="json")
    return Answer(outcome.value, began, format_time(clock.now()), output, findings, detail, reason, repeatable)


def _told(error: SnapholdError, act: Act, began: str, clock: Clock) -> Answer:
    outcome, reason = Outcome.FAILED, Reason.FAILED
    if isinstance(error, UnknownOutcomeError):
        outcome, reason = Outcome.UNKNOWN, Reason.UNKNOWN
    elif isinstance(error, TimedOutError):
        outcome, reason = Outcome.UNKNOWN, Reason.TIMED_OUT
    elif isinstance(error, NotAuthorisedError):
        reason = Reason.NOT_AUTHORISED
    detail = tell_in_one(error)
    repeatable = _may_repeat(error, act, outcome)
    busy = isinstance(error, BusyError)
    return Answer(outcome.value, began, format_time(clock.now()), {}, (), detail, reason, repeatable, busy)


def _may_repeat(error: SnapholdError, act: Act, outcome: Outcome) -> bool:
    """A refusal of the input or of the right stays one. What writes is repeated only after a clean failure."""
    if isinstance(error, (InputError, NotAuthorisedError)):
        return False
    if find_action(act.action).effect is Effect.READS:
        return not isinstance(error, ProviderError) or error.retryable
    return outcome is Outcome.FAILED and (not isinstance(error, ProviderError) or error.retryable)
