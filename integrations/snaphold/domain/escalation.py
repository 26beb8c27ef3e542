"""Notices: who was told of what in an incident, until when they must answer, and whether they did."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from pydantic import Field

from snaphold.domain.value import Identifier, Moment, Value


class NoticeState(str, Enum):
    """Where a notice stands. `overdue`: nobody answered in time; whoever was told must be reached another way."""

    WAITING = "waiting"
    ACKNOWLEDGED = "acknowledged"
    OVERDUE = "overdue"


class Notice(Value):
    """What must be told to a contact. `delivered_by` is empty while no platform has taken it: somebody must call."""

    id: Identifier
    incident: Identifier
    contact: Identifier = Field(description="The role of the contact, e.g. backup-team.")
    call: tuple[str, ...] = Field(description="Whom to call and how.")
    text: str = Field(min_length=1)
    tier: Identifier = Field(description="The most critical tier in scope; it set the deadline.")
    raised_by: Identifier
    raised_at: Moment
    acknowledge_by: Moment
    delivered_by: str = ""
    acknowledged_at: Moment | None = None
    acknowledged_by: str = Field(default="", description="Who answered.")
    recorded_by: str = Field(default="", description="Id of the person who wrote the answer down.")

    def state_at(self, moment: datetime) -> NoticeState:
        """Return where the notice stands at a moment. An answer that came late is still an answer."""
        if self.acknowledged_at is not None:
            return NoticeState.ACKNOWLEDGED
        return NoticeState.OVERDUE if moment >= self.acknowledge_by else NoticeState.WAITING
