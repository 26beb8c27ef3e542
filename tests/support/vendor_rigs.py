"""Each backup product beside its simulator, so that one suite can ask the adapter and look at what really happened.

A product's rig is the class `ProductRig` of the module `support.KIND_rig`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

from snaphold.clock import Clock, SystemClock
from snaphold.config import Configuration, Integration, Pool
from snaphold.domain.asset import Asset
from snaphold.domain.restore_point import RestorePoint
from snaphold.providers.base import BackupOrder, JobState, JobStatus, Provider
from snaphold.providers.registry import open_provider
from support.incident_context import make_configuration

INCIDENT = "INC-1"
KEY = "INC-1/snapshot_wave.start/orders-db/1"
ASSET = "orders-db"
MOST_QUESTIONS = 50


class VendorRig(ABC):
    """A product's simulator at work and the adapter that speaks to it. The asset `orders-db` is known to the product."""

    kind: ClassVar[str]
    location: ClassVar[str]
    """The storage that the pool names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def close(self) -> None:
        """Stop the simulator."""

    @property
    @abstractmethod
    def integration(self) -> Integration:
        """The entry of the configuration, its credentials by reference and set."""

    @abstractmethod
    def started(self) -> int:
        """Return how many backups of the asset really began at the product."""

    @abstractmethod
    def let_jobs_end(self, *, well: bool = True) -> None:
        """Bring every running job of the product to its end."""

    def check_recorded(self) -> int:
        """Check what was recorded against what the vendor publishes; return how many exchanges there were."""
        return 0

    def pool_settings(self) -> dict[str, str]:
        """Return the settings of the pool."""
        return {}

    def workloads(self) -> dict[str, str]:
        """Return the asset's name in the product, by integration; empty when it is the asset's id."""
        return {}

    @property
    def pool(self) -> Pool:
        """The pool of the configuration."""
        return self.configuration.pools[0]

    @property
    def configuration(self) -> Configuration:
        """A configuration with the product as the only pool."""
        asset: dict[str, Any] = {
            "id": ASSET,
            "kind": "virtual-machine",
            "tier": "T0",
            "owner": "team-orders",
            "protection": {"workloads": self.workloads()},
        }
        pool = {
            "name": "product-01",
            "provider": self.kind,
            "location": self.location,
            "integration": self.integration.name,
            "reserve": 0.05,
            "settings": self.pool_settings(),
        }
        configuration = make_configuration(
            assets=[asset], pools=[pool], integrations=[self.integration.model_dump(mode="json")], routes=[]
        )
        return configuration.placed_at(self.folder)

    @property
    def asset(self) -> Asset:
        """The asset as configured."""
        return next(asset for asset in self.configuration.assets if asset.id == ASSET)

    def provider(self, timeout: timedelta | None = None, clock: Clock | None = None) -> Provider:
        """Return the adapter; with a timeout, one that gives up early."""
        configuration = self.configuration
        if timeout:
            changed = tuple(item.model_copy(update={"timeout": timeout}) for item in configuration.integrations)
            configuration = configuration.model_copy(update={"integrations": changed}).placed_at(self.folder)
        return open_provider(configuration.pools[0], configuration, INCIDENT, clock or SystemClock())

    def order(self, provider: Provider, key: str = KEY) -> BackupOrder:
        """Return an order for a backup of the asset."""
        return BackupOrder(key=key, incident=INCIDENT, workload=provider.find_workload(self.asset), tags={"tier": "T0"})

    def back_up(self, key: str = KEY) -> tuple[Provider, JobStatus]:
        """Back the asset up; return the adapter and how the job ended."""
        provider = self.provider()
        job = provider.start(self.order(provider, key))
        self.let_jobs_end()
        return provider, finished(provider, job)

    def restore_point(self, key: str = KEY) -> tuple[Provider, RestorePoint]:
        """Back the asset up; return the adapter and the restore point."""
        provider, status = self.back_up(key)
        assert status.restore_point is not None, status
        return provider, status.restore_point


def finished(provider: Provider, job: str) -> JobStatus:
    """Ask until a job has ended, and return its status."""
    for _ in range(MOST_QUESTIONS):
        status = provider.status(job)
        if status.state is not JobState.RUNNING:
            return status
    raise AssertionError(f"{job} did not end")


def rig_of(kind: str) -> type[VendorRig]:
    """Return the rig of a product."""
    return cast("type[VendorRig]", importlib.import_module(f"support.{kind}_rig").ProductRig)
