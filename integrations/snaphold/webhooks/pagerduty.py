"""Deliveries of PagerDuty (webhooks v3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snaphold.platforms.base import CaseStatus
from snaphold.platforms.pagerduty_webhook import PagerDutyDelivery
from snaphold.webhooks.message import Alert, Message, incident_id, one_line

_STATUS = {
    "incident.triggered": CaseStatus.OPEN,
    "incident.reopened": CaseStatus.OPEN,
    "incident.unacknowledged": CaseStatus.OPEN,
    "incident.acknowledged": CaseStatus.ACKNOWLEDGED,
    "incident.resolved": CaseStatus.RESOLVED,
}
_DECLARES = frozenset({"incident.triggered", "incident.reopened", "incident.priority_updated"})


def read_pagerduty(source: str, document: Mapping[str, Any]) -> Message:
    """Return what a delivery tells. Raises ValidationError when it has another form."""
    event = PagerDutyDelivery.model_validate(document).event
    about = event.data
    of_incident = event.event_type.startswith("incident.")
    reference = about.incident.id if about.incident else about.id
    declares = event.event_type in _DECLARES
    resolved = event.event_type == "incident.resolved"
    alerts = (Alert(reference, not resolved, document["event"]["data"]),) if declares or resolved else ()
    return Message(
        delivery=event.id,
        event=event.event_type,
        incident=incident_id(source, reference, own=True) if of_incident and reference else "",
        title=one_line(about.title) or f"PagerDuty incident {reference}",
        occurred_at=event.occurred_at,
        severity_words=((about.priority.summary if about.priority else "",), (about.urgency,)),
        category_words=(about.service.summary, about.service.id) if about.service else (),
        asset_words=(about.service.summary, about.service.id) if about.service else (),
        status=_STATUS.get(event.event_type),
        vendor_status=about.status,
        declares=declares,
        text="\n".join([about.title, about.content or "", about.message or ""]),
        alerts=alerts,
        key=about.incident_key or "",
    )
