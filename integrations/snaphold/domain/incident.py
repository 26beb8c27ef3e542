"""The incident that a backup serves."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from snaphold.domain.value import Identifier, Moment, Value

Severity = Annotated[int, Field(ge=1, le=5)]
"""1 is the worst, 5 the least."""


class IncidentStatus(str, Enum):
    """Whether the case is open; an open case extends retention."""

    OPEN = "open"
    CLOSED = "closed"


class Incident(Value):
    """An incident as it arrives from a SOAR, an ITSM system or a file."""

    id: Identifier = Field(description="The incident's id in the system that declared it.", examples=["INC-2026-0042"])
    title: str = Field(min_length=1, max_length=500, description="One line.", examples=["Ransomware on the file server"])
    severity: Severity = Field(description="1 (worst) to 5.", examples=[1])
    category: Identifier = Field(description="What kind of incident it is.", examples=["ransomware"])
    declared_at: Moment = Field(description="When it was declared (RFC 3339).", examples=["2026-11-22T18:00:00Z"])
    assets: tuple[Identifier, ...] = Field(min_length=1, description="The assets in scope.", examples=[["files-01"]])
    status: IncidentStatus = Field(default=IncidentStatus.OPEN, description="open or closed.", examples=["open"])
    reported_by: str = Field(default="", max_length=200, description="Who reported it.", examples=["edr@example.org"])
    source: str = Field(default="manual", max_length=100, description="The system it comes from.", examples=["xsoar"])
    description: str = Field(default="", max_length=20000, description="Free text; never trusted.", examples=["Mass renames."])


class IncidentRecord(Value):
    """An incident as Snaphold was last told of it, by the service or by the start of a run.

    A SOAR sends the incident once and later steps name only its id. The register needs `id` and `incident` of a record;
    the incident itself is kept unchanged in `declared`. Each change is an entry of its own, so that nobody can widen
    the scope of an incident without leaving who, when and by which token.
    """

    id: Identifier
    incident: Identifier
    declared: Incident
    told_by: Identifier
    told_at: Moment
