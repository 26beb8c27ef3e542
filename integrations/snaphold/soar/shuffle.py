"""What the methods of the Shuffle app do. The app itself is generated: one method per action, each a line that leads here.

A method never raises and never exits, because Shuffle calls both a success: whatever happens is told in the answer, as
`success`. Text from an alert is never code: see `refuse_templates`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from snaphold.action import Effect, find_action
from snaphold.clock import Clock, SystemClock
from snaphold.errors import InputError, SnapholdError
from snaphold.execute import action_key
from snaphold.recorded import redact_document
from snaphold.secrets import redact, remember
from snaphold.soar import shuffle_flow as flow
from snaphold.soar import shuffle_gate as gate
from snaphold.soar.answers import Job
from snaphold.soar.client import ServiceClient
from snaphold.soar.shuffle_memory import Memory
from snaphold.soar.shuffle_step import StepTerms, failure, run_step, waiting
from snaphold.soar.shuffle_values import plain_text, read_document_names, read_given, read_list, shown

CALL_SECONDS = 20.0
"""The longest that one call of the service may take; Shuffle gives an action 30 s."""
CONTROL = "snaphold_"
"""The parameters that are no input of the action begin with this."""
Client = Callable[[Mapping[str, str]], ServiceClient]


class PlainText:
    """Stands in for the SDK's template engine: text stays as it is."""

    def __init__(self, template: Any, *_arguments: Any, **_options: Any) -> None:
        self.template = template

    def render(self, *_arguments: Any, **_values: Any) -> Any:
        """Return the template unchanged."""
        return self.template


def refuse_templates(sdk: ModuleType) -> None:
    """Take the template engine out of the SDK: it renders alert text, and its templates can run Python.

    Raises RuntimeError when this version of the SDK has none under that name; the app must not start then.
    """
    if not isinstance(getattr(sdk, "Liquid", None), type):
        raise RuntimeError("this shuffle-sdk cannot be made safe: install the version that requirements.txt pins")
    sdk.Liquid = PlainText  # pyright: ignore[reportAttributeAccessIssue]


def connect(settings: Mapping[str, str]) -> ServiceClient:
    """Return the client of the service that the app's authentication names. Raises InputError."""
    token = settings.get("token", "")
    if token:
        remember(token)
    ca_file = settings.get("ca_file", "")
    return ServiceClient(settings.get("url", ""), token, verify=ca_file or True, timeout=CALL_SECONDS)


def answer(
    app: Any, method: str, arguments: Mapping[str, Any], *, client: Client = connect, clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:  # fmt: skip
    """Return the answer of one method of the app. Never raises."""
    try:
        given = {name: value for name, value in arguments.items() if name not in ("self", "_ignored")}
        settings = {name: plain_text(given.pop(name, "")) for name in ("url", "token", "ca_file")}
        found = _answer(app, method, given, settings, client, clock or SystemClock(), sleep)
        # The platform stores and shows the answer: no secret that came in may go out.
        return redact_document(found)
    except SnapholdError as error:
        return failure(error)
    except Exception as error:  # noqa: BLE001  an exception would count as success on Shuffle
        fault = SnapholdError("the app met an unforeseen fault", f"{type(error).__name__}: {redact(str(error))}")
        return failure(fault)


def _answer(
    app: Any, method: str, given: dict[str, Any], settings: Mapping[str, str], client: Client, clock: Clock,
    sleep: Callable[[float], None],
) -> dict[str, Any]:  # fmt: skip
    if "." in method:
        return _act(app, method, given, settings, client, clock)
    if method == "approval_state":
        return _approval(app, given, client(settings), clock)
    if method == "job_status":
        return _job(client(settings), plain_text(given["job"]))
    if method == "check_service":
        connected = client(settings)
        health = connected.health()
        return {
            "success": True,
            "status": health.status,
            "version": health.version,
            "clock_difference_seconds": str(health.clock_difference),
            "person": str(connected.whoami().get("person", "")),
        }
    return _FLOW[method](app, given, clock, sleep)


def _act(app: Any, name: str, given: dict[str, Any], settings: Mapping[str, str], client: Client, clock: Clock) -> dict[str, Any]:
    entry = find_action(name)
    control = {key.removeprefix(CONTROL): plain_text(given.pop(key)) for key in list(given) if key.startswith(CONTROL)}
    request = read_given(entry, given)
    connected = client(settings)
    if control.get("run"):
        names = ("expects", "attempts", "every", "timeout", "until", "fail", "within", "joins")
        terms = StepTerms(control.get("step", ""), **{part: control.get(part, "") for part in names})
        return run_step(entry, request, terms, Memory(app, control["run"]), connected, clock)
    incident, key = control.get("incident", ""), ""
    if entry.effect is not Effect.READS:
        if not incident or not control.get("step"):
            raise InputError(f"{name} changes something, so it needs snaphold_incident and snaphold_step",
                             "together they name the work, so that a repeat never does it twice")  # fmt: skip
        key = action_key(entry, request, incident, control["step"])
    found = connected.call(name, request, key=key, justification=control.get("justification", ""), incident=incident)
    return _told(found)


def _job(client: ServiceClient, id: str) -> dict[str, Any]:
    return _told(client.job(id))


def _told(found: dict[str, Any] | Job) -> dict[str, Any]:
    if isinstance(found, Job):
        if not found.has_ended:
            return {**waiting("the work goes on in the service; ask job_status"), "job": found.id}
        if found.error is not None:
            raise found.error
        found = dict(found.result or {})
    good = found["outcome"] in ("succeeded", "partial")
    return {**shown(found), "success": good, "way": "next" if good else "error"}


def _desk(app: Any, given: Mapping[str, Any], clock: Clock, sleep: Callable[[float], None]) -> flow.Desk:
    return flow.Desk(Memory(app, plain_text(given.get("run", ""))), clock, sleep)


def _begin(app: Any, given: Mapping[str, Any], clock: Clock, sleep: Callable[[float], None]) -> dict[str, Any]:
    argument = flow.read_document(given.get("argument", ""), "the execution argument")
    playbook = plain_text(given["playbook"])
    run = flow.run_id(argument, playbook, str(getattr(app, "current_execution_id", "")))
    desk = flow.Desk(Memory(app, run), clock, sleep)
    return flow.begin(desk, argument, playbook, flow.read_document(given.get("inputs", ""), "the declared inputs"))


def _call(app: Any, given: Mapping[str, Any], clock: Clock, sleep: Callable[[float], None]) -> dict[str, Any]:
    names = read_document_names(given.get("names", ""))
    values: dict[str, Any] = {}
    for number, (name, kind) in enumerate(names.items(), start=1):
        if kind != "item":
            values[name] = flow.read_value(given.get(f"value_{number}", ""), flow.ValueType(kind))
    items_to = [name for name, kind in names.items() if kind == "item"]
    for_each = plain_text(given.get("for_each", "")) == "yes"
    at_once = int(plain_text(given.get("at_once", "")) or "1")
    desk = _desk(app, given, clock, sleep)
    return flow.call(desk, plain_text(given["step"]), given.get("items", ""), for_each, at_once, values, items_to)


def _approval(app: Any, given: dict[str, Any], client: ServiceClient, clock: Clock) -> dict[str, Any]:
    told = {name: plain_text(given.get(name, "")) for name in _TERMS}
    terms = {("approvals" if name == "quorum" else name): value for name, value in told.items()}
    desk = flow.Desk(Memory(app, plain_text(given.get("run", ""))), clock, time.sleep)
    return gate.approval(desk, client, plain_text(given["step"]), terms)


def _tell(_app: Any, given: Mapping[str, Any], _clock: Clock, _sleep: Callable[[float], None]) -> dict[str, Any]:
    return {"success": True, "way": "next", "question": plain_text(given.get("question", ""))}


_TERMS = ("question", "asked_of", "within", "quorum", "escalate_to", "escalate_within", "role", "role_lasts", "joins")
_FLOW: dict[str, Callable[[Any, Mapping[str, Any], Clock, Callable[[float], None]], dict[str, Any]]] = {
    "begin_run": _begin,
    "condition_holds": lambda _app, given, _clock, _sleep: flow.judge_condition(
        given.get("left", ""), *(plain_text(given.get(name, "")) for name in ("type", "operator", "right", "joiner", "before"))
    ),
    "choose_case": lambda _app, given, _clock, _sleep: flow.pick_case(
        given.get("value", ""), plain_text(given["type"]), given["cases"], plain_text(given.get("has_default", "")) == "yes"
    ),
    "go_on": lambda _app, _given, _clock, _sleep: {"success": True, "way": "next"},
    "join_lists": lambda _app, given, _clock, _sleep: flow.join(given.get("values", "")),
    "call_playbook": _call,
    "put_question": lambda app, given, clock, sleep: gate.put_question(
        _desk(app, given, clock, sleep), plain_text(given["step"])
    ),
    "tell_approvers": _tell,
    "pause_run": lambda app, given, clock, sleep: flow.pause(
        _desk(app, given, clock, sleep), float(plain_text(given.get("seconds", "")) or "15")
    ),
    "stop_run": lambda app, given, clock, sleep: flow.stop(
        _desk(app, given, clock, sleep), plain_text(given["step"]), plain_text(given.get("reason", ""))
    ),
    "finish_run": lambda app, given, clock, sleep: flow.finish(
        _desk(app, given, clock, sleep), plain_text(given["ended"]), read_list(given.get("steps", ""))
    ),
}
