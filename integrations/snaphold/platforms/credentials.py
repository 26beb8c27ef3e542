"""The credentials and settings of an integration, each named when it is missing."""

from __future__ import annotations

from pathlib import Path

from snaphold.config import Integration
from snaphold.errors import InputError
from snaphold.secrets import resolve

NOT_SECRET = frozenset({"username"})
"""Names of people and programs. Hidden, they would also vanish from identities, paths and ids in the registers."""


def credential(integration: Integration, name: str, base: Path) -> str:
    """Return a credential, and hide it from then on when it is a secret.

    Raises InputError when it is not configured or cannot be read.
    """
    if name not in integration.credentials:
        raise InputError(
            f"{integration.name} has no credential {name!r}",
            f"given: {', '.join(sorted(integration.credentials)) or 'none'}",
            "add it under credentials in snaphold.yaml, by reference",
        )
    return resolve(integration.credentials[name], base, hide=name not in NOT_SECRET)


def setting(integration: Integration, name: str, default: str | None = None) -> str:
    """Return a setting, or the default. Raises InputError when there is neither."""
    value = integration.settings.get(name, default)
    if not value:
        raise InputError(f"{integration.name} has no setting {name!r}", None, "add it under settings in snaphold.yaml")
    return value
