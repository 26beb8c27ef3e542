"""The port of incident, paging and change systems. One adapter per file; the conformance suite runs against all of them.

Every write takes a key. A repeat with the same key never doubles the effect; where a vendor cannot tell a repeat, the
adapter looks first, and what stays open after a lost answer is an unknown outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

from pydantic import Field

from snaphold.domain.value import Identifier, Moment, Value
from snaphold.providers.base import Capability


class PlatformVerb(str, Enum):
    """What a platform can be asked."""

    CHECK = "check"
    READ_INCIDENT = "read_incident"
    ADD_NOTE = "add_note"
    SET_STATUS = "set_status"
    PAGE = "page"
    READ_PAGE = "read_page"
    ACKNOWLEDGE_PAGE = "acknowledge_page"
    END_PAGE = "end_page"
    OPEN_CHANGE = "open_change"
    CLOSE_CHANGE = "close_change"
    CHECK_STANDARD_CHANGE = "check_standard_change"
    READ_DEPENDENCIES = "read_dependencies"


class CaseStatus(str, Enum):
    """Where an incident or a page stands, whatever its system calls that."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"


class ChangeState(str, Enum):
    """Where a change stands, whatever its system calls that."""

    OPEN = "open"
    APPROVED = "approved"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class PlatformDescription(Value):
    """What a platform is, what it can do and how that was proved."""

    platform: Identifier
    capabilities: Mapping[PlatformVerb, Capability]
    proved_on: str = Field(description="`vendor specification enforced`, `vendor documentation`, ...")


class Reachability(Value):
    """What a read-only test of a connection found. `rights` are sentences about what the sign-in may not do."""

    signed_in_as: str
    missing: tuple[str, ...] = ()


class Case(Value):
    """An incident as its platform shows it. `vendor_status` is the platform's own word."""

    reference: str = Field(description="The platform's own id.")
    number: str
    title: str
    status: CaseStatus
    vendor_status: str
    urgency: str = ""
    address: str = Field(default="", description="Where a person reads it.")


class Note(Value):
    """A note in an incident. `found`: it stood there already, nothing was added."""

    reference: str
    found: bool


class PageOrder(Value):
    """Somebody to be called. `key` tells a repeat and a later answer."""

    key: str = Field(min_length=1, max_length=255)
    incident: Identifier
    summary: str = Field(min_length=1, max_length=1024)
    source: str
    critical: bool
    details: Mapping[str, str] = {}


class Page(Value):
    """A call to somebody, as it stands."""

    key: str
    status: CaseStatus
    reference: str = ""
    answered_by: str = ""
    answered_at: Moment | None = None


class ChangeOrder(Value):
    """An emergency change to open."""

    key: str = Field(min_length=1, max_length=100)
    incident: Identifier
    summary: str = Field(min_length=1, max_length=160)
    description: str
    justification: str
    assets: tuple[Identifier, ...] = ()


class Change(Value):
    """A change as its platform shows it. `found`: it was there already, nothing was opened or closed.

    `findings` say what of the order could not be done.
    """

    reference: str
    number: str
    state: ChangeState
    vendor_state: str
    found: bool = False
    findings: tuple[str, ...] = ()


class StandardChange(Value):
    """A pre-approved change: whether it may be used now, and why not."""

    reference: str
    name: str
    usable: bool
    reason: str = ""


class Dependencies(Value):
    """What assets need, from the platform's own records. `unknown` are assets that it does not know, or knows twice."""

    needs: Mapping[str, tuple[str, ...]]
    unknown: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


class Platform(Protocol):
    """An incident, paging or change system.

    Every verb raises ProviderError (refused or failed; nothing happened, or only reading failed), NotAuthorisedError,
    InputError (what was named does not exist), or UnknownOutcomeError. A verb that is unsupported raises ProviderError
    naming the reason.
    """

    def describe(self) -> PlatformDescription:
        """Return what this platform is and can do; nothing is contacted."""
        ...

    def check(self) -> Reachability:
        """Return as whom we are signed in. Never changes anything."""
        ...

    def read_incident(self, reference: str) -> Case:
        """Return an incident by its number or id."""
        ...

    def add_note(self, reference: str, text: str, key: str) -> Note:
        """Add a note to an incident, once per key."""
        ...

    def set_status(self, reference: str, status: CaseStatus, note: str, key: str) -> Case:
        """Bring an incident into a status and return it; one that stands there already is left alone."""
        ...

    def page(self, order: PageOrder) -> Page:
        """Have the people on call called, once per key."""
        ...

    def read_page(self, key: str) -> Page:
        """Return where a page stands; UNKNOWN when the platform does not show it (yet)."""
        ...

    def acknowledge_page(self, key: str) -> Page:
        """Tell that somebody took the page."""
        ...

    def end_page(self, key: str) -> Page:
        """Tell that the reason of the page is gone."""
        ...

    def open_change(self, order: ChangeOrder) -> Change:
        """Open an emergency change, once per key."""
        ...

    def close_change(self, reference: str, *, successful: bool, notes: str, key: str) -> Change:
        """Close a change; one that is closed already is left alone."""
        ...

    def check_standard_change(self, name: str) -> StandardChange:
        """Return whether the pre-approved change of that name may be used."""
        ...

    def read_dependencies(self, assets: Sequence[str]) -> Dependencies:
        """Return what the assets need, directly or not, as far as the platform's records go."""
        ...
