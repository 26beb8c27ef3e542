"""Changes in the change system: is a pre-approved one usable, open an emergency one, close it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import Field

from snaphold.action import Effect, Name, Names, Needs, Recovery, Request, Result, action
from snaphold.context import Context
from snaphold.domain.change import CoveringChange
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError

if TYPE_CHECKING:
    from snaphold.platforms.base import Change

_INTEGRATION = "The integration; left out, the only one that can do it."
LONGEST_SUMMARY = 160


class CheckStandardChange(Request):
    """Input of change.check_standard."""

    name: str = Field(
        min_length=1, max_length=160, description="Name of the pre-approved change.", examples=["Emergency backup of a server"]
    )
    integration: str = Field(default="", max_length=128, description=_INTEGRATION, examples=["itsm"])


class StandardChangeChecked(Result):
    """Whether the pre-approved change may be used."""

    usable: bool = Field(description="Whether it may be used now, without another approval.", examples=[True])
    reason: str = Field(description="Why not; empty when it may.", examples=["it is retired"])
    reference: str = Field(
        description="The system's id of it; empty when there is none.", examples=["508e02ec47410200e90d87e8dee49058"]
    )


@action(
    "change.check_standard",
    title="Look whether a pre-approved change may be used",
    effect=Effect.READS,
    needs=Needs.PLATFORM,
    recovery=Recovery.IDEMPOTENT,
)
def check_standard(request: CheckStandardChange, context: Context) -> StandardChangeChecked:
    """Say whether the standard change of that name covers the backup. One that does not exist is not usable."""
    from snaphold.platforms.base import PlatformVerb
    from snaphold.platforms.registry import open_able

    _, platform = open_able(context.configuration, PlatformVerb.CHECK_STANDARD_CHANGE, request.integration, context.run)
    try:
        found = platform.check_standard_change(request.name)
    except InputError as error:
        why = f"{error.what} ({error.why})" if error.why else error.what
        return StandardChangeChecked(outcome=Outcome.SUCCEEDED, findings=[why], usable=False, reason=why, reference="")
    findings = [] if found.usable else [f"{found.name} may not be used: {found.reason}"]
    return StandardChangeChecked(
        outcome=Outcome.SUCCEEDED, findings=findings, usable=found.usable, reason=found.reason, reference=found.reference
    )


class OpenEmergencyChange(Request):
    """Input of change.open_emergency."""

    summary: str = Field(
        default="", max_length=LONGEST_SUMMARY, description="One line; left out, made from the incident.",
        examples=["Emergency backup in INC-2026-0042"],
    )  # fmt: skip
    description: str = Field(
        default="", max_length=4000, description="What is done and why.", examples=["Incident backup before containment."]
    )
    assets: Names = Field(default=[], description="Ids of assets; left out, the incident's.", examples=[["orders-db"]])
    integration: str = Field(default="", max_length=128, description=_INTEGRATION, examples=["itsm"])


class ChangeResult(Result):
    """The change as it stands."""

    change: str = Field(description="The number that people use.", examples=["CHG0030001"])
    reference: str = Field(description="The system's own id.", examples=["b0dbda5347c12200e0ef563dbb9a718f"])
    state: str = Field(description="open, approved, closed, cancelled or unknown.", examples=["open"])
    vendor_state: str = Field(description="The system's own word for the state.", examples=["New"])
    found: bool = Field(description="Whether it stood so already, from an attempt before.", examples=[False])


@action(
    "change.open_emergency",
    title="Open an emergency change for the backup",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.LOOKS_UP,
    key_fields=("assets",),
)
def open_emergency(request: OpenEmergencyChange, context: Context) -> ChangeResult:
    """Open an emergency change, once per key, with the justification of the action. It approves nothing.

    The outcome is `partial` when the change is open but something of it could not be filled in.
    """
    from snaphold.platforms.base import ChangeOrder, PlatformVerb
    from snaphold.platforms.registry import open_able

    name, platform = open_able(context.configuration, PlatformVerb.OPEN_CHANGE, request.integration, context.run)
    incident = context.incident
    assets = tuple(request.assets or incident.assets)
    order = ChangeOrder(
        key=_key(context.key),
        incident=incident.id,
        summary=(request.summary or f"Emergency backup in {incident.id}: {incident.title}")[:LONGEST_SUMMARY],
        description=request.description or f"Incident backup of {', '.join(assets)} for {incident.id}.",
        justification=context.justification or f"Incident {incident.id}",
        assets=assets,
    )
    change = platform.open_change(order)
    context.stage(covering("emergency", name, change.number, change.reference, change.state.value, context))
    return _shown(change)


class CloseChange(Request):
    """Input of change.close."""

    change: Name = Field(description="The change's number or id.", examples=["CHG0030001"])
    successful: bool = Field(default=True, description="Whether what it was opened for succeeded.", examples=[True])
    notes: str = Field(default="", max_length=4000, description="How it ended.", examples=["Backup verified and sealed."])
    integration: str = Field(default="", max_length=128, description=_INTEGRATION, examples=["itsm"])


@action(
    "change.close",
    title="Close a change",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.LOOKS_UP,
    key_fields=("change",),
)
def close(request: CloseChange, context: Context) -> ChangeResult:
    """Close a change along the states that it allows; one that waits for an approval is not closed."""
    from snaphold.platforms.base import PlatformVerb
    from snaphold.platforms.registry import open_able

    name, platform = open_able(context.configuration, PlatformVerb.CLOSE_CHANGE, request.integration, context.run)
    notes = request.notes or f"Ended with incident {context.incident.id}."
    change = platform.close_change(request.change, successful=request.successful, notes=notes, key=context.key)
    known = context.ledger.record(CoveringChange, _change_id(context.incident.id, name, change.number))
    if known is not None and known.closed_at is None:
        ended = {"state": change.state.value, "closed_at": context.clock.now(), "closed_by": context.actor.id}
        context.stage(known.model_copy(update=ended))
    return _shown(change)


def covering(kind: str, integration: str, number: str, reference: str, state: str, context: Context) -> CoveringChange:
    """Return the register's record of a change that covers what is done in the incident from now on."""
    return CoveringChange(
        id=_change_id(context.incident.id, integration, number),
        incident=context.incident.id,
        kind=kind,
        integration=integration,
        number=number,
        reference=reference,
        state=state,
        used_by=context.actor.id,
        used_at=context.clock.now(),
    )


def _change_id(incident: str, integration: str, number: str) -> str:
    """Return the register's id of a change: the same for the same change of one incident."""
    text = "\n".join((incident, integration, number))
    return f"CHANGE-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _key(key: str) -> str:
    """Return a key that fits: a long one by its digest, which is the same on every attempt."""
    return key if len(key) <= 100 else hashlib.sha256(key.encode("utf-8")).hexdigest()  # noqa: PLR2004  the port's own limit


def _shown(change: Change) -> ChangeResult:
    return ChangeResult(
        outcome=Outcome.PARTIAL if change.findings else Outcome.SUCCEEDED,
        findings=list(change.findings),
        change=change.number,
        reference=change.reference,
        state=change.state.value,
        vendor_state=change.vendor_state,
        found=change.found,
    )
