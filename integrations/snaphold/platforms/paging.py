"""Delivers notices through the paging platforms of the configuration, and reads who answered.

A platform that fails never loses a notice: what could not be delivered is said, so that a person calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from snaphold.config import Configuration, Integration
from snaphold.context import Context
from snaphold.domain.escalation import Notice
from snaphold.errors import SnapholdError, UnknownOutcomeError
from snaphold.platforms.base import CaseStatus, Page, PageOrder, Platform, PlatformVerb
from snaphold.platforms.registry import describe_platforms, open_platform
from snaphold.providers.base import Support
from snaphold.secrets import redact

CONTACTS = "contacts"
"""The setting with the contacts that an integration calls, separated by commas; left out, it calls all of them."""
LONGEST_SUMMARY = 1024


@dataclass(frozen=True)
class Delivery:
    """Which integration took a notice (empty: none), and what a person should know."""

    delivered_by: str = ""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Response:
    """Who answered a notice and when; empty while nobody has."""

    by: str = ""
    at: datetime | None = None
    findings: tuple[str, ...] = ()


def page_key(notice: Notice) -> str:
    """Return the key of a notice's page: the same for every attempt and every later answer."""
    return f"{notice.incident}/{notice.id}"


def paging_integrations(configuration: Configuration, contact: str) -> list[Integration]:
    """Return the integrations that can call a contact, in the order of the configuration."""
    able = {
        item.platform for item in describe_platforms() if item.capabilities[PlatformVerb.PAGE].support is not Support.UNSUPPORTED
    }
    return [item for item in configuration.integrations if item.kind in able and contact in _contacts(item, contact)]


def _contacts(integration: Integration, otherwise: str) -> list[str]:
    return [name.strip() for name in integration.settings.get(CONTACTS, otherwise).split(",")]


def deliver(notice: Notice, *, critical: bool, context: Context) -> Delivery:
    """Have the contact of a notice called by the first integration that takes it. Raises nothing: failures are findings."""
    order = PageOrder(
        key=page_key(notice),
        incident=notice.incident,
        summary=f"[{notice.incident}] {notice.text}"[:LONGEST_SUMMARY],
        source="snaphold",
        critical=critical,
        details={
            "incident": f"{notice.incident}: {context.incident.title}",
            "assets": ", ".join(context.incident.assets),
            "tier": notice.tier,
            "answer_by": notice.acknowledge_by.isoformat(),
            "contact": notice.contact,
        },
    )
    findings: list[str] = []
    for integration in paging_integrations(context.configuration, notice.contact):
        try:
            open_platform(integration, context.configuration, context.run).page(order)
        except SnapholdError as error:
            findings.append(_failure("could not be paged", integration, error))
        else:
            return Delivery(integration.name, tuple(findings))
    return Delivery("", tuple(findings))


def read_response(notice: Notice, context: Context) -> Response:
    """Return who answered a delivered notice. Raises nothing: what cannot be read is a finding, never an answer."""

    def look(platform: Platform) -> Page:
        return platform.read_page(page_key(notice))

    page, findings = _ask(notice, context, look, "cannot be asked")
    if page is None or page.status not in (CaseStatus.ACKNOWLEDGED, CaseStatus.RESOLVED):
        return Response(findings=findings)
    return Response(page.answered_by or f"somebody in {notice.delivered_by}", page.answered_at, findings)


def tell_answered(notice: Notice, context: Context) -> tuple[str, ...]:
    """Acknowledge the page of a notice that was answered another way, so that the platform stops calling."""

    def tell(platform: Platform) -> Page:
        return platform.acknowledge_page(page_key(notice))

    return _ask(notice, context, tell, "could not be told of the answer")[1]


def _ask(notice: Notice, context: Context, ask: Callable[[Platform], Page], failing: str) -> tuple[Page | None, tuple[str, ...]]:
    integration = next((item for item in context.configuration.integrations if item.name == notice.delivered_by), None)
    if integration is None:
        gone = (f"{notice.delivered_by}, which took the notice, is no longer configured",) if notice.delivered_by else ()
        return None, gone
    try:
        return ask(open_platform(integration, context.configuration, context.run)), ()
    except SnapholdError as error:
        return None, (_failure(failing, integration, error),)


def _failure(what: str, integration: Integration, error: SnapholdError) -> str:
    told = f"{integration.name} {what}"
    if isinstance(error, UnknownOutcomeError):
        told = f"{integration.name}: unknown"
    return redact(f"{told}: {error.what}" + (f" ({error.why})" if error.why else ""))
