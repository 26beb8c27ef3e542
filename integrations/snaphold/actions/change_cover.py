"""The change that covers an emergency backup, as the rules of the configuration want it: none of them is waited for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from snaphold.action import Effect, Names, Needs, Recovery, Request, Result, action
from snaphold.actions.change import (
    CheckStandardChange,
    CloseChange,
    OpenEmergencyChange,
    check_standard,
    close,
    covering,
    open_emergency,
)
from snaphold.context import Context
from snaphold.domain.change import CoveringChange
from snaphold.domain.outcome import Outcome
from snaphold.errors import ProviderError


class CoverBackup(Request):
    """Input of change.cover."""

    assets: Names = Field(default=[], description="Ids of assets; left out, the incident's.", examples=[["orders-db"]])


class BackupCovered(Result):
    """The change under which the backups are done."""

    covered_by: Literal["standard", "emergency", "nothing"] = Field(
        description="standard: one that was approved before; emergency: one that was opened for this incident.",
        examples=["emergency"],
    )
    change: str = Field(
        description="Its number; of a standard change its name; empty when nothing covers them.", examples=["CHG0030001"]
    )
    reason: str = Field(description="Why no standard change covers them; empty when one does.", examples=["it is retired"])


@action(
    "change.cover",
    title="Cover the emergency backup with a change",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.LOOKS_UP,
    key_fields=("assets",),
)
def cover(request: CoverBackup, context: Context) -> BackupCovered:
    """Use the pre-approved change that `authority.change` names, or open an emergency change when it may not be used.

    An incident has one: the change that was opened for it before and is not closed is used again. It approves nothing, and
    the backups do not wait for it. Without a rule nothing is opened, and the audit trail alone records them.
    """
    rule = context.configuration.authority.change
    if rule is None:
        why = "the configuration names no change system under authority.change"
        return BackupCovered(outcome=Outcome.SUCCEEDED, findings=[why], covered_by="nothing", change="", reason=why)
    for known in context.ledger.records(CoveringChange, context.incident.id):
        if known.is_open and known.integration == rule.integration:
            found = f"{known.number} was opened for {context.incident.id} before"
            return BackupCovered(
                outcome=Outcome.SUCCEEDED, findings=[found], covered_by="emergency", change=known.number, reason=found
            )
    why, findings = "no standard change is named", list[str]()
    if rule.standard:
        standard = check_standard(CheckStandardChange(name=rule.standard, integration=rule.integration), context)
        if standard.usable:
            context.stage(covering("standard", rule.integration, rule.standard, standard.reference, "approved", context))
            return BackupCovered(outcome=Outcome.SUCCEEDED, covered_by="standard", change=rule.standard, reason="")
        why, findings = standard.reason, standard.findings
    opened = open_emergency(OpenEmergencyChange(assets=request.assets, integration=rule.integration), context)
    return BackupCovered(
        outcome=opened.outcome, findings=[*findings, *opened.findings], covered_by="emergency", change=opened.change, reason=why
    )


class CloseOpened(Request):
    """Input of change.close_opened."""

    successful: bool = Field(default=True, description="Whether what they were opened for succeeded.", examples=[True])
    notes: str = Field(default="", max_length=4000, description="How it ended.", examples=["Backup verified and sealed."])


class OpenedClosed(Result):
    """What became of the changes that were opened for the incident."""

    closed: list[str] = Field(description="Numbers of those that are closed now.", examples=[["CHG0030001"]])
    open: list[str] = Field(description="Numbers of those that people must end.", examples=[["CHG0030002"]])


@action(
    "change.close_opened",
    title="Close the changes that were opened for the incident",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.LOOKS_UP,
)
def close_opened(request: CloseOpened, context: Context) -> OpenedClosed:
    """Close every emergency change that was opened for the incident, along the states that it allows.

    One that still waits for its approval is left to people, and the outcome is `partial`. Nothing to close is a success.
    """
    result = OpenedClosed(outcome=Outcome.SUCCEEDED, closed=[], open=[])
    for known in context.ledger.records(CoveringChange, context.incident.id):
        if not known.is_open:
            continue
        asked = CloseChange(
            change=known.number, successful=request.successful, notes=request.notes, integration=known.integration
        )
        try:
            close(asked, context)
        except ProviderError as error:
            result.open.append(known.number)
            result.findings.append(f"{error.what}: {error.why}" if error.why else error.what)
            continue
        result.closed.append(known.number)
    return result.model_copy(update={"outcome": Outcome.PARTIAL if result.open else Outcome.SUCCEEDED})
