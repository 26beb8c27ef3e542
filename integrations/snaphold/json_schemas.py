"""The JSON Schemas of the documents that people write: made from the models, the same from build to build."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from snaphold.documents import suggest
from snaphold.errors import InputError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SHIPPED = {
    "configuration": "snaphold.schema.json",
    "incident": "incident.schema.json",
    "playbook": "playbook.schema.json",
    "case": "case.schema.json",
    "custody": "custody-record.schema.json",
    "evidence": "evidence.schema.json",
    "webhook-pagerduty": "webhook-pagerduty.schema.json",
    "webhook-servicenow": "webhook-servicenow.schema.json",
    "webhook-alertmanager": "webhook-alertmanager.schema.json",
    "webhook-mapping": "webhook-mapping.schema.json",
}
"""The file in `schemas/` of each document."""


def schema_text(document: str) -> str:
    """Return the JSON Schema (2020-12) of a document as text, as it stands in `schemas/`.

    Raises InputError, with the nearest name, for a document that has none.
    """
    if document in _GENERATED:
        return json.dumps(_GENERATED[document](), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    from snaphold.resources import folder

    path = folder("schemas") / SHIPPED.get(document, "")
    if document not in SHIPPED or not path.is_file():
        why = " ".join(part for part in (suggest(document, list(SHIPPED)), f"known: {', '.join(SHIPPED)}") if part)
        raise InputError(f"there is no schema of {document!r}", why)
    return path.read_text(encoding="utf-8")


def _configuration() -> dict[str, Any]:
    from snaphold.config import Configuration
    from snaphold.fields import schema_of

    return {"$schema": DIALECT, **schema_of(Configuration), "title": "Snaphold configuration"}


def _incident() -> dict[str, Any]:
    from snaphold.domain.incident import Incident
    from snaphold.fields import schema_of

    return {"$schema": DIALECT, **schema_of(Incident), "title": "Snaphold incident"}


def _pagerduty() -> dict[str, Any]:
    from snaphold.fields import schema_of
    from snaphold.platforms.pagerduty_webhook import PagerDutyDelivery

    return {"$schema": DIALECT, **schema_of(PagerDutyDelivery), "title": "Delivery of PagerDuty (webhooks v3)"}


def _servicenow() -> dict[str, Any]:
    from snaphold.fields import schema_of
    from snaphold.webhooks.servicenow import ServiceNowDelivery

    return {"$schema": DIALECT, **schema_of(ServiceNowDelivery), "title": "Delivery of ServiceNow's business rule"}


def _alertmanager() -> dict[str, Any]:
    from snaphold.fields import schema_of
    from snaphold.webhooks.alertmanager import AlertmanagerDelivery

    return {"$schema": DIALECT, **schema_of(AlertmanagerDelivery), "title": "Delivery of the Prometheus Alertmanager"}


def _mapping() -> dict[str, Any]:
    from snaphold.fields import schema_of
    from snaphold.webhooks.generic import WebhookMapping

    return {"$schema": DIALECT, **schema_of(WebhookMapping), "title": "Mapping file of a generic webhook"}


_GENERATED: dict[str, Callable[[], dict[str, Any]]] = {
    "configuration": _configuration,
    "incident": _incident,
    "webhook-pagerduty": _pagerduty,
    "webhook-servicenow": _servicenow,
    "webhook-alertmanager": _alertmanager,
    "webhook-mapping": _mapping,
}
