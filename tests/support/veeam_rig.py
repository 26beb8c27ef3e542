"""Veeam's simulator and the adapter beside it, in any of the revisions that we speak."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from snaphold.config import Integration
from snaphold.providers import veeam_backup, veeam_publication
from snaphold.providers.veeam_session import forget_sign_ins
from snaphold.simulators import veeam
from snaphold.simulators.server import SimulatorServer
from snaphold.simulators.veeam_world import HOST, LOCKED, REPOSITORY
from support.openapi_check import UNDOCUMENTED, check_exchange, load_api
from support.vendor_rigs import VendorRig

MACHINE = "ORDERS-VM01"
NEVER = 10**9
SLOW_SECONDS = 0.5
_NOT_IN_THE_DOCUMENT = UNDOCUMENTED | {"throttled", "throttled_long"}
_DOCUMENTS = {"1.3-rev1": "veeam/vbr-1.3-rev1.poly.json", "1.3-rev2": "veeam/vbr-1.3-rev2.poly.json"}


class ProductRig(VendorRig):
    """Veeam in its newest revision; `revision` makes it an older server. The adapter looks again at once."""

    kind: ClassVar[str] = "veeam"
    location: ClassVar[str] = REPOSITORY

    def __init__(self, folder: Path, revision: str = "1.3-rev2") -> None:
        super().__init__(folder)
        forget_sign_ins()
        self._pauses = veeam_backup.LOOK_PAUSE_SECONDS, veeam_publication.LOOK_PAUSE_SECONDS
        veeam_backup.LOOK_PAUSE_SECONDS = veeam_publication.LOOK_PAUSE_SECONDS = 0.0
        self.revision = revision
        self.settings: dict[str, str] = {"hosts": HOST}
        self.pool_extra: dict[str, str] = {"locked_repository": LOCKED, "investigators": "192.0.2.9, 2001:db8::9"}
        self.simulator = veeam.Simulator(veeam.BUILDS[revision])
        self.simulator.ends_after = NEVER
        self.server = SimulatorServer(self.simulator, folder / "simulator", slow_seconds=SLOW_SECONDS).start()

    @property
    def world(self) -> veeam.World:
        """What the server really holds."""
        return self.simulator.world

    def close(self) -> None:
        self.server.close()
        veeam_backup.LOOK_PAUSE_SECONDS, veeam_publication.LOOK_PAUSE_SECONDS = self._pauses

    @property
    def integration(self) -> Integration:
        for name, value in self.simulator.credentials().items():
            os.environ[f"RIG_{name.upper()}"] = value
        return Integration(
            name="vbr",
            kind="veeam",
            url=self.server.url,
            credentials={"username": "env:RIG_USERNAME", "password": "env:RIG_PASSWORD"},
            settings=self.settings,
            ca_file=str(self.server.ca_file),
            owner="backup-team",
            contact="backup@example.org",
            review_by="2099-01-31",
        )

    def pool_settings(self) -> dict[str, str]:
        return self.pool_extra

    def workloads(self) -> dict[str, str]:
        return {"vbr": MACHINE}

    def started(self) -> int:
        return sum(run.kind == "BackupJob" and run.machine == MACHINE for run in self.world.runs.values())

    def let_jobs_end(self, *, well: bool = True) -> None:
        self.world.end_all(well=well)

    def check_recorded(self) -> int:
        """Check all exchanges of a 1.3 revision; its document knows no other, and none is published here for 1.2."""
        for exchange in self.server.exchanges:
            document = _DOCUMENTS.get(self.revision)
            if document is not None:
                documented = exchange.fault not in _NOT_IN_THE_DOCUMENT and exchange.fault != "zoneless"
                if exchange.reply is not None and exchange.reply.status == 400 and exchange.fault == "already_running":
                    documented = False
                check_exchange(exchange, load_api(document), also_answer=documented)
            assert exchange.call.headers.get("x-api-version") in ("1.2-rev1", self.revision)
        return len(self.server.exchanges)
