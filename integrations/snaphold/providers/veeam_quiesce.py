"""What Veeam's log of a machine says about its guest: frozen, thawed, or not. The lines are kept as evidence.

The log is text for people and may be translated; its words are looked for, and every line about the guest is kept as it is.
"""

from __future__ import annotations

import re

from snaphold.domain.restore_point import QuiesceEvent
from snaphold.providers.veeam_answers import Log, LogRecord, TaskSession
from snaphold.providers.veeam_session import VeeamSession

APPLICATION_CONSISTENT = "application-consistent"
CRASH_CONSISTENT = "crash-consistent"
FROZEN, THAWED, GUEST = "frozen_at", "thawed_at", "guest_processing"
MOST_LINES = 500
_THAW = re.compile(r"thaw|unfreez|unfroz|releas\w* guest", re.IGNORECASE)
_FREEZE = re.compile(r"fr(?:eez|oz)|quiesc", re.IGNORECASE)
_GUEST = re.compile(r"guest|vss|application-aware|pre-freeze|post-thaw|transaction log|snapshot", re.IGNORECASE)
_WRONG = ("warning", "failed")


def quiesce_events(session: VeeamSession, task: TaskSession) -> tuple[QuiesceEvent, ...]:
    """Return the lines of a machine's log that are about its guest, in their order, with what each means."""
    log = session.get(f"/api/v1/taskSessions/{task.id}/logs", Log, f"the log of {task.name}")
    events = [_event(session, record) for record in log.records if record.started is not None and _is_about_guest(record)]
    return tuple(event for event in events if event is not None)[:MOST_LINES]


def _text(record: LogRecord) -> str:
    return " - ".join(part for part in (record.title, record.description) if part)


def _is_about_guest(record: LogRecord) -> bool:
    text = _text(record)
    return any(pattern.search(text) for pattern in (_THAW, _FREEZE, _GUEST))


def _event(session: VeeamSession, record: LogRecord) -> QuiesceEvent | None:
    if record.started is None:
        return None
    text, wrong = _text(record), record.status in _WRONG
    event = GUEST if wrong else THAWED if _THAW.search(text) else FROZEN if _FREEZE.search(text) else GUEST
    zone = "" if record.started.tzinfo else " [no zone given: server time]"
    status = f"[{record.status}] " if wrong else ""
    return QuiesceEvent(at=session.at(record.started), event=event, detail=f"{status}{text}{zone}")


def consistency_of(aware: str, events: tuple[QuiesceEvent, ...]) -> tuple[str, list[str]]:
    """Return how consistent the backup is as far as the log shows it, and what is doubtful about it.

    It is application-consistent only when the log shows the guest frozen, then thawed, and nothing wrong with it.
    """
    if aware == "off":
        return CRASH_CONSISTENT, []
    names = [event.event for event in events]
    wrong = [event.detail for event in events if event.detail.startswith(tuple(f"[{word}]" for word in _WRONG))]
    if wrong:
        return f"degraded: {wrong[0]}", [f"guest processing: {text}" for text in wrong]
    if FROZEN in names and THAWED in names[names.index(FROZEN) :]:
        return APPLICATION_CONSISTENT, []
    doubt = "the log shows no freeze and thaw of the guest"
    return f"degraded: {doubt}", [f"guest processing: {doubt}"]
