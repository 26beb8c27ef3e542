"""Commvault beside its simulator: two storage pools, the second one written by auxiliary copies as in most estates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from snaphold.config import Integration
from snaphold.simulators.commvault import USER, Simulator
from snaphold.simulators.commvault_state import Job
from snaphold.simulators.server import SimulatorServer
from support.vendor_rigs import VendorRig

SLOW_SECONDS = 0.5
_V4 = "/webconsole/api/V4/"
_UNDOCUMENTED_FROM = 400


class ProductRig(VendorRig):
    """The simulator's jobs end only when they are told to."""

    kind: ClassVar[str] = "commvault"
    location: ClassVar[str] = "Isolated 01"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.simulator = Simulator(questions_to_end=None)
        self.server = SimulatorServer(self.simulator, folder / "simulator", slow_seconds=SLOW_SECONDS).start()
        self.settings: dict[str, str] = {}
        self.name_in_product = "orders-db/default"

    def close(self) -> None:
        self.server.close()

    def start_anew(self) -> None:
        """Put a fresh Commvault behind the same address."""
        self.server.faults.clear()
        self.server.exchanges.clear()
        self.simulator = Simulator(questions_to_end=None)
        self.server.simulator = self.simulator
        self.settings = {}
        self.name_in_product = "orders-db/default"

    @property
    def integration(self) -> Integration:
        credentials = self.simulator.credentials()
        for name, value in credentials.items():
            os.environ.setdefault(f"COMMVAULT_RIG_{name.upper()}", value)
        return Integration(
            name="my-commvault",
            kind=self.kind,
            url=self.server.url,
            credentials={name: f"env:COMMVAULT_RIG_{name.upper()}" for name in credentials},
            ca_file=str(self.server.ca_file),
            owner="backup-team",
            contact="backup@example.org",
            review_by="2099-01-31",
        )

    def workloads(self) -> dict[str, str]:
        return {"my-commvault": self.name_in_product}

    def pool_settings(self) -> dict[str, str]:
        return self.settings

    def own_jobs(self) -> list[Job]:
        """Return the jobs that our account started, oldest first."""
        return [job for job in self.simulator.estate.jobs.values() if job.user == USER]

    def started(self) -> int:
        return len(self.own_jobs())

    def let_jobs_end(self, *, well: bool = True) -> None:
        self.simulator.let_jobs_end("Completed" if well else "Failed")

    def retained_until(self, job: int, copy: int = 32) -> int:
        """Return until when a copy really keeps a job, in seconds since 1970."""
        return self.simulator.estate.jobs[job].retained[copy]

    def check_recorded(self) -> int:
        """Check the calls of V4 against Commvault's document; the older API has none. Return how many were checked."""
        from support.openapi_check import UNDOCUMENTED, check_exchange, load_api

        api = load_api("commvault/commvault-v4.json", "/webconsole/api")
        checked = [exchange for exchange in self.server.exchanges if exchange.call.path.startswith(_V4)]
        for exchange in checked:
            described = exchange.reply is not None and exchange.reply.status < _UNDOCUMENTED_FROM
            check_exchange(exchange, api, also_answer=described and exchange.fault not in UNDOCUMENTED)
        return len(checked)
