"""Deliveries of any system that sends JSON: a mapping file says where in the body everything stands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from snaphold.clock import parse_time
from snaphold.domain.value import Value
from snaphold.errors import DocumentError, Problem
from snaphold.platforms.base import CaseStatus
from snaphold.webhooks.message import LONGEST_DESCRIPTION, Alert, Message, incident_id, one_line
from snaphold.webhooks.paths import find_texts

BodyPath = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_*@$:-]+(\.[A-Za-z0-9_*@$:-]+)*)?$", max_length=200)]

_STATUSES = {
    "open": CaseStatus.OPEN, "new": CaseStatus.OPEN, "triggered": CaseStatus.OPEN, "firing": CaseStatus.OPEN,
    "alerting": CaseStatus.OPEN, "acknowledged": CaseStatus.ACKNOWLEDGED, "resolved": CaseStatus.RESOLVED,
    "closed": CaseStatus.RESOLVED, "ok": CaseStatus.RESOLVED,
}  # fmt: skip
"""What these words mean unless the mapping says otherwise."""


class WebhookMapping(Value):
    """Paths into the body: names and numbers joined by dots; `*` is every item of a list. Only `incident` is needed."""

    incident: BodyPath = Field(min_length=1, description="The source's id of the incident or alert.", examples=["data.id"])
    delivery: BodyPath = Field(
        default="", description="The id of the delivery; left out, equal bodies are the same delivery.", examples=["event_id"]
    )
    occurred_at: BodyPath = Field(default="", description="When it happened (RFC 3339).", examples=["data.time"])
    title: BodyPath = Field(default="", description="One line about it.", examples=["data.title"])
    description: BodyPath = Field(default="", description="Free text.", examples=["data.text"])
    severity: BodyPath = Field(default="", description="Its severity or priority.", examples=["data.priority"])
    category: BodyPath = Field(default="", description="Its category.", examples=["data.type"])
    assets: BodyPath = Field(default="", description="The hosts or services that it is about.", examples=["data.hosts.*.name"])
    status: BodyPath = Field(default="", description="Where it stands.", examples=["data.state"])
    statuses: dict[str, CaseStatus] = Field(
        default_factory=dict,
        description="What the words of status mean: open, acknowledged or resolved.",
        examples=[{"firing": "open", "ok": "resolved"}],
    )


def load_mapping(path: Path) -> WebhookMapping:
    """Return the mapping in a file. Raises DocumentError with file:line:column of every fault."""
    from snaphold.documents import load_document, read_model

    return read_model(WebhookMapping, load_document(path, "mapping of a webhook"), "mapping of a webhook")


def read_generic(source: str, document: Mapping[str, Any], mapping: WebhookMapping) -> Message:
    """Return what a delivery tells. Raises DocumentError naming the path in the body that is missing or wrong."""
    reference = _one(document, mapping.incident)
    if not reference:
        raise _fault(mapping.incident, "is missing; it is the incident's id")
    word = _one(document, mapping.status)
    status = _status(word, mapping)
    assets = find_texts(document, mapping.assets)
    text = _one(document, mapping.description)
    return Message(
        delivery=_one(document, mapping.delivery),
        event=f"delivery.{status.value}",
        incident=incident_id(source, reference, own=False),
        title=one_line(_one(document, mapping.title)) or f"{source}: {one_line(reference, 200)}",
        occurred_at=_moment(document, mapping.occurred_at),
        severity_words=(find_texts(document, mapping.severity),),
        category_words=find_texts(document, mapping.category),
        asset_words=assets,
        description=text[:LONGEST_DESCRIPTION],
        status=status,
        vendor_status=word[:100],
        declares=status in (CaseStatus.OPEN, CaseStatus.ACKNOWLEDGED),
        text=text,
        alerts=(Alert(reference[:500], status is not CaseStatus.RESOLVED, document, assets),),
    )


def _status(word: str, mapping: WebhookMapping) -> CaseStatus:
    """Return what the word of a status means; a delivery without one tells of something that is open."""
    if not word:
        return CaseStatus.OPEN
    found = mapping.statuses.get(word) or _STATUSES.get(word.lower())
    if found is None:
        raise _fault(mapping.status, f"the status {word[:100]!r} is not known here: list it under statuses in the mapping")
    return found


def _one(document: Mapping[str, Any], path: str) -> str:
    return next(iter(find_texts(document, path)), "")


def _moment(document: Mapping[str, Any], path: str) -> datetime | None:
    text = _one(document, path)
    if not path:
        return None
    if not text:
        raise _fault(path, "is missing; it is the time of the delivery")
    try:
        return parse_time(text)
    except ValueError as error:
        raise _fault(path, "is no time with a zone (RFC 3339)") from error


def _fault(path: str, message: str) -> DocumentError:
    return DocumentError("the delivery is not understood", [Problem(message, path)])
