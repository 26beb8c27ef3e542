"""Restore points: what a backup left behind."""

from __future__ import annotations

from pydantic import Field

from snaphold.domain.outcome import Outcome
from snaphold.domain.value import Identifier, Moment, Value


class QuiesceEvent(Value):
    """One line of the freeze/thaw log, e.g. frozen_at, copy_begin, copy_end, thawed_at with its reason."""

    at: Moment
    event: str
    detail: str = ""


class RestorePoint(Value):
    """A state that can be restored, in one pool, of one asset, for one incident."""

    id: Identifier = Field(description="Our own id; stays the same when the engine renames its snapshot.")
    incident: Identifier
    asset: Identifier
    pool: Identifier
    provider: Identifier
    engine: str = Field(description="Engine and version, e.g. `restic 0.14.0`.")
    reference: str = Field(description="The engine's own id of the snapshot.")
    former_references: tuple[str, ...] = ()
    key: str = Field(description="The idempotency key of the start.")
    taken_at: Moment
    outcome: Outcome
    size: int = Field(ge=0, description="Bytes of the source.")
    files: int = Field(ge=0)
    inventory: str = Field(default="", description="Path of the source inventory (JSON lines) taken while backing up.")
    inventory_sha256: str = ""
    encryption: str = Field(description="Method and key id, e.g. `restic AES-256, key 1a2b3c4d`.")
    consistency: str = Field(description="application-consistent, crash-consistent, or degraded with the reason.")
    quiesce_log: tuple[QuiesceEvent, ...] = ()
    verified_at: Moment | None = None
    verification: str = ""
    findings: tuple[str, ...] = ()
