"""How a backup product's simulator is reached from inside a SOAR."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from support.vendor_rigs import ASSET, VendorRig, rig_of

PRODUCTS = ("commvault", "veeam")


@contextmanager
def product(kind: str, folder: Path) -> Generator[VendorRig]:
    """Give the rig of a product at work."""
    rig = rig_of(kind)(folder)
    try:
        yield rig
    finally:
        rig.close()


def secrets_of(rig: VendorRig) -> dict[str, str]:
    """Return with what one signs in."""
    return dict(cast("Any", rig).simulator.credentials())


def settings_of_product(rig: VendorRig) -> dict[str, str]:
    """Return the settings that a person fills in: those of the product, and what it calls the asset."""
    return {**rig.integration.settings, f"workload.{ASSET}": next(iter(rig.workloads().values()))}


def address_of(rig: VendorRig) -> tuple[str, str]:
    """Return the address and the file with its authority."""
    server = cast("Any", rig).server
    return str(server.url), str(server.ca_file)
