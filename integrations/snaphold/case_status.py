"""Where the case of an incident stands in its platform: asked there, never believed from a message."""

from __future__ import annotations

from dataclasses import dataclass

from snaphold.context import Context
from snaphold.domain.incident import IncidentStatus
from snaphold.domain.retention import CaseRecord
from snaphold.platforms.base import CaseStatus, Platform, PlatformVerb


@dataclass(frozen=True)
class SeenCase:
    """A case as its platform shows it now. `told`: the status is a word that is understood; an unknown one counts as open."""

    record: CaseRecord
    status: CaseStatus
    address: str

    @property
    def told(self) -> bool:
        """Whether the platform's word for the status is understood."""
        return self.status is not CaseStatus.UNKNOWN


def look_at_case(reference: str, integration: str, context: Context) -> SeenCase:
    """Return the case of the context's incident as its platform shows it now.

    Raises what the platform raises: what cannot be read is neither open nor closed.
    """
    name, platform = open_case_platform(integration, PlatformVerb.READ_INCIDENT, context)
    case = platform.read_incident(reference or context.incident.id)
    closed = case.status is CaseStatus.RESOLVED
    record = CaseRecord(
        id=context.incident.id,
        incident=context.incident.id,
        status=IncidentStatus.CLOSED if closed else IncidentStatus.OPEN,
        integration=name,
        reference=case.reference,
        vendor_status=case.vendor_status,
        declared=context.incident,
        seen_at=context.clock.now(),
    )
    return SeenCase(record, case.status, case.address)


def open_case_platform(integration: str, verb: PlatformVerb, context: Context) -> tuple[str, Platform]:
    """Return the name and the adapter of the integration; without a name the only one that can do it."""
    from snaphold.platforms.registry import open_able

    return open_able(context.configuration, verb, integration, context.run)
