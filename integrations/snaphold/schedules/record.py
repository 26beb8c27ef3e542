"""What is kept of a schedule that was tightened: written before the product is touched, so that a crash loses nothing."""

from __future__ import annotations

from enum import Enum
from typing import Protocol, runtime_checkable

from pydantic import Field

from snaphold.clock import Positive
from snaphold.domain.value import Identifier, Moment, Value
from snaphold.webhooks.message import short_id


class TakenBy(str, Enum):
    """Who makes the more frequent backups: the product by its own schedule, or Snaphold's service."""

    PRODUCT = "product"
    SERVICE = "service"


class KeptSchedule(Value):
    """What stood in a product before. `document` is the product's own form, for nobody but its adapter."""

    every_seconds: int | None = Field(default=None, description="Its interval, when it has one.")
    document: str = ""


@runtime_checkable
class ReadsSchedule(Protocol):
    """What an adapter has when its product does not keep the former schedule by itself."""

    def read_schedule(self, asset: str) -> KeptSchedule:
        """Return the asset's regular schedule as it stands."""
        ...

    def restore_schedule(self, asset: str, kept: KeptSchedule) -> None:
        """Bring back what `read_schedule` gave; a repeat changes nothing."""
        ...


class Demand(Value):
    """One reason for a tighter schedule, and until when it holds."""

    reason: Identifier = Field(description="The alert, or the incident of a playbook.")
    incident: Identifier
    every: Positive
    since: Moment
    until: Moment
    by: Identifier = Field(description="In whose name.")


class TightenedSchedule(Value):
    """The schedule of one asset in one pool. `wanted` differs from `applied` while a change is on its way, or was lost.

    `None` is the schedule that stood before. Extra backups of the service are those of the interval `slot`.
    """

    id: Identifier
    incident: str = Field(default="", description="The incident whose demand came first.")
    asset: Identifier
    pool: Identifier
    taken_by: TakenBy
    demands: tuple[Demand, ...] = ()
    wanted: int | None = Field(default=None, description="Interval in seconds that the demands ask for.")
    applied: int | None = Field(default=None, description="Interval in seconds that the product is known to have.")
    in_doubt: bool = Field(default=False, description="The product was asked to change, and the answer is not written down.")
    original: KeptSchedule | None = Field(default=None, description="What stood before; kept until it is back.")
    changed_at: Moment
    by: Identifier = Field(description="In whose name it was changed last.")
    last_by: Identifier = Field(description="In whose name it is restored when no demand is left.")
    fault: str = Field(default="", description="Why the last attempt to change it failed.")
    attempts: int = Field(default=0, description="How many attempts in a row failed.")
    try_after: Moment | None = None
    slot: int | None = Field(default=None, description="The interval whose extra backup was asked for last.")
    job: str = Field(default="", description="The extra backup that is at work.")
    job_incident: str = ""

    @property
    def settled(self) -> bool:
        """Whether the product is known to have what is wanted."""
        return self.wanted == self.applied and not self.in_doubt


def schedule_id(asset: str, pool: str) -> str:
    """Return the id of the record of an asset's schedule in a pool."""
    return short_id("SCHED", asset, pool)
