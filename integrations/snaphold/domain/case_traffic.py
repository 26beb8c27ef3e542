"""How much went between Snaphold and the case of an incident: notes once per milestone, and a limit for both directions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum

from pydantic import Field

from snaphold.domain.value import Identifier, Moment, Value

WINDOW = timedelta(minutes=10)
"""In one window of this length, a case gets at most so many notes and is looked at so often."""
MOST_NOTES = 6
MOST_LOOKS = 6


class NoteState(str, Enum):
    """Where a note stands. `waiting`: the case had enough notes; it goes with the next one that is written."""

    WAITING = "waiting"
    WRITTEN = "written"


class CaseNote(Value):
    """A note about progress, for one milestone of one case. It is written once, whoever asks and however often."""

    id: Identifier
    incident: Identifier
    integration: str
    reference: str
    milestone: Identifier
    text: str
    state: NoteState
    asked_at: Moment
    written_at: Moment | None = None
    note: str = Field(default="", description="The system's id of the note; several may have gone together.")


class CaseGuard(Value):
    """What keeps an echo from becoming a storm: when the window began, how often the case was looked at, what is owed.

    `looks` counts for ever and gives each look a key of its own.
    """

    id: Identifier
    incident: Identifier
    window_began: Moment
    in_window: int = Field(ge=0)
    looks: int = Field(ge=0)
    owed: bool = Field(default=False, description="A message was left alone that may have been news: look after the window.")
    last_look: Moment


def may_write(notes: Iterable[CaseNote], now: datetime) -> bool:
    """Return whether the case may get one more note in the window that ends now. Notes that went together count once."""
    recent = {note.note or note.id for note in notes if note.written_at is not None and now - note.written_at < WINDOW}
    return len(recent) < MOST_NOTES


def next_look(guard: CaseGuard | None, incident: str, now: datetime) -> CaseGuard | None:
    """Return the guard after one more look; None when the window has had enough of them."""
    if guard is None:
        return CaseGuard(id=incident, incident=incident, window_began=now, in_window=1, looks=1, last_look=now)
    update: dict[str, object] = {"looks": guard.looks + 1, "last_look": now, "owed": False}
    if not timedelta(0) <= now - guard.window_began < WINDOW:
        return guard.model_copy(update={**update, "window_began": now, "in_window": 1})
    if guard.in_window >= MOST_LOOKS:
        return None
    return guard.model_copy(update={**update, "in_window": guard.in_window + 1})
