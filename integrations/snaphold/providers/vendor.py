"""What adapters of backup products share: their connection, names of restore points, and verbs that they do not have."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from snaphold.clock import Clock
from snaphold.config import Configuration, Integration, Pool
from snaphold.domain.asset import Asset
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError
from snaphold.providers.base import Capability, Description, Publication, Support, Verb

_HEX_DIGITS = 8


def connection_of(pool: Pool, configuration: Configuration) -> Integration:
    """Return the integration through which a pool's product is reached. Raises InputError when it is not named or not fit."""
    if pool.integration is None:
        raise InputError(
            f"the pool {pool.name} names no integration",
            f"{pool.provider} is a product that is reached through one",
            "add integration to the pool, and the connection under integrations, in snaphold.yaml",
        )
    found = next((item for item in configuration.integrations if item.name == pool.integration), None)
    if found is None:
        raise InputError(f"there is no integration {pool.integration!r} (pool {pool.name})", None, "add it under integrations")
    if found.kind != pool.provider:
        raise InputError(
            f"the pool {pool.name} of {pool.provider} names the integration {found.name}",
            f"which is of kind {found.kind}",
            "name an integration of the same kind",
        )
    return found


def workload_name(asset: Asset, integration: Integration) -> str:
    """Return what the product calls an asset: protection.workloads of the integration, else the asset's id."""
    return asset.protection.workloads.get(integration.name, asset.id)


def restore_point_id(asset: str, key: str) -> str:
    """Return our own id of the restore point that a start under `key` leaves."""
    return f"RP-{asset}-{hashlib.sha256(key.encode()).hexdigest()[:_HEX_DIGITS]}"


class VendorProvider:
    """The base of adapters of products: every verb that the description calls unsupported refuses with its reason.

    An adapter overrides the verbs that its product has.
    """

    description: Description

    def __init__(self, pool: Pool, configuration: Configuration, incident: str, clock: Clock) -> None:
        self.pool = pool
        self.configuration = configuration
        self.incident = incident
        self.clock = clock
        self.integration = connection_of(pool, configuration)

    def describe(self) -> Description:
        """Return what this product is and can do; nothing is contacted."""
        return self.description

    def unsupported(self, verb: Verb) -> ProviderError:
        """Return the error of a verb that this product does not have, with the declared reason."""
        capability: Capability = self.description.capabilities[verb]
        return ProviderError(
            f"{self.description.provider} does not support {verb.value}",
            capability.detail if capability.support is Support.UNSUPPORTED else None,
        )

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Keep the restore point until then."""
        raise self.unsupported(Verb.SET_RETENTION)

    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        """Place or release a hold in the storage."""
        raise self.unsupported(Verb.HOLD)

    def delete(self, restore_point: RestorePoint) -> None:
        """Delete for ever."""
        raise self.unsupported(Verb.DELETE)

    def set_schedule(self, asset: str, every_seconds: int | None) -> None:
        """Tighten the asset's regular schedule, or restore it with None."""
        raise self.unsupported(Verb.SET_SCHEDULE)

    def open_read_only(self, restore_point: RestorePoint, into: Path) -> Path:
        """Restore into the empty folder `into`."""
        raise self.unsupported(Verb.OPEN_READ_ONLY)

    def publish(self, restore_point: RestorePoint, name: str) -> Publication:
        """Offer the restore point read-only to investigators."""
        raise self.unsupported(Verb.PUBLISH)

    def end_publication(self, reference: str) -> None:
        """End what `publish` began."""
        raise self.unsupported(Verb.PUBLISH)

    def mark_infected(self, restore_point: RestorePoint, reason: str) -> RestorePoint:
        """Tell the product that the restore point may hold malware."""
        raise self.unsupported(Verb.MARK_INFECTED)
