"""Refuses, with its reason, every verb that a platform does not have; adapters derive from it and replace what they can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from snaphold.errors import ProviderError
from snaphold.platforms.base import (
    Case,
    CaseStatus,
    Change,
    ChangeOrder,
    Dependencies,
    Note,
    Page,
    PageOrder,
    PlatformDescription,
    PlatformVerb,
    StandardChange,
)
from snaphold.providers.base import Capability


class Refusing:
    """A platform that can do nothing yet."""

    description: PlatformDescription

    def describe(self) -> PlatformDescription:
        """Return what this platform is and can do."""
        return self.description

    def _refuse(self, verb: PlatformVerb) -> NoReturn:
        capabilities: Mapping[PlatformVerb, Capability] = self.description.capabilities
        raise ProviderError(
            f"{self.description.platform} cannot {verb.value.replace('_', ' ')}", capabilities[verb].detail, "use another system"
        )

    def read_incident(self, reference: str) -> Case:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.READ_INCIDENT)

    def add_note(self, reference: str, text: str, key: str) -> Note:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.ADD_NOTE)

    def set_status(self, reference: str, status: CaseStatus, note: str, key: str) -> Case:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.SET_STATUS)

    def page(self, order: PageOrder) -> Page:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.PAGE)

    def read_page(self, key: str) -> Page:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.READ_PAGE)

    def acknowledge_page(self, key: str) -> Page:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.ACKNOWLEDGE_PAGE)

    def end_page(self, key: str) -> Page:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.END_PAGE)

    def open_change(self, order: ChangeOrder) -> Change:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.OPEN_CHANGE)

    def close_change(self, reference: str, *, successful: bool, notes: str, key: str) -> Change:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.CLOSE_CHANGE)

    def check_standard_change(self, name: str) -> StandardChange:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.CHECK_STANDARD_CHANGE)

    def read_dependencies(self, assets: Sequence[str]) -> Dependencies:
        """Raise ProviderError."""
        self._refuse(PlatformVerb.READ_DEPENDENCIES)
