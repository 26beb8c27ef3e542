"""vSphere beside the vCenter simulator."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from snaphold.config import Integration
from support.vendor_rigs import VendorRig
from support.vsphere_proxy import SoapProxy
from support.vsphere_simulator import PASSWORD, USER, run_vcenter

DATASTORE = "LocalDS_0"
SLOW_SECONDS = 0.5


class ProductRig(VendorRig):
    """A vCenter with four machines on one datastore; ORDERS-VM01 is the asset, its Tools run."""

    kind = "vsphere"
    location = DATASTORE

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._closing = ExitStack()
        self.vcenter = self._closing.enter_context(run_vcenter())
        self.machine, self.second, self.third, self.fourth = self.vcenter.machines()
        self.vcenter.control("machine", id=self.machine, name="ORDERS-VM01", tools="guestToolsRunning")
        self.proxy = SoapProxy(self.vcenter.address, folder / "proxy", SLOW_SECONDS)
        self._closing.callback(self.proxy.close)

    def close(self) -> None:
        self._closing.close()

    @property
    def integration(self) -> Integration:
        os.environ["RIG_VSPHERE_USERNAME"], os.environ["RIG_VSPHERE_PASSWORD"] = USER, PASSWORD
        return Integration(
            name="my-vsphere",
            kind="vsphere",
            url=self.proxy.url,
            credentials={"username": "env:RIG_VSPHERE_USERNAME", "password": "env:RIG_VSPHERE_PASSWORD"},
            ca_file=str(self.proxy.ca_file),
            owner="virtualisation",
            contact="vm@example.org",
            review_by="2099-01-31",
        )

    def workloads(self) -> dict[str, str]:
        return {"my-vsphere": "ORDERS-VM01"}

    def started(self) -> int:
        return self.vcenter.started(self.machine)

    def let_jobs_end(self, *, well: bool = True) -> None:
        self.vcenter.let_tasks_end("" if well else "ApplicationQuiesceFault")
