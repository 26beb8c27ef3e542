"""How a backup product's simulator is reached from inside a SOAR."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from snaphold.soar import shuffle_vendor
from snaphold.soar.vendors import Direct
from support.vendor_rigs import ASSET, VendorRig, rig_of
from support.waiting import PATIENCE_SECONDS

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


def answer_vendor(kind: str, method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of a method of a vendor's Shuffle app, without the short limits that Shuffle gives it.

    They are for a product that does not answer; a busy machine needs longer, and is right all the same.
    """

    def connect(kind: str, settings: Mapping[str, str]) -> Direct:
        return replace(shuffle_vendor.connect(kind, settings), timeout=timedelta(seconds=PATIENCE_SECONDS))

    return shuffle_vendor.answer_vendor(kind, method, given, connecting=connect, seconds=PATIENCE_SECONDS)
