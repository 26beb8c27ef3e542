"""ServiceNow's changes: open an emergency change once, close one along the states that it allows, read a standard one."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence

from snaphold.config import Integration
from snaphold.errors import InputError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.http import Answer, NoAnswerError
from snaphold.http_session import read_answer
from snaphold.platforms.base import Change, ChangeOrder, ChangeState, StandardChange
from snaphold.platforms.servicenow_cmdb import find_items
from snaphold.platforms.servicenow_rows import (
    NUMBER,
    SYS_ID,
    ChangeAnswer,
    NextStatesAnswer,
    Row,
    RowList,
    WorkerAnswer,
    cell,
    encoded_query,
    refusal,
)
from snaphold.platforms.servicenow_session import ServiceNowSession

_API = "/api/sn_chg_rest/change"
_FIELDS = ("number", "state", "type", "correlation_id", "short_description")
_STATES = {
    "-5": ChangeState.OPEN,
    "-4": ChangeState.OPEN,
    "-3": ChangeState.OPEN,
    "-2": ChangeState.APPROVED,
    "-1": ChangeState.APPROVED,
    "0": ChangeState.APPROVED,
    "3": ChangeState.CLOSED,
    "4": ChangeState.CANCELLED,
}
"""The states as shipped. A customer may change them; a state that is not here is unknown."""
_TOWARDS_CLOSED = ("3", "0", "-1")
"""What is tried on the way to closed, the nearest first. Nothing is ever approved from here."""
_MOST_STEPS = 4
_WORKER_POLLS, _WORKER_SECONDS = 10, 1.0
_WORKER_COMPLETE = "3"
_OK, _CREATED, _SERVER_ERROR = 200, 201, 500
_TEMPLATE_NAME = re.compile(r"[^\^\r\n]{1,160}")


def correlation_of(key: str) -> str:
    """Return the correlation id of a key: the same for every attempt."""
    return f"snaphold-{hashlib.sha256(key.encode('utf-8')).hexdigest()[:32]}"


def open_change(session: ServiceNowSession, integration: Integration, order: ChangeOrder) -> Change:
    """Open an emergency change unless one of this key is there; what was left undone is in its findings."""
    correlation = correlation_of(order.key)
    found = _by(session, "correlation_id", correlation)
    if found is not None:
        return _change(found, found_before=True)
    fields = {
        "short_description": order.summary,
        "description": order.description,
        "justification": order.justification,
        "correlation_id": correlation,
        "correlation_display": f"Snaphold {order.incident}",
    }
    if "assignment_group" in integration.settings:
        fields["assignment_group"] = integration.settings["assignment_group"]
    what = "opening an emergency change"
    try:
        answer = session.call("POST", f"{_API}/emergency", document=fields)
    except NoAnswerError as error:
        if not error.sent:
            raise
        return _opened_after(session, correlation, str(error.why))
    if answer.status in (_OK, _CREATED):
        try:
            made = read_answer(answer, ChangeAnswer, "the new change")
        except UnknownOutcomeError as error:
            return _opened_after(session, correlation, str(error.why))
        change = _read_change(session, made)
        findings = [f"ServiceNow ignored the field {name}" for name in made.ignored]
        return change.model_copy(update={"findings": (*findings, *_associate(session, change.reference, order.assets))})
    if answer.status >= _SERVER_ERROR:
        found = _by(session, "correlation_id", correlation)
        if found is not None:
            return _change(found)
    raise refusal(answer, what)


def close_change(session: ServiceNowSession, reference: str, *, successful: bool, notes: str) -> Change:
    """Bring a change to closed along the states that it allows. Raises ProviderError where it may not go further."""
    row = _find(session, reference)
    change = _change(row, found_before=True)
    if change.state in (ChangeState.CLOSED, ChangeState.CANCELLED):
        return change
    for _ in range(_MOST_STEPS):
        available = _next_states(session, change)
        step = next((state for state in _TOWARDS_CLOSED if state in available and state != cell(row, "state").value), None)
        if step is None:
            raise ProviderError(
                f"{change.number} cannot be closed now",
                f"it is {change.vendor_state}; it may go to {', '.join(available) or 'no other state'}",
                "have it approved or its tasks ended in ServiceNow, then try again",
            )
        fields = {"state": step}
        if step == "3":
            fields |= {"close_code": "successful" if successful else "unsuccessful", "close_notes": notes}
        change = _move(session, change, fields)
        if change.state is ChangeState.CLOSED:
            return change
        row = _find(session, change.reference)
    raise UnknownOutcomeError(f"{change.number} does not reach closed", f"it is {change.vendor_state}", "look at it")


def check_standard_change(session: ServiceNowSession, name: str) -> StandardChange:
    """Return whether the standard change template of that name may be used. Raises InputError when there is none."""
    if not _TEMPLATE_NAME.fullmatch(name):
        raise InputError(f"{name!r} is not the name of a standard change")
    answer = session.call("GET", f"{_API}/standard/template", query={"sysparm_query": encoded_query({"name": name})})
    if answer.status != _OK:
        raise refusal(answer, "reading standard changes")
    listed = read_answer(answer, RowList, "standard changes").result
    fitting = [row for row in listed if "sys_id" in row and "name" in row and row["name"].value == name]
    if not fitting:
        raise InputError(f"there is no standard change {name!r}", f"{len(listed)} others were answered", "check its name")
    if len(fitting) > 1:
        raise InputError(f"there are {len(fitting)} standard changes {name!r}", None, "give each a name of its own")
    row = fitting[0]
    active = cell(row, "active").value
    reason = {"true": "", "false": "it is retired"}.get(active, "it does not say whether it is active")
    return StandardChange(reference=row["sys_id"].value, name=name, usable=active == "true", reason=reason)


def _by(session: ServiceNowSession, field: str, value: str) -> Row | None:
    rows = session.rows("change_request", {field: value}, _FIELDS)
    if len(rows) > 1:
        numbers = ", ".join(cell(row, "number").value for row in rows)
        raise UnknownOutcomeError(f"there are {len(rows)} changes of one {field}", numbers, "close what is too many by hand")
    return rows[0] if rows else None


def _find(session: ServiceNowSession, reference: str) -> Row:
    if not (SYS_ID.fullmatch(reference) or NUMBER.fullmatch(reference)):
        raise InputError(f"{reference!r} is not a change", "it is a number such as CHG0030001, or a sys_id")
    row = _by(session, "sys_id" if SYS_ID.fullmatch(reference) else "number", reference)
    if row is None:
        raise InputError(f"ServiceNow knows nothing of change {reference}", "it may be hidden from the user", "check it")
    return row


def _change(row: Row, *, found_before: bool = False) -> Change:
    state = cell(row, "state")
    return Change(
        reference=row["sys_id"].value,
        number=cell(row, "number").value,
        state=_STATES.get(state.value, ChangeState.UNKNOWN),
        vendor_state=state.shown or state.value,
        found=found_before,
    )


def _read_change(session: ServiceNowSession, made: ChangeAnswer) -> Change:
    """Return the change that was opened, read back: the answer to opening need not hold its number."""
    reference = made.row["sys_id"].value
    if not SYS_ID.fullmatch(reference):
        raise UnknownOutcomeError("ServiceNow opened a change without an id", repr(reference)[:100], "look at it")
    try:
        return _change(_find(session, reference))
    except SnapholdError:
        # It was opened: that it cannot be read back is no failure to open it.
        return _change(made.row)


def _opened_after(session: ServiceNowSession, correlation: str, why: str) -> Change:
    try:
        found = _by(session, "correlation_id", correlation)
    except SnapholdError as error:
        why, found = f"{why}; it cannot be looked up: {error.what}", None
    if found is None:
        raise UnknownOutcomeError("it is not known whether a change was opened", why, f"look for {correlation}")
    return _change(found)


def _next_states(session: ServiceNowSession, change: Change) -> list[str]:
    answer = session.call("GET", f"{_API}/{change.reference}/nextstates")
    if answer.status != _OK:
        raise refusal(answer, f"the next states of {change.number}")
    return read_answer(answer, NextStatesAnswer, f"the next states of {change.number}").result.available_states


def _move(session: ServiceNowSession, change: Change, fields: Mapping[str, str]) -> Change:
    """Ask for a state, then read where the change really stands: that is the proof, whatever was answered."""
    answer: Answer | None = None
    why = ""
    try:
        answer = session.call("PATCH", f"{_API}/emergency/{change.reference}", document=dict(fields))
    except NoAnswerError as error:
        if not error.sent:
            raise
        why = str(error.why)
    if answer is not None:
        why = f"HTTP status {answer.status}"
        if answer.status != _OK and answer.status < _SERVER_ERROR:
            raise refusal(answer, f"setting the state of {change.number}")
    row = _find(session, change.reference)
    if cell(row, "state").value != fields["state"]:
        raise UnknownOutcomeError(f"{change.number} did not go on", f"{why}; it is {cell(row, 'state').shown}", "look at it")
    return _change(row)


def _associate(session: ServiceNowSession, reference: str, assets: Sequence[str]) -> list[str]:
    """Name the assets in the change as affected; return what could not be done. The change itself stands."""
    if not assets:
        return []
    try:
        known, findings = find_items(session, assets)
        if known:
            items = ",".join(row["sys_id"].value for row in known.values())
            answer = session.call(
                "POST", f"{_API}/{reference}/ci", document={"cmdb_ci_sys_ids": items, "association_type": "affected"}
            )
            if answer.status not in (_OK, _CREATED):
                raise refusal(answer, "naming the assets in the change")
            findings += _await(session, read_answer(answer, WorkerAnswer, "naming the assets"))
    except SnapholdError as error:
        return [f"the assets are not named in the change: {error.what} ({error.why})"]
    return findings


def _await(session: ServiceNowSession, begun: WorkerAnswer) -> list[str]:
    """Ask after slow work until it is complete; return what went wrong."""
    worker = begun.result
    for _ in range(_WORKER_POLLS):
        if worker.state.value == _WORKER_COMPLETE or worker.messages.errors:
            return [f"ServiceNow says of the assets: {text}" for text in worker.messages.errors]
        time.sleep(_WORKER_SECONDS)
        answer = session.call("GET", f"{_API}/worker/{worker.worker.sys_id}")
        if answer.status != _OK:
            raise refusal(answer, "asking after slow work")
        worker = read_answer(answer, WorkerAnswer, "slow work").result
    return ["ServiceNow is still at work naming the assets in the change"]
