"""One `do` step: the action, its repeats, its job, and the fields that later steps may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from snaphold.clock import format_duration, parse_time
from snaphold.domain.outcome import Outcome
from snaphold.engine.frame import Frame, RunStopped, StepFailed, take_out
from snaphold.engine.run import Reason, StepLine
from snaphold.engine.steps import Act, Answer, Listener, StepEvent, Steps
from snaphold.errors import SnapholdError
from snaphold.playbook.condition import holds, parse_condition
from snaphold.playbook.reference import RESULT, resolve_all, with_result
from snaphold.playbook.step import DoStep, Poll, StepBase
from snaphold.repeated import Repeat, gist

GOOD = (Outcome.SUCCEEDED.value, Outcome.PARTIAL.value)


def run(step: DoStep, frame: Frame, steps: Steps, listener: Listener) -> None:
    """Carry out the step and add its line and its values to the frame.

    Raises StepFailed when it failed or nobody knows, RunStopped when the run was cancelled.
    """
    path = frame.path(step.id)
    listener(StepEvent("started", path, step.title, frame.item))
    answer = _started(step, frame, steps, listener)
    began = answer.began
    if answer.outcome in GOOD:
        frame.values[step.id] = take_out(step.out, answer.output)
        if answer.imagined:
            frame.imagined.add(step.id)
        if step.poll is not None:
            answer = _polled(step, step.poll, answer, frame, steps, listener)
    if answer.outcome in GOOD:
        answer = _with_out(step, answer, frame)
    if answer.outcome not in GOOD:
        frame.values.pop(step.id, None)
    frame.lines.append(line_of(step, frame, step.do, answer, began, answer.outcome, answer.detail))
    listener(StepEvent("ended", path, step.title, frame.item, frame.lines[-1], before=answer.before))
    if answer.reason is Reason.CANCELLED:
        raise RunStopped(Reason.CANCELLED, answer.detail)
    if answer.outcome not in GOOD:
        raise StepFailed(answer.reason, f"{path}: {answer.detail}")


def line_of(step: StepBase, frame: Frame, what: str, answer: Answer, began: str, outcome: str, detail: str) -> StepLine:
    """Return the line of a step that has ended; the seconds are those that were recorded, so a replay gives the same."""
    seconds = (parse_time(answer.at) - parse_time(began)).total_seconds()
    return StepLine(
        step=frame.path(step.id), title=step.title, what=what, item=frame.item, outcome=outcome,
        seconds=round(seconds, 3), detail=detail, findings=answer.findings,
    )  # fmt: skip


def _started(step: DoStep, frame: Frame, steps: Steps, listener: Listener) -> Answer:
    """Return the answer to the step's action, after as many attempts as it may have."""
    path = frame.path(step.id)
    try:
        given = resolve_all(step.arguments, frame.values)
        imagined = any(frame.rests_on_examples(value) for value in step.arguments.values())
    except SnapholdError as error:
        tick = steps.pause(timedelta(0))
        return _bad(Answer(Outcome.FAILED.value, tick.at, tick.at), Reason.FAILED, _tell(error))
    act = Act(path, step.do, given, frame.items, step.timeout, imagined=imagined)
    answer = steps.act(act)
    began = answer.began
    for attempt in range(2, (step.retry.attempts if step.retry else 1) + 1):
        if step.retry is None or answer.outcome in GOOD or not answer.repeatable:
            break
        detail = {"attempt": attempt, "of": step.retry.attempts, "why": answer.detail}
        listener(StepEvent("retrying", path, step.title, frame.item, detail=detail, before=answer.before))
        tick = steps.pause(step.retry.every)
        if tick.cancelled:
            return _cancelled(answer, tick.at)
        answer = steps.act(replace(act, attempt=attempt))
    return replace(answer, began=began)


def _polled(step: DoStep, poll: Poll, started: Answer, frame: Frame, steps: Steps, listener: Listener) -> Answer:
    """Ask about the job until it is done; return the started action's answer joined with the last one about the job.

    A question that got no answer is asked again until `within` has passed, if asking again may help.
    """
    deadline = parse_time(started.at) + poll.within
    path = frame.path(step.id)
    repeat: Repeat | None = None
    while True:
        answer = _asked(poll, path, frame, steps, repeat)
        repeat = _next_repeat(poll, answer, repeat)
        if answer.imagined:
            return replace(_joined(started, answer), detail=started.detail)
        if answer.reason is Reason.CANCELLED:
            return answer
        if answer.output:
            listener(StepEvent("polled", path, step.title, frame.item, detail=answer.output, before=answer.before))
            verdict = _verdict(poll, answer, frame)
            if verdict is not None:
                return verdict if verdict.outcome not in GOOD else _joined(started, verdict)
        if answer.outcome not in GOOD and not answer.repeatable:
            return answer
        left = deadline - parse_time(answer.at)
        if left <= timedelta(0):
            last = "" if answer.outcome in GOOD else f"; the last question failed: {answer.detail}"
            late = _bad(answer, Reason.TIMED_OUT, f"not done within {format_duration(poll.within)}{last}")
            return replace(late, outcome=Outcome.UNKNOWN.value)
        tick = steps.pause(min(poll.every, left))
        if tick.cancelled:
            return _cancelled(answer, tick.at)


def _next_repeat(poll: Poll, answer: Answer, last: Repeat | None) -> Repeat:
    """Return what the next question is told of this answer: what `until` and `fail` look at is what counts."""
    conditions = (parse_condition(poll.until), parse_condition(poll.fail))
    looked_at = (one.reference for condition in conditions for one in condition.comparisons)
    fields = tuple(sorted({one.field for one in looked_at if one.scope == RESULT}))
    told = answer.findings if answer.output else (answer.detail,)
    return Repeat(gist(answer.outcome, told, answer.output, fields), fields, (last.asked if last else 0) + 1)


def _asked(poll: Poll, path: str, frame: Frame, steps: Steps, repeat: Repeat | None) -> Answer:
    try:
        given = resolve_all(poll.arguments, frame.values)
        imagined = any(frame.rests_on_examples(value) for value in poll.arguments.values())
    except SnapholdError as error:
        tick = steps.pause(timedelta(0))
        return _bad(Answer(Outcome.FAILED.value, tick.at, tick.at), Reason.FAILED, _tell(error))
    return steps.act(Act(path, poll.do, given, frame.items, imagined=imagined, repeat=repeat))


def _verdict(poll: Poll, answer: Answer, frame: Frame) -> Answer | None:
    """Return the answer when the job is done, a failed one when it has failed, None while it goes on."""
    try:
        values = with_result(frame.values, answer.output)
        failed, done = holds(poll.fail, values), holds(poll.until, values)
    except SnapholdError as error:
        return _bad(answer, Reason.FAILED, _tell(error))
    if failed:
        told = "; ".join(answer.findings)
        return _bad(answer, Reason.FAILED, f"the job failed ({poll.fail})" + (f": {told}" if told else ""))
    return answer if done else None


def _joined(started: Answer, last: Answer) -> Answer:
    """Return one answer for the action and its job: the last poll says more recent things than the start did."""
    outcomes = (started.outcome, last.outcome)
    outcome = Outcome.PARTIAL if Outcome.PARTIAL.value in outcomes else Outcome.SUCCEEDED
    output: Mapping[str, Any] = {**started.output, **last.output}
    return replace(
        last, outcome=outcome.value, output=output, imagined=started.imagined or last.imagined,
        findings=tuple(dict.fromkeys((*started.findings, *last.findings))),
    )  # fmt: skip


def _with_out(step: DoStep, answer: Answer, frame: Frame) -> Answer:
    """Keep the declared fields for later steps; a field that is missing or of another type fails the step."""
    fields = take_out(step.out, answer.output)
    missing = [f"{name} ({wanted.value})" for name, wanted in step.out.items() if name not in fields]
    if missing:
        return _bad(answer, Reason.FAILED, f"the result of {step.do} lacks {', '.join(missing)}")
    frame.values[step.id] = fields
    if answer.imagined:
        frame.imagined.add(step.id)
    return answer


def _bad(answer: Answer, reason: Reason, detail: str) -> Answer:
    return replace(answer, outcome=Outcome.FAILED.value, reason=reason, detail=detail)


def _cancelled(answer: Answer, at: str) -> Answer:
    return replace(answer, outcome="cancelled", reason=Reason.CANCELLED, detail="the run was cancelled", at=at)


def _tell(error: SnapholdError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what
