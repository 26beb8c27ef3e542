"""What the service keeps in the registers: its tokens, and the jobs that go on."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import Field

from snaphold.domain.incident import Incident
from snaphold.domain.value import Identifier, Moment, Value
from snaphold.platforms.base import CaseStatus
from snaphold.webhooks.triggers import ScheduleOrder


class ApiToken(Value):
    """A token as it is kept: never the token itself, only its SHA-256.

    The token is 32 random bytes, so nothing is gained by a slow hash: those protect what people think up.
    """

    id: Identifier
    incident: str = Field(default="", description="A token belongs to no incident.")
    person: Identifier = Field(description="In whose name it acts.")
    roles: tuple[Identifier, ...] = Field(description="The only roles that it has; the person may have more.")
    sha256: str
    note: str = ""
    may_approve: bool = Field(default=False, description="Whether it may answer approvals.")
    may_use_grants: bool = Field(default=False, description="Whether grants of the person count for it.")
    created_by: Identifier
    created_at: Moment
    expires_at: Moment
    revoked_at: Moment | None = None
    revoked_by: str = ""
    last_used_at: Moment | None = Field(default=None, description="To the hour.")


class WebSession(Value):
    """A browser in which somebody signed in with a token. Only the SHA-256 of the cookie is kept."""

    id: Identifier
    incident: str = Field(default="", description="A session belongs to no incident.")
    person: Identifier
    token: Identifier = Field(description="It acts as this token does, and ends with it.")
    sha256: str
    form_key: str = Field(description="Stands in every form of the session, so that another site cannot send one.")
    begun_at: Moment
    expires_at: Moment
    ended_at: Moment | None = None


class JobState(str, Enum):
    """Where a job stands. `done`: there is a result, whatever its outcome. `unknown`: nobody can say what happened."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class ServiceJob(Value):
    """An action that takes longer than a request may, with all that is needed to find out about it after a restart."""

    id: Identifier
    incident: Identifier
    action: str
    key: str = Field(default="", description="The idempotency key; empty for what only reads.")
    requested_by: Identifier
    requested_at: Moment
    owner: str = Field(description="The process that works on it.")
    state: JobState = JobState.RUNNING
    ended_at: Moment | None = None
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class DeliveryState(str, Enum):
    """Where a delivery stands. `accepted`: it is recorded, and what it asks for is being done."""

    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"


class WebhookDelivery(Value):
    """A delivery that was accepted: everything that is to be done for it, so that a crash loses nothing."""

    id: Identifier
    incident: Identifier
    webhook: Identifier
    event: str
    occurred_at: Moment | None
    received_at: Moment
    body_sha256: str
    declared: Incident
    playbooks: tuple[str, ...] = Field(default=(), description="To be started; auto: severity and category decide.")
    schedules: tuple[ScheduleOrder, ...] = Field(default=(), description="To be tightened or restored.")
    status: CaseStatus | None = Field(default=None, description="Where the source says that the incident stands.")
    vendor_status: str = ""
    state: DeliveryState = DeliveryState.ACCEPTED
    runs: tuple[Identifier, ...] = ()
    findings: tuple[str, ...] = ()
    attempts: int = 0
    ended_at: Moment | None = None


class AlertGroup(Value):
    """A group of alerts that fired: as long as it is open, all that is told of it belongs to one incident."""

    id: Identifier
    incident: Identifier
    open: bool


class CaseStatusSeen(Value):
    """Where a source without an integration says that an incident stands; nobody can be asked whether that is so."""

    id: Identifier
    incident: Identifier
    webhook: Identifier
    status: CaseStatus
    vendor_status: str = ""
    occurred_at: Moment
