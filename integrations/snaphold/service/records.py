"""What the service keeps in the registers: its tokens, and the jobs that go on."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import Field

from snaphold.domain.value import Identifier, Moment, Value


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
