"""The loop between the case of an incident and its backups, and what keeps it from running in circles.

A message of a platform is never believed: it only says that it is time to look. Messages about our own notes are left
alone, so are those that tell nothing new, and a case is looked at only so often in a window; what was left alone then is
made up for by `catch_up`, which also finds out what happened while nothing of ours was running.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from snaphold.action import Result, find_action
from snaphold.clock import Clock, format_duration
from snaphold.context import Context
from snaphold.domain.case_traffic import WINDOW, CaseGuard, next_look
from snaphold.domain.incident import Incident, IncidentRecord, IncidentStatus
from snaphold.domain.retention import CaseRecord
from snaphold.domain.value import IDENTIFIER_PATTERN
from snaphold.engine.locks import exclusively
from snaphold.errors import InputError, SnapholdError
from snaphold.execute import action_key, execute
from snaphold.ledger.entry import Event, NewEntry
from snaphold.platforms.base import CaseStatus
from snaphold.platforms.marker import is_ours
from snaphold.runtime import Runtime

ACTION = "case.synchronise"
STEP = "case-loop"
JUSTIFICATION = "The status of the case drives the retention of its backups"
LOOK_EVERY = timedelta(hours=12)
"""An open case is looked at so often without any message, so that a lost one does no harm."""
MOST_AT_ONCE = 200


@dataclass(frozen=True)
class LoopAnswer:
    """What became of one message or one look: whether the case was looked at, why (not), and the action's result."""

    incident: str
    looked: bool
    why: str
    result: Result | None = None


def on_status(
    runtime: Runtime,
    incident_id: str,
    platform: str,
    status: CaseStatus,
    *,
    reference: str = "",
    text: str = "",
) -> LoopAnswer:
    """Take a message that a case changed. `platform` is the integration's name, `text` whatever text the message carries.

    Returns what became of it. Raises InputError when the incident is unknown here, and what case.synchronise raises; a
    look that failed is owed, and `catch_up` does it.
    """
    if is_ours(text):
        return LoopAnswer(incident_id, looked=False, why="it is the echo of a note of ours")
    with _one_at_a_time(runtime, incident_id):
        incident = find_incident(runtime, incident_id)
        case = runtime.ledger.record(CaseRecord, incident_id)
        guard = runtime.ledger.record(CaseGuard, incident_id)
        now = runtime.clock.now()
        if case is not None and case.integration not in ("", platform):
            return LoopAnswer(incident_id, looked=False, why=f"the case is followed in {case.integration}")
        since = now - guard.last_look if guard is not None and not guard.owed else None
        if case is not None and since is not None and _is_as(case, status) and since < WINDOW:
            return LoopAnswer(incident_id, looked=False, why=f"it tells nothing new since {format_duration(since)}")
        return _look(runtime, incident, guard, platform=platform, reference=reference)


def catch_up(
    runtime: Runtime, *, on_error: Callable[[str, SnapholdError], None], every: timedelta = LOOK_EVERY
) -> list[LoopAnswer]:
    """Look at the cases that are owed a look, and at open ones that nobody looked at for so long.

    To be called when a process starts and then regularly. A case that fails is told to `on_error` and stays owed; the
    others go on. Returns what was done.
    """
    answers: list[LoopAnswer] = []
    for case in runtime.ledger.records(CaseRecord):
        if len(answers) >= MOST_AT_ONCE:
            break
        if not case.integration:
            continue
        try:
            with _one_at_a_time(runtime, case.id):
                guard = runtime.ledger.record(CaseGuard, case.id)
                if not _is_due(runtime.ledger.record(CaseRecord, case.id) or case, guard, runtime.clock, every):
                    continue
                incident = find_incident(runtime, case.id)
                answers.append(_look(runtime, incident, guard, platform=case.integration, reference=case.reference))
        except SnapholdError as error:
            on_error(case.id, error)
    return answers


def find_incident(runtime: Runtime, incident_id: str) -> Incident:
    """Return an incident that this installation was told of. Raises InputError when it was not."""
    told = runtime.ledger.record(IncidentRecord, incident_id)
    if told is not None:
        return told.declared
    case = runtime.ledger.record(CaseRecord, incident_id)
    if case is not None and case.declared is not None:
        return case.declared
    raise InputError(
        f"the incident {incident_id[:128]!r} is not known here", "nobody sent it, and its case was never looked at",
        f"snaphold do {ACTION} --incident FILE",
    )  # fmt: skip


def followed_incident(runtime: Runtime, integration: str, reference: str) -> str:
    """Return the id of the incident whose case has this reference in the integration; empty when none is followed."""
    cases = runtime.ledger.records(CaseRecord)
    return next((case.id for case in cases if (case.integration, case.reference) == (integration, reference)), "")


def _look(runtime: Runtime, incident: Incident, guard: CaseGuard | None, *, platform: str, reference: str) -> LoopAnswer:
    counted = next_look(guard, incident.id, runtime.clock.now())
    if counted is None:
        if guard is not None and not guard.owed:
            _keep(runtime, guard.model_copy(update={"owed": True}), "case.damped")
        return LoopAnswer(incident.id, looked=False, why="the case was looked at often enough; the next look follows later")
    # Counted before it is done: what fails or dies counts too, and is owed until it ended well.
    _keep(runtime, counted.model_copy(update={"owed": True}), "case.look")
    given = {"integration": platform, "reference": reference, "occasion": f"look-{counted.looks}"}
    key = action_key(find_action(ACTION), given, incident.id, STEP)
    context: Context = runtime.context(incident, justification=JUSTIFICATION, key=key)
    result = execute(ACTION, given, context)
    _keep(runtime, counted, "case.looked")
    return LoopAnswer(incident.id, looked=True, why="", result=result)


def _is_due(case: CaseRecord, guard: CaseGuard | None, clock: Clock, every: timedelta) -> bool:
    if guard is None:
        return True
    since = clock.now() - guard.last_look
    if guard.owed:
        return since >= WINDOW
    return case.status is IncidentStatus.OPEN and since >= every


def _is_as(case: CaseRecord, status: CaseStatus) -> bool:
    return status is not CaseStatus.UNKNOWN and (status is CaseStatus.RESOLVED) == (case.status is IncidentStatus.CLOSED)


def _keep(runtime: Runtime, guard: CaseGuard, action: str) -> None:
    entry = NewEntry(
        event=Event.SERVICE,
        actor=runtime.actor.id,
        login=runtime.actor.login,
        incident=guard.incident,
        action=action,
        detail={"looks": guard.looks, "in_window": guard.in_window, "owed": guard.owed},
    )
    runtime.ledger.append(entry, [guard])


def _one_at_a_time(runtime: Runtime, incident_id: str) -> AbstractContextManager[None]:
    if not re.match(IDENTIFIER_PATTERN, incident_id):
        raise InputError(f"{incident_id[:128]!r} cannot be the id of an incident", "letters, digits and . _ @ - only")
    return exclusively(runtime.configuration.state_folder / "locks" / f"case-{incident_id}-loop")
