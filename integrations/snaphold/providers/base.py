"""The port of backup engines and products. One adapter per file; the conformance suite runs against all of them.

A verb that an engine does not have is declared `unsupported` (why) or `approximate` (how); nothing pretends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol

from pydantic import Field

from snaphold.domain.asset import Application, Asset
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import QuiesceEvent, RestorePoint
from snaphold.domain.value import Identifier, Moment, Value


class Verb(str, Enum):
    """What a provider can be asked."""

    FIND_WORKLOAD = "find_workload"
    CHECK_HEALTH = "check_health"
    CAPACITY = "capacity"
    ESTIMATE = "estimate"
    START = "start"
    STATUS = "status"
    CANCEL = "cancel"
    RESTORE_POINTS = "restore_points"
    VERIFY = "verify"
    SET_RETENTION = "set_retention"
    HOLD = "hold"
    DELETE = "delete"
    SET_SCHEDULE = "set_schedule"
    OPEN_READ_ONLY = "open_read_only"
    PUBLISH = "publish"
    MARK_INFECTED = "mark_infected"


class Support(str, Enum):
    """How well a verb is supported."""

    FULL = "full"
    APPROXIMATE = "approximate"
    UNSUPPORTED = "unsupported"


class Capability(Value):
    """One verb's support; `detail` says how (approximate) or why not (unsupported)."""

    support: Support
    detail: str = ""


class Description(Value):
    """What a provider is: its name, engine and version, what it can do and how that was proved."""

    provider: Identifier
    engine: str = Field(description="Engine and version, e.g. `restic 0.14.0`.")
    capabilities: Mapping[Verb, Capability]
    proved_on: str = Field(description="`real system`, `vendor specification enforced`, ...")


class Workload(Value):
    """What of an asset will be backed up: absolute paths that exist, or a workload of a backup product.

    `name` is what the product calls it, `reference` the product's own id of it.
    """

    asset: Identifier
    paths: tuple[str, ...] = ()
    name: str = ""
    reference: str = ""
    application: Application | None = None


class Health(Value):
    """Whether an engine and its storage are fit for a backup, with every reason."""

    fit: bool
    reasons: tuple[str, ...] = ()


class Capacity(Value):
    """Room in the storage behind a pool, in bytes. None = the engine cannot tell, which is not `enough`.

    `elastic`: the storage grows as it is used (a cloud), so there is no room to compare with, only quotas and cost.
    """

    total: int | None
    free: int | None
    elastic: bool = False
    storage: str = Field(default="", description="Which storage it is: pools of the same one share its room.")


class Estimate(Value):
    """How many bytes a backup will add, and how that was found out."""

    bytes: int
    files: int
    method: str


class BackupOrder(Value):
    """A backup to start. `key` is the idempotency key and travels as the engine's tag or name."""

    key: str
    incident: Identifier
    workload: Workload
    full: bool = True
    tags: Mapping[str, str] = {}


class JobState(str, Enum):
    """Where a job stands. `done` says nothing about its outcome."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class JobStatus(Value):
    """A job as it stands. `restore_point` is set when the job left one, also a partial one."""

    job: Identifier
    state: JobState
    outcome: Outcome | None = Field(default=None, description="Set unless running.")
    bytes_done: int = 0
    bytes_total: int = 0
    restore_point: RestorePoint | None = None
    quiesce_log: tuple[QuiesceEvent, ...] = ()
    findings: tuple[str, ...] = ()


class Verification(Value):
    """What an integrity check of stored data found."""

    outcome: Outcome
    method: str
    findings: tuple[str, ...] = ()


class Publication(Value):
    """A restore point that is offered read-only to investigators, without a copy. `address` is where it is reached."""

    reference: str = Field(description="The product's own id of it; what ends it.")
    address: str
    until: Moment | None = Field(default=None, description="When the product ends it by itself.")


class Provider(Protocol):
    """A backup engine, set on one incident's own repository in one pool.

    Every verb raises ProviderError (refused or failed, with what/why/do), MissingToolError or TimedOutError. A
    verb that is unsupported raises ProviderError naming the reason.
    """

    def describe(self) -> Description:
        """Return what this provider is and can do."""
        ...

    def find_workload(self, asset: Asset) -> Workload:
        """Return what of the asset can be backed up. Raises ProviderError when a source is missing."""
        ...

    def check_health(self) -> Health:
        """Return whether engine, storage and password are fit. Never changes anything."""
        ...

    def capacity(self) -> Capacity:
        """Return the room behind the pool."""
        ...

    def estimate(self, workload: Workload) -> Estimate:
        """Return how much a backup of the workload would add."""
        ...

    def find_started(self, key: str) -> str | None:
        """Return the job that was started under this key, or None. This is what makes `start` repeatable."""
        ...

    def start(self, order: BackupOrder) -> str:
        """Start a backup and return its job id; the job goes on when the caller dies. Asks `find_started` first."""
        ...

    def status(self, job: str) -> JobStatus:
        """Return where a job stands. A job whose process vanished is failed unless its snapshot exists."""
        ...

    def cancel(self, job: str) -> JobStatus:
        """Stop a running job and return how it ended."""
        ...

    def restore_points(self) -> list[RestorePoint]:
        """Return the restore points of this incident in this pool, oldest first."""
        ...

    def verify(self, restore_point: RestorePoint) -> Verification:
        """Read back all stored data of the restore point and check it. Structure alone proves nothing."""
        ...

    def open_read_only(self, restore_point: RestorePoint, into: Path) -> Path:
        """Restore into the empty folder `into` without touching the source; return the root of the restored tree.

        A source path `/a/b` is found below the root at `a/b`.
        """
        ...

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Keep the restore point until then."""
        ...

    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        """Place or release a hold in the storage; return the restore point (its reference may have changed)."""
        ...

    def delete(self, restore_point: RestorePoint) -> None:
        """Delete for ever. Only ever called by the deletion action."""
        ...

    def set_schedule(self, asset: str, every_seconds: int | None) -> None:
        """Tighten the asset's regular schedule, or restore it with None.

        What stood before is kept by the adapter in the product or by `set_schedule`'s caller in the ledger; a repeat with
        the same interval changes nothing.
        """
        ...

    def publish(self, restore_point: RestorePoint, name: str) -> Publication:
        """Offer the restore point read-only to investigators, once per name."""
        ...

    def end_publication(self, reference: str) -> None:
        """End what `publish` began; one that ended already is left alone."""
        ...

    def mark_infected(self, restore_point: RestorePoint, reason: str) -> RestorePoint:
        """Tell the product that the restore point may hold malware, so that nobody restores it unawares."""
        ...


class JobTimes(Value):
    """When a job's parts happened."""

    started_at: Moment
    ended_at: Moment | None = None
