"""One action as one XSOAR command: read the arguments, call the service, poll while it works, show and keep the result."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from snaphold.action import AnyAction, Effect
from snaphold.domain.incident import Incident
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, ProviderError, TimedOutError, UnknownOutcomeError
from snaphold.execute import LONGEST_KEY_VALUES, action_key, validate
from snaphold.fields import FieldShape, Kind, fields_of
from snaphold.playbook.condition import holds
from snaphold.playbook.reference import with_result
from snaphold.playbook.valuetype import type_of
from snaphold.recorded import redact_document
from snaphold.soar import xsoar_names as names
from snaphold.soar.answers import RUNNING, Job
from snaphold.soar.xsoar_incident import incident_id, read_incident
from snaphold.soar.xsoar_server import Server
from snaphold.soar.xsoar_text import error_text, findings_of, plain, result_text

MANUAL = "war-room"
"""The step of a command that a person types: typed again, it finds what the first one did."""
INTERVAL_SECONDS, TIMEOUT_SECONDS = 30, 21600
"""XSOAR's own timeout of ten minutes is too short for a backup."""
SHORTEST_INTERVAL, LONGEST_TIMEOUT = 5, 7 * 86400
GRACE_SECONDS = 120
"""XSOAR's own timer runs so much longer than ours: its message would not say what may still be at work."""
UNTIL, FAIL = '$result.state == "done"', '$result.state == "failed"'
_ITEM = re.compile(r"\[([^\]]*)\]")
_PRINTABLE = re.compile(r"[\x21-\x7e]*")
GOOD = (Outcome.SUCCEEDED.value, Outcome.PARTIAL.value)


class Carrier(Protocol):
    """What carries out actions: the client of the service, or the adapter of a vendor's system in this process."""

    def call(
        self, action: str, given: Mapping[str, Any], *, key: str = "", justification: str = "",
        incident: Incident | Mapping[str, Any] | str = "", wait: bool = True,
    ) -> dict[str, Any] | Job:  # fmt: skip
        """Carry out an action; return its result, or the job that goes on."""
        ...

    def job(self, id: str) -> Job:
        """Return where a job stands."""
        ...


@dataclass(frozen=True)
class Use:
    """One use of a command."""

    server: Server
    client: Carrier
    entry: AnyAction
    arguments: Mapping[str, Any]

    @property
    def step(self) -> str:
        """The place of the command: that of the playbook's step, or the war room."""
        return str(self.arguments.get("step") or MANUAL)

    @property
    def given(self) -> dict[str, Any]:
        """The action's input, as far as it was given. Text is read as the field's type; empty text is not given."""
        found: dict[str, Any] = {}
        for shape in fields_of(self.entry.request):
            value = self.arguments.get(shape.name)
            if value is not None and value != "":
                found[shape.name] = _read(shape, value)
        return found

    @property
    def key(self) -> str:
        """The idempotency key; empty for what only reads."""
        if self.entry.effect is Effect.READS:
            return ""
        incident = incident_id(self.server.demisto.incident() or {}, self.arguments)
        generation = whole_number(self.arguments, "generation", 1, 1, 1_000_000)
        return action_key(self.entry, self.given, incident, key_step(self.step, self.entry), generation)

    def call(self) -> dict[str, Any] | Job:
        """Carry out the action; return its result, or the job that goes on in the service."""
        incident = read_incident(self.server.demisto.incident() or {}, self.arguments)
        why = str(self.arguments.get("justification") or "")
        return self.client.call(self.entry.name, self.given, key=self.key, justification=why, incident=incident)


def key_step(step: str, entry: AnyAction) -> str:
    """Return the step of the idempotency key as the local runner names it, so that either finds what the other did.

    It starts with the name of the playbook that was started, not with that of a part. The items of loops are named only
    where the action has no key values of its own.
    """
    items = [item.replace("+", ",") for item in _ITEM.findall(step)]
    path = _ITEM.sub("", step)
    if not items or entry.key_fields:
        return path
    told = "+".join(items)
    plain_enough = len(told) <= LONGEST_KEY_VALUES and _PRINTABLE.fullmatch(told)
    return f"{path}[{told if plain_enough else hashlib.sha256(told.encode()).hexdigest()[:16]}]"


def run_action(use: Use) -> Any:
    """Carry out an action and return what the war room gets. Work that takes long is polled by XSOAR's own schedule."""
    validate(use.entry, use.given)

    def turn(arguments: dict[str, Any]) -> Any:
        job = str(arguments.get("job_id") or "")
        try:
            answer = use.client.job(job) if job else use.call()
        except ProviderError as error:
            if not job or not error.retryable:
                raise
            return again(use, arguments, f"The question got no answer and is asked again. {error_text(error)}")
        if isinstance(answer, Job) and answer.state == RUNNING:
            return again(use, {**arguments, "job_id": answer.id}, f"The Snaphold service works on it as job {plain(answer.id)}.")
        return use.server.PollResult(response=finish(use, ended(answer)))

    return polled(use, turn)


def run_wait(use: Use) -> Any:
    """Ask how a job of a backup stands until it is done, has failed, or the time is over."""
    until, fail = str(use.arguments.get("until") or UNTIL), str(use.arguments.get("fail") or FAIL)

    def turn(arguments: dict[str, Any]) -> Any:
        try:
            output = ended(use.call())
        except ProviderError as error:
            if not error.retryable:
                raise
            return again(use, arguments, f"The question got no answer and is asked again. {error_text(error)}")
        values = with_result({}, output)
        failed, done = holds(fail, values), holds(until, values)
        if failed:
            told = "; ".join(findings_of(output))
            raise ProviderError("the job failed", told or f"{fail} holds", "look at the job, then decide what to do")
        if done:
            return use.server.PollResult(response=finish(use, output))
        return again(use, arguments, result_text(f"{use.entry.title}, so far", output))

    return polled(use, turn)


def finish(use: Use, output: dict[str, Any], title: str = "") -> Any:
    """Return a result for the war room and the context. Raises when it is no success, or lacks what the step needs.

    `title` stands over it; left out, it is the action's.
    """
    output = redact_document(output)
    findings = "; ".join(findings_of(output))
    if output["outcome"] == Outcome.UNKNOWN.value:
        raise UnknownOutcomeError(f"it is not known whether {use.entry.name} happened", findings, "look it up, then decide")
    if output["outcome"] not in GOOD:
        raise ProviderError(f"{use.entry.name} failed", findings or None, "mend the cause, then run the step again")
    _check_expected(use, output)
    shown = result_text(title or use.entry.title, output)
    return use.server.CommandResults(outputs=context_of(use, output), readable_output=shown, raw_response=output)


def context_of(use: Use, output: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a command writes into the context: for people, and for the playbook's step when one was given."""
    shown = {"command": use.server.demisto.command(), "step": use.step, **output}
    context: dict[str, Any] = {_key(names.context_prefix(use.entry.name), "command", "step"): shown}
    if use.arguments.get("step"):
        context |= step_context(use.step, output)
    return context


def step_context(step: str, output: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context of a playbook's step; run again, the step overwrites what it gave before."""
    path = f"{names.STEP_PREFIX}.{step.rpartition('.')[2]}"
    return {_key(path, "step"): {"step": step, **names.step_values(dict(output))}}


def _key(path: str, *fields: str) -> str:
    return f"{path}({' && '.join(f'val.{name} && val.{name} == obj.{name}' for name in fields)})"


def polled(use: Use, turn: Callable[[dict[str, Any]], Any]) -> Any:
    """Run a turn under XSOAR's schedule. The decorator is made here, because it fixes interval and timeout."""
    interval = whole_number(use.arguments, "interval_in_seconds", INTERVAL_SECONDS, 1, LONGEST_TIMEOUT)
    began = str(use.arguments.get("began") or time.time())
    left = timeout_of(use) - (time.time() - _number(began))
    decorate = use.server.polling_function(
        name=use.server.demisto.command(),
        interval=int(max(min(interval, left), SHORTEST_INTERVAL)),
        timeout=timeout_of(use) + GRACE_SECONDS,
        requires_polling_arg=False,
    )
    return decorate(turn)({**use.arguments, "began": began})


def again(
    use: Use, arguments: dict[str, Any], shown: str, *, late: TimedOutError | None = None, outputs: dict[str, Any] | None = None
) -> Any:
    """Return the answer that asks for another turn; raise `late`, or what says the same, when the time is over."""
    if time.time() - _number(str(arguments["began"])) >= timeout_of(use):
        job = plain(arguments.get("job_id") or arguments.get("job") or "")
        raise late or TimedOutError(
            f"{use.entry.name} was not done within {timeout_of(use)} seconds",
            f"job {job} may still be at work" if job else "it may still be at work",
            "look it up, then decide",
        )
    partial = use.server.CommandResults(readable_output=shown, outputs=outputs)
    return use.server.PollResult(response=None, continue_to_poll=True, args_for_next_run=arguments, partial_result=partial)


def timeout_of(use: Use) -> int:
    """Return after how many seconds a command is not asked again."""
    return whole_number(use.arguments, "timeout_in_seconds", TIMEOUT_SECONDS, 1, LONGEST_TIMEOUT)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError("the argument began is not a time", do="leave it out; polling sets it") from error


def ended(answer: dict[str, Any] | Job) -> dict[str, Any]:
    """Return the result of work that has ended. Raises its error when it has one."""
    if not isinstance(answer, Job):
        return answer
    if answer.error is not None:
        raise answer.error
    if answer.result is None:
        raise ProviderError(f"the job {answer.id} has no result", f"it is {answer.state}", "ask again")
    return answer.result


def _check_expected(use: Use, output: Mapping[str, Any]) -> None:
    missing: list[str] = []
    for wanted in str(use.arguments.get("expects") or "").split(","):
        name, _, kind = wanted.partition(":")
        found = type_of(output.get(name))
        if name and (found is None or found.value != kind):
            missing.append(f"{name} ({kind})")
    if missing:
        raise ProviderError(f"the result of {use.entry.name} lacks {', '.join(missing)}", do="update the pack and the service")


def _read(shape: FieldShape, value: Any) -> Any:
    if shape.kind is Kind.LIST:
        return names.read_list(value)
    if isinstance(value, str) and shape.kind is Kind.BOOLEAN and value.lower() in ("true", "false", "yes", "no"):
        return value.lower() in ("true", "yes")
    if isinstance(value, str) and shape.kind is Kind.INTEGER and value.lstrip("-").isdigit():
        return int(value)
    if isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value


def whole_number(arguments: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    """Return an argument as a whole number. Raises InputError."""
    text = str(arguments.get(name) or default).strip()
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise InputError(f"{name} is {plain(text)!r}", f"it must be a whole number from {least} to {most}")
    return int(text)
