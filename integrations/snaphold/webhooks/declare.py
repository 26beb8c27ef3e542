"""From the source's words to an incident of ours: severity, category and assets as the configuration has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from snaphold.config import Configuration
from snaphold.domain.incident import Incident, IncidentStatus
from snaphold.errors import InputError
from snaphold.platforms.base import CaseStatus
from snaphold.webhooks.message import Message
from snaphold.webhooks.settings import Webhook

LEAST_SEVERE = 5
_MOST_SHOWN = 10


def declare(message: Message, webhook: Webhook, configuration: Configuration, now: datetime) -> Incident:
    """Return the incident that a message declares. Raises InputError when its severity or its assets mean nothing here."""
    severity = severity_of(message, webhook)
    if severity is None:
        told = [word for words in message.severity_words for word in words if word]
        raise InputError(
            "the delivery has no severity that is known here",
            f"it says: {_list(told)}; listed: {', '.join(sorted(webhook.severities)) or 'none'}",
            f"add the word under severities of the webhook {webhook.name} in snaphold.yaml, or a severity for all others",
        )
    assets = assets_of(message.asset_words, webhook, configuration)
    if not assets:
        raise InputError(
            "the delivery names no asset that is known here",
            f"it says: {_list(message.asset_words)}",
            f"add the word under assets of the webhook {webhook.name} in snaphold.yaml, or default_assets",
        )
    return make_incident(message, webhook, assets, severity, now)


def make_incident(message: Message, webhook: Webhook, assets: Sequence[str], severity: int, now: datetime) -> Incident:
    """Return the incident of a message with these assets and this severity."""
    closed = message.status is CaseStatus.RESOLVED
    return Incident(
        id=message.incident,
        title=message.title,
        severity=severity,
        category=category_of(message, webhook),
        declared_at=message.occurred_at or now,
        assets=tuple(assets),
        status=IncidentStatus.CLOSED if closed else IncidentStatus.OPEN,
        source=f"webhook {webhook.name}"[:100],
        description=message.description,
    )


def severity_of(message: Message, webhook: Webhook) -> int | None:
    """Return the severity: the first alternative with a known word decides, and in it the worst; None when nothing does."""
    known = {word.casefold(): severity for word, severity in webhook.severities.items()}
    for words in message.severity_words:
        found = [known[word.casefold()] for word in words if word.casefold() in known]
        if found:
            return min(found)
    # A word that nobody listed is not the same as no word: only silence gets the severity for all others.
    return webhook.severity if not any(word for words in message.severity_words for word in words) else None


def category_of(message: Message, webhook: Webhook) -> str:
    """Return the category: that of the first word which is listed, else the webhook's own."""
    known = {word.casefold(): category for word, category in webhook.categories.items()}
    return next((known[word.casefold()] for word in message.category_words if word.casefold() in known), webhook.category)


def assets_of(words: Sequence[str], webhook: Webhook, configuration: Configuration) -> tuple[str, ...]:
    """Return the assets that the words mean, in order; the default ones when there is no word at all."""
    listed = {word.casefold(): names for word, names in webhook.assets.items()}
    own = {asset.id.casefold(): asset.id for asset in configuration.assets}
    found: list[str] = []
    for word in words:
        folded = word.casefold()
        found += listed.get(folded, ()) or ([own[folded]] if folded in own else [])
    return tuple(dict.fromkeys(found)) or (() if any(words) else webhook.default_assets)


def _list(words: Sequence[str]) -> str:
    shown = [repr(word[:100]) for word in dict.fromkeys(words) if word]
    return ", ".join(shown[:_MOST_SHOWN]) + (", ..." if len(shown) > _MOST_SHOWN else "") or "nothing"
