"""Deliveries of ServiceNow. It has no webhooks of its own: a business rule of ours sends this form (see the how-to)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from snaphold.domain.value import Moment
from snaphold.platforms.base import CaseStatus
from snaphold.webhooks.message import LONGEST_DESCRIPTION, Alert, Message, incident_id, one_line

_STATUS = {
    "1": CaseStatus.OPEN, "new": CaseStatus.OPEN,
    "2": CaseStatus.ACKNOWLEDGED, "in progress": CaseStatus.ACKNOWLEDGED,
    "3": CaseStatus.ACKNOWLEDGED, "on hold": CaseStatus.ACKNOWLEDGED,
    "6": CaseStatus.RESOLVED, "resolved": CaseStatus.RESOLVED,
    "7": CaseStatus.RESOLVED, "closed": CaseStatus.RESOLVED,
    "8": CaseStatus.RESOLVED, "canceled": CaseStatus.RESOLVED,
}  # fmt: skip


class ServiceNowIncident(BaseModel):
    """The row of the incident; values are display values or the table's own."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    number: str = Field(min_length=1, max_length=100, description="Its number.", examples=["INC0010002"])
    sys_id: str = Field(default="", max_length=64, description="Its sys_id.", examples=["c537bae64f411200adf9f8e18110c76e"])
    short_description: str = Field(default="", max_length=1000, description="One line.", examples=["Ransomware on files-01"])
    description: str = Field(default="", max_length=100_000, description="Free text.", examples=["Mass renames."])
    state: str = Field(default="", max_length=100, description="State, as number or label.", examples=["2"])
    priority: str = Field(default="", max_length=100, description="Priority.", examples=["1 - Critical"])
    severity: str = Field(default="", max_length=100, description="Severity.", examples=["1 - High"])
    urgency: str = Field(default="", max_length=100, description="Urgency.", examples=["1 - High"])
    category: str = Field(default="", max_length=200, description="Category.", examples=["Security"])
    subcategory: str = Field(default="", max_length=200, description="Subcategory.", examples=["Ransomware"])
    cmdb_ci: str = Field(default="", max_length=500, description="Name of the configuration item.", examples=["files-01"])
    business_service: str = Field(default="", max_length=500, description="Name of the service.", examples=["Orders"])
    comment: str = Field(default="", max_length=100_000, description="The newest comment or work note.", examples=["Isolated."])


class ServiceNowDelivery(BaseModel):
    """One delivery. `id` is new for each change of the incident and the same for a repeat."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str = Field(min_length=1, max_length=200, description="Id of the change.", examples=["c537bae6...-17"])
    event: Literal["inserted", "updated"] = Field(description="inserted or updated.", examples=["inserted"])
    sent_at: Moment = Field(description="When it was sent (RFC 3339).", examples=["2026-11-22T18:00:00Z"])
    incident: ServiceNowIncident = Field(description="The incident as it is now.")


def read_servicenow(source: str, document: Mapping[str, Any]) -> Message:
    """Return what a delivery tells. Raises ValidationError when it has another form."""
    delivery = ServiceNowDelivery.model_validate(document)
    row = delivery.incident
    status = _STATUS.get(row.state.strip().lower(), CaseStatus.UNKNOWN if row.state else None)
    return Message(
        delivery=delivery.id,
        event=f"incident.{delivery.event}",
        incident=incident_id(source, row.number, own=True),
        title=one_line(row.short_description) or f"ServiceNow incident {row.number}",
        occurred_at=delivery.sent_at,
        severity_words=((row.priority,), (row.severity,), (row.urgency,)),
        category_words=(row.subcategory, row.category),
        asset_words=(row.cmdb_ci, row.business_service),
        description=row.description[:LONGEST_DESCRIPTION],
        status=status,
        vendor_status=row.state,
        declares=status is not CaseStatus.RESOLVED,
        text=row.comment,
        alerts=(Alert(row.number, status is not CaseStatus.RESOLVED, document["incident"]),),
    )
