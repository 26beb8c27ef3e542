"""What a playbook needs in systems that cannot stop a run or repeat a call by themselves, such as CACAO players."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from snaphold.action import Effect, Needs, Recovery, Request, Result, Texts, action
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError


class Ending(str, Enum):
    """How a playbook ends early.

    `failed`: nothing has handled the failure yet. `failed_for_good`: the last handler failed over it too. `stopped`: a
    person or a handler said so.
    """

    FAILED = "failed"
    FAILED_FOR_GOOD = "failed_for_good"
    STOPPED = "stopped"


class Halt(Request):
    """Input of core.halt."""

    reason: str = Field(min_length=1, max_length=4000, description="Why it ends here.", examples=["The backups do not fit."])
    state: Ending = Field(default=Ending.FAILED, description="How it ends.", examples=["failed"])


class Halted(Result):
    """The state that every later part of the playbook looks at before it does anything."""

    state: str = Field(description="The state that was asked for.", examples=["failed"])


@action("core.halt", title="End a playbook early", effect=Effect.READS, needs=Needs.LEDGER, recovery=Recovery.IDEMPOTENT)
def halt(request: Halt, context: Context) -> Halted:
    """Note in the audit trail why a playbook ends here, and give back the state that keeps the rest from running."""
    return Halted(outcome=Outcome.SUCCEEDED, findings=[request.reason], state=request.state.value)


class NextItem(Request):
    """Input of core.next_item."""

    items: Texts = Field(description="The whole list; no item may stand in it twice.", examples=[["files-01", "orders-db"]])
    position: int = Field(default=0, ge=0, description="How many items were taken already.", examples=[0])


class TakenItem(Result):
    """The next item, and whether there are more."""

    item: str = Field(description="The item.", examples=["files-01"])
    index: int = Field(description="Which one it is, from 0.", examples=[0])
    position: int = Field(description="How many items are taken now.", examples=[1])
    more: bool = Field(description="Whether items are left after it.", examples=[True])


@action(
    "core.next_item", title="Take the next item of a list", effect=Effect.READS, needs=Needs.NOTHING, recovery=Recovery.IDEMPOTENT
)
def next_item(request: NextItem, context: Context) -> TakenItem:
    """Give one item of a list after the other. An empty list and an item that stands twice are refused."""
    items, position = request.items, request.position
    twice = sorted({item for item in items if items.count(item) > 1})
    if twice:
        raise InputError("the list holds an item more than once", ", ".join(twice))
    if position >= len(items):
        raise InputError("there is no further item", f"{position} of {len(items)} were taken already")
    return TakenItem(
        outcome=Outcome.SUCCEEDED, item=items[position], index=position, position=position + 1, more=position + 1 < len(items)
    )
