"""PagerDuty's webhooks v3: is a delivery genuine, and what does it tell. Pure functions; nothing is fetched or kept."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from snaphold.errors import InputError, NotAuthorisedError

SIGNATURE_HEADER = "X-PagerDuty-Signature"
OLDEST = timedelta(hours=49)
"""PagerDuty repeats a delivery for up to 48 hours."""
EARLIEST = timedelta(minutes=5)
"""How far ahead of ours its clock may be."""
_SIGNATURE = re.compile(r"v1=([0-9a-f]{64})")
_MOST_SIGNATURES = 20


class WebhookReference(BaseModel):
    """Something that an incident refers to: its service, its priority, or for a note the incident."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str = Field(default="", max_length=200)
    summary: str = Field(default="", max_length=1000)


class WebhookSubject(BaseModel):
    """The incident (or something else) that an event is about. `content` is that of a note, `message` of an update."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str = Field(default="", max_length=200)
    type: str = Field(default="", max_length=200)
    title: str = Field(default="", max_length=10_000)
    status: str = Field(default="", max_length=200)
    incident_key: str | None = None
    urgency: str = Field(default="", max_length=200)
    priority: WebhookReference | None = None
    service: WebhookReference | None = None
    incident: WebhookReference | None = None
    content: str | None = None
    message: str | None = None


class WebhookEvent(BaseModel):
    """One event. The same `id` may be delivered several times: whoever acts on it keeps the ids it has seen."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str = Field(min_length=1, max_length=200)
    event_type: str = Field(min_length=1, max_length=200)
    occurred_at: AwareDatetime
    data: WebhookSubject = WebhookSubject()


class PagerDutyDelivery(BaseModel):
    """What PagerDuty posts."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    event: WebhookEvent


def verify_webhook(body: bytes, header: str, secrets: Sequence[str]) -> None:
    """Return when the raw body was signed with one of the secrets (several while one is being replaced).

    Raises NotAuthorisedError otherwise. The time is not signed: see `check_fresh`.
    """
    given = _SIGNATURE.findall(header)[:_MOST_SIGNATURES]
    expected = [hmac.new(secret.encode("utf-8"), body, hashlib.sha256).hexdigest() for secret in secrets if secret]
    # Every pair is compared, so that the time taken tells nothing about which one came near.
    matches = [hmac.compare_digest(mine, theirs) for mine in expected for theirs in given]
    if not any(matches):
        why = "no signature of ours is in the header" if given else f"the header {SIGNATURE_HEADER} is missing or malformed"
        raise NotAuthorisedError("this delivery is not from PagerDuty", why, "compare the secret of the webhook subscription")


def read_webhook(body: bytes) -> WebhookEvent:
    """Return the event of a verified delivery. Raises InputError when it has another shape."""
    try:
        return PagerDutyDelivery.model_validate_json(body).event
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError("the delivery of PagerDuty is not understood", f"{place}: {first['msg']}") from error


def check_fresh(event: WebhookEvent, now: datetime) -> None:
    """Return when the event is of a time that PagerDuty still delivers. Raises NotAuthorisedError for older and later ones."""
    age = now - event.occurred_at
    if age > OLDEST or age < -EARLIEST:
        raise NotAuthorisedError(
            f"event {event.id} is not of now", f"it happened at {event.occurred_at.isoformat()}", "compare the clocks"
        )
