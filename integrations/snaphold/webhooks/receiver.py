"""One configured webhook, ready to receive: its secrets are read, and its mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from snaphold.config import Configuration
from snaphold.errors import DocumentError
from snaphold.platforms.pagerduty_webhook import SIGNATURE_HEADER, PagerDutyDelivery
from snaphold.secrets import resolve
from snaphold.validation import problems_of
from snaphold.webhooks.alertmanager import AlertmanagerDelivery, read_alertmanager
from snaphold.webhooks.authenticity import TIME_HEADER, check_sent_at, verify_bearer, verify_signature
from snaphold.webhooks.generic import WebhookMapping, load_mapping, read_generic
from snaphold.webhooks.message import Message
from snaphold.webhooks.pagerduty import read_pagerduty
from snaphold.webhooks.servicenow import ServiceNowDelivery, read_servicenow
from snaphold.webhooks.settings import Check, SourceKind, Webhook

_MODELS: dict[SourceKind, type[BaseModel]] = {
    SourceKind.PAGERDUTY: PagerDutyDelivery,
    SourceKind.SERVICENOW: ServiceNowDelivery,
    SourceKind.ALERTMANAGER: AlertmanagerDelivery,
}


@dataclass(frozen=True)
class Receiver:
    """A webhook with its secrets and, for a generic one, its mapping."""

    webhook: Webhook
    secrets: tuple[str, ...] = field(repr=False)
    mapping: WebhookMapping | None = None

    def check_bearer(self, headers: Mapping[str, str]) -> None:
        """Return when the sender may go on to the body. Raises NotAuthorisedError; a signature is checked later."""
        if self.webhook.check is Check.BEARER:
            verify_bearer(headers.get("authorization", ""), self.secrets)

    def check_signature(self, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
        """Return when the body is signed as it must be. Raises NotAuthorisedError."""
        if self.webhook.check is Check.BEARER:
            return
        if self.webhook.kind is SourceKind.PAGERDUTY:
            name, sent_at = SIGNATURE_HEADER, ""
        else:
            name, sent_at = self.webhook.header, headers.get(TIME_HEADER.lower(), "")
        verify_signature(body, headers.get(name.lower(), ""), name, self.secrets, sent_at)
        if sent_at:
            check_sent_at(sent_at, now, self.webhook.window)

    def read(self, document: Mapping[str, Any]) -> Message:
        """Return what a delivery tells. Raises DocumentError with the path of every fault."""
        name, kind = self.webhook.name, self.webhook.kind
        if self.mapping is not None:
            return read_generic(name, document, self.mapping)
        try:
            if kind is SourceKind.PAGERDUTY:
                return read_pagerduty(name, document)
            return read_servicenow(name, document) if kind is SourceKind.SERVICENOW else read_alertmanager(name, document)
        except ValidationError as error:
            raise DocumentError("the delivery is not understood", problems_of(error, None, _MODELS[kind])) from error


def open_receivers(configuration: Configuration) -> dict[str, Receiver]:
    """Return every webhook of the configuration, ready. Raises InputError for a secret or a mapping that cannot be read."""
    return {hook.name: _open(hook, configuration) for hook in configuration.webhooks}


def _open(webhook: Webhook, configuration: Configuration) -> Receiver:
    secrets = tuple(resolve(reference, configuration.base) for reference in webhook.secrets)
    generic = webhook.kind is SourceKind.GENERIC
    return Receiver(webhook, secrets, load_mapping(configuration.path(webhook.mapping)) if generic else None)
