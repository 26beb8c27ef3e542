"""What the methods of a vendor's own Shuffle app do: its actions run in this container, without the Snaphold service.

As in the app of the service, a method never raises and never exits; whatever happens is told in the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from snaphold.action import AnyAction, Effect
from snaphold.clock import format_time, parse_duration, parse_time
from snaphold.errors import InputError, ProviderError, SnapholdError, TimedOutError
from snaphold.execute import action_key
from snaphold.recorded import redact_document
from snaphold.secrets import redact
from snaphold.soar.answers import DONE, RUNNING, Job
from snaphold.soar.followed import START, STATUS, end_error, late_error, naming_job, standing_of
from snaphold.soar.shuffle_names import CHECK, STEP, WAIT, Parameter, method_name
from snaphold.soar.shuffle_step import NEXT, WAITING, failure, waiting
from snaphold.soar.shuffle_values import plain_text, read_given, shown
from snaphold.soar.vendors import VENDORS, Direct, actions_of, left_out, read_settings

ANSWER_WAIT = timedelta(seconds=8)
"""The longest wait for one answer of the vendor."""
CALL_SECONDS = 24.0
"""The longest that an action may take with all its repeats; Shuffle gives it 30 s."""
_NOT_NAMED = "not-named"
_LATE = "look at it in the product, or ask again with a longer time; do not start another"
_at_work: set[tuple[str, str, str]] = set()
_lock = threading.Lock()


def settings_of(kind: str) -> tuple[str, ...]:
    """Return the names of what the app's authentication holds."""
    storage = ("location",) if VENDORS[kind].storage else ()
    return ("url", *VENDORS[kind].credentials, *storage, "ca_file", "settings")


def methods_of(kind: str) -> dict[str, AnyAction]:
    """Return the action of every method of a vendor's app, but for the check of the connection."""
    return {method_name(name): entry for name, entry in actions_of(kind).items()}


def controls_of(entry: AnyAction) -> tuple[Parameter, ...]:
    """Return the parameters of a method besides the inputs of its action."""
    return (*STEP, *WAIT) if entry.name == STATUS else STEP


def connect(kind: str, settings: Mapping[str, str]) -> Direct:
    """Return what carries out actions at the system that the authentication names. Raises InputError."""
    credentials = {name: settings[name] for name in VENDORS[kind].credentials}
    chosen = read_settings(settings["settings"])
    url, ca_file, location = settings["url"], settings["ca_file"], settings.get("location", "")
    return Direct(kind, url, credentials, chosen, ca_file, timeout=ANSWER_WAIT, location=location)


def answer_vendor(
    kind: str, method: str, arguments: Mapping[str, Any], *, connecting: Callable[[str, Mapping[str, str]], Direct] = connect,
    seconds: float = CALL_SECONDS,
) -> dict[str, Any]:  # fmt: skip
    """Return the answer of one method of a vendor's app. Never raises."""
    try:
        given = {name: value for name, value in arguments.items() if name not in ("self", "_ignored")}
        direct = connecting(kind, {name: plain_text(given.pop(name, "")).strip() for name in settings_of(kind)})
        # The platform stores and shows the answer: no secret that came in may go out.
        return redact_document(_check(direct, seconds) if method == CHECK.name else _act(direct, method, given, seconds))
    except SnapholdError as error:
        return failure(error)
    except Exception as error:  # noqa: BLE001  an exception would count as success on Shuffle
        return failure(SnapholdError("the app met an unforeseen fault", f"{type(error).__name__}: {redact(str(error))}"))


def _check(direct: Direct, seconds: float) -> dict[str, Any]:
    signed_in_as, missing = _within(seconds, "the check", direct.check)
    told = {"signed_in_as": signed_in_as, "missing": list(missing)}
    return {"success": not missing, "way": "error" if missing else "next", **shown(told)}


def _act(direct: Direct, method: str, given: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    entry = methods_of(direct.kind)[method]
    request = {name: value for name, value in read_given(entry, given).items() if name not in left_out(entry)}
    incident, step, why = (plain_text(given.get(one.name, "")) for one in STEP)
    if entry.effect is Effect.READS:
        if not incident and "reference" in entry.request.model_fields and not request.get("reference"):
            raise InputError("no incident is named", "reference and snaphold_incident are empty", "give one of them")
        if not incident and "job" in entry.request.model_fields:
            raise InputError("no incident is named", "a job belongs to one", "give the snaphold_incident of the start")
        if entry.name == STATUS:
            return _followed(direct, given, request, incident, seconds)
        return _told(_within(seconds, entry.name, lambda: direct.call(entry.name, request, incident=incident or _NOT_NAMED)))
    if not incident or not step:
        raise InputError(f"{entry.name} changes something, so it needs snaphold_incident and snaphold_step",
                         "together they name the work, so that a repeat finds what the first one left")  # fmt: skip
    key = action_key(entry, request, incident, step)
    mark = (direct.kind, direct.url, key)
    with _lock:
        if mark in _at_work:
            raise TimedOutError(f"an earlier {entry.name} of this step is still at work", None, "run the same step again later")
        _at_work.add(mark)

    def call() -> dict[str, Any] | Job:
        try:
            return direct.call(entry.name, request, key=key, justification=why, incident=incident)
        finally:
            with _lock:
                _at_work.discard(mark)

    asked_at = {"asked_at": format_time(direct.clock.now())} if entry.name == START else {}
    return {**_told(_within(seconds, entry.name, call)), **asked_at}


def _followed(
    direct: Direct, given: Mapping[str, Any], request: Mapping[str, Any], incident: str, seconds: float
) -> dict[str, Any]:
    """Return where a backup stands; `way` says what to do: next, waiting (ask again), or error, also when it is late."""
    job, told = str(request.get("job", "")), {name: request.get(name, "") for name in ("asset", "pool", "job")}
    late, within = _deadline(given)
    is_late = late is not None and direct.clock.now() >= late
    try:
        answer = _within(seconds, STATUS, lambda: direct.call(STATUS, request, incident=incident))
    except SnapholdError as error:
        silent = isinstance(error, TimedOutError) or (isinstance(error, ProviderError) and error.retryable)
        if not silent or late is None:
            return {**failure(naming_job(error, job)), **told}
        if is_late:
            return {**failure(late_error(job, within, _LATE, error)), **told}
        return {**waiting(f"the question about the job got no answer: {error.what}"), **told}
    standing = standing_of(answer)
    if standing == RUNNING and is_late:
        return {**shown(answer), **failure(late_error(job, within, _LATE)), **told}
    if standing in (RUNNING, DONE):
        return {**shown(answer), **told, "success": True, "way": WAITING if standing == RUNNING else NEXT}
    return {**shown(answer), **failure(end_error(answer, job)), **told}


def _deadline(given: Mapping[str, Any]) -> tuple[datetime | None, str]:
    """Return when a backup is late, None when nothing was said of it, and the time that it has. Raises InputError."""
    asked_at, within = (plain_text(given.get(one.name, "")).strip() for one in WAIT)
    if not asked_at and not within:
        return None, ""
    try:
        return parse_time(asked_at) + parse_duration(within), within
    except ValueError as error:
        names = " and ".join(one.name for one in WAIT)
        raise InputError(f"{names} are no deadline", str(error), "give both: asked_at of backup_start, and e.g. 6h") from error


def _within(seconds: float, what: str, work: Callable[[], Any]) -> Any:
    """Return what the work returns, or raise TimedOutError; work that is late goes on, and its end is not heard."""
    found: list[Any] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001  it is raised where the answer is awaited
            faults.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimedOutError(
            f"{what} did not end within {seconds:g} seconds", "it may still be at work; Shuffle ends an action after 30",
            "run the same step again: it finds what this one left",
        )  # fmt: skip
    if faults:
        raise faults[0]
    return found[0]


def _told(found: dict[str, Any]) -> dict[str, Any]:
    good = found["outcome"] in ("succeeded", "partial")
    return {**shown(found), "success": good, "way": "next" if good else "error"}
