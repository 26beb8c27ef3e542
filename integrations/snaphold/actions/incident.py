"""Incidents in the system that declared them: read, add a note, set a status."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from pydantic import Field

from snaphold.action import Effect, Needs, Recovery, Request, Result, action
from snaphold.context import Context
from snaphold.domain.outcome import Outcome

if TYPE_CHECKING:
    from snaphold.platforms.base import Case, Platform, PlatformVerb

_REFERENCE = "The incident's number or id in its system; left out, the id of the incident."
_INTEGRATION = "The integration; left out, the only one that can do it."


class ReadIncident(Request):
    """Input of incident.read."""

    reference: str = Field(default="", max_length=200, description=_REFERENCE, examples=["INC0010002"])
    integration: str = Field(default="", max_length=128, description=_INTEGRATION, examples=["itsm"])


class IncidentRead(Result):
    """The incident as its system shows it."""

    reference: str = Field(description="The system's own id.", examples=["c537bae64f411200adf9f8e18110c76e"])
    number: str = Field(description="The number that people use.", examples=["INC0010002"])
    title: str = Field(description="Its title.", examples=["Ransomware on the file server"])
    status: str = Field(description="open, acknowledged, resolved or unknown.", examples=["open"])
    vendor_status: str = Field(description="The system's own word for the status.", examples=["In Progress"])
    urgency: str = Field(description="The system's own word for the urgency.", examples=["1 - High"])
    address: str = Field(description="Where a person reads it; empty when not known.", examples=["https://itsm.example.org/x"])


@action(
    "incident.read",
    title="Read an incident from its system",
    effect=Effect.READS,
    needs=Needs.PLATFORM,
    recovery=Recovery.IDEMPOTENT,
)
def read(request: ReadIncident, context: Context) -> IncidentRead:
    """Read an incident where it was declared, e.g. to see whether the case is still open."""
    from snaphold.platforms.base import PlatformVerb

    platform = _platform(context, PlatformVerb.READ_INCIDENT, request.integration)
    return _shown(platform.read_incident(request.reference or context.incident.id))


class AddNote(Request):
    """Input of incident.add_note."""

    text: str = Field(min_length=1, max_length=10_000, description="The note.", examples=["Backup done: RP-orders-db-1a2b3c4d"])
    reference: str = Field(default="", max_length=200, description=_REFERENCE, examples=["INC0010002"])
    integration: str = Field(default="", max_length=128, description=_INTEGRATION, examples=["itsm"])


class NoteAdded(Result):
    """The note."""

    note: str = Field(description="The system's id of the note.", examples=["N000001"])
    found: bool = Field(description="Whether it stood there already, from an attempt before.", examples=[False])


@action(
    "incident.add_note",
    title="Add a note to an incident in its system",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.LOOKS_UP,
    key_fields=("reference", "integration", "text"),
)
def add_note(request: AddNote, context: Context) -> NoteAdded:
    """Add a note once. It carries a mark by which a repeat finds it; what listens to the system knows by it that it is ours."""
    from snaphold.platforms.base import PlatformVerb

    platform = _platform(context, PlatformVerb.ADD_NOTE, request.integration)
    note = platform.add_note(request.reference or context.incident.id, request.text, context.key)
    return NoteAdded(outcome=Outcome.SUCCEEDED, note=note.reference, found=note.found)


class WantedStatus(str, Enum):
    """Into which status an incident is brought."""

    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class SetStatus(Request):
    """Input of incident.set_status."""

    status: WantedStatus = Field(description="acknowledged or resolved.", examples=["acknowledged"])
    note: str = Field(default="", max_length=10_000, description="Why; added as a note.", examples=["Evidence is sealed."])
    reference: str = Field(default="", max_length=200, description=_REFERENCE, examples=["INC0010002"])
    integration: str = Field(default="", max_length=128, description=_INTEGRATION, examples=["itsm"])


@action(
    "incident.set_status",
    title="Acknowledge or resolve an incident in its system",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.LOOKS_UP,
    key_fields=("reference", "integration", "status"),
)
def set_status(request: SetStatus, context: Context) -> IncidentRead:
    """Bring an incident into a status. One that is there already, or resolved, is left alone."""
    from snaphold.platforms.base import CaseStatus, PlatformVerb

    platform = _platform(context, PlatformVerb.SET_STATUS, request.integration)
    reference = request.reference or context.incident.id
    return _shown(platform.set_status(reference, CaseStatus(request.status.value), request.note, context.key))


def _platform(context: Context, verb: PlatformVerb, integration: str) -> Platform:
    from snaphold.platforms.registry import open_able

    return open_able(context.configuration, verb, integration, context.run)[1]


def _shown(case: Case) -> IncidentRead:
    return IncidentRead(
        outcome=Outcome.SUCCEEDED,
        reference=case.reference,
        number=case.number,
        title=case.title,
        status=case.status.value,
        vendor_status=case.vendor_status,
        urgency=case.urgency,
        address=case.address,
    )
