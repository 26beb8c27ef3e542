"""Grants, approvals, holds and documented exceptions: who may do what, until when, and why."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from snaphold.domain.stored_package import StoredPackage
from snaphold.domain.value import Identifier, Moment, Value


class Decision(str, Enum):
    """An answer at an approval gate. `expired`: nobody answered in time; it never counts as approved."""

    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


class ApprovalState(str, Enum):
    """Where an approval request stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


class ApprovalVote(Value):
    """One person's answer."""

    by: Identifier
    name: str
    login: str = ""
    decision: Decision
    reason: str = Field(min_length=1)
    at: Moment


class Approval(Value):
    """A question to people, its answers, and its end."""

    id: Identifier
    incident: Identifier
    run: str = Field(default="", description="The run that waits; empty when a SOAR asked.")
    step: str
    ask: str
    asked_of: str = Field(description="group/ROLE or individual/PERSON.")
    requested_by: Identifier
    requested_at: Moment
    expires_at: Moment
    needed: int = 1
    state: ApprovalState = ApprovalState.WAITING
    votes: tuple[ApprovalVote, ...] = ()
    escalated_to: str = ""
    requested_for: str = Field(default="", description="Who started it in the SOAR, when known; cannot answer either.")
    escalates_to: str = Field(default="", description="Whom it is put to when nobody has answered; of a SOAR's request.")
    escalation_seconds: int = Field(default=0, description="How long those have.")
    role: str = Field(default="", description="The role that an approval gives to the requester.")
    role_seconds: int = Field(default=0, description="For how long.")


class Grant(Value):
    """A time-bound right: one incident, one role, a set of actions. Signed; revocable; checked at every use."""

    id: Identifier
    incident: Identifier
    role: Identifier
    actions: tuple[str, ...]
    issued_to: Identifier
    issued_by: tuple[Identifier, ...]
    approval: str = ""
    issued_at: Moment
    expires_at: Moment
    justification: str
    revoked_at: Moment | None = None
    revoked_by: str = ""
    signature: str = ""


class Hold(Value):
    """A legal hold on one restore point or one evidence package. Deletion needs the empty set of holds."""

    id: Identifier
    incident: Identifier
    subject: Identifier
    subject_kind: str = Field(description="restore_point or evidence.")
    reason: str = Field(min_length=1)
    legal_basis: str = ""
    placed_by: Identifier
    placed_at: Moment
    released_at: Moment | None = None
    released_by: str = ""
    enforced_by: str = Field(default="", description="How the storage enforces it, or `register only`.")


class PromotionException(Value):
    """The documented exception by which a non-critical asset is treated as critical in one incident."""

    id: Identifier
    incident: Identifier
    asset: Identifier
    from_tier: Identifier
    to_tier: Identifier
    justification: str = Field(min_length=1)
    requested_by: Identifier
    approved_by: str = ""
    recorded_at: Moment
    expires_at: Moment


class EvidenceRecord(Value):
    """A sealed evidence package as the register knows it."""

    id: Identifier
    incident: Identifier
    path: str
    sealed_at: Moment
    tag_manifest_sha256: str
    signed_by: str
    timestamped: bool
    restore_points: tuple[Identifier, ...] = ()
    payload_bytes: int = 0
    vault: StoredPackage | None = Field(default=None, description="Where it rests beside `path`; none: only there.")
    status: str = "sealed"
