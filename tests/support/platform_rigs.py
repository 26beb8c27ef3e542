"""Each platform beside its simulator, so that one suite can ask the adapter and look at what really happened."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from snaphold.config import Configuration, Integration
from snaphold.platforms.base import CaseStatus, Platform
from snaphold.platforms.registry import open_platform
from snaphold.simulators import pagerduty, servicenow
from snaphold.simulators.base import Stateful
from snaphold.simulators.server import SimulatorServer
from support.documented_shapes import check_documented
from support.incident_context import make_configuration
from support.openapi_check import check_exchange, load_api

SLOW_SECONDS = 0.5
TIMEOUT = timedelta(seconds=0.25)
"""For calls that meet the fault `slow`; `given_up_when_held` sees to it that no other runs into it."""


class Rig(ABC):
    """A simulator at work and the adapter that speaks to it."""

    kind: ClassVar[str]

    def __init__(self, folder: Path, simulator: Stateful) -> None:
        self.server = SimulatorServer(simulator, folder / "simulator", slow_seconds=SLOW_SECONDS).start()

    def close(self) -> None:
        self.server.close()

    @property
    def integration(self) -> Integration:
        """The entry of the configuration."""
        for name, value in self.secrets().items():
            os.environ[f"RIG_{name.upper()}"] = value
        return Integration(
            name=f"my-{self.kind}",
            kind=self.kind,
            url=self.server.url,
            credentials={name: f"env:RIG_{name.upper()}" for name in self.secrets()},
            settings=self.settings(),
            ca_file=str(self.server.ca_file),
            owner="backup-team",
            contact="backup@example.org",
            review_by="2099-01-31",
        )

    @property
    def configuration(self) -> Configuration:
        return make_configuration(integrations=[self.integration.model_dump()])

    def platform(self, timeout: timedelta | None = None) -> Platform:
        """Return the adapter; with a timeout, one that gives up early."""
        changes = {"timeout": timeout} if timeout else {}
        return open_platform(self.integration.model_copy(update=changes), self.configuration)

    @abstractmethod
    def secrets(self) -> dict[str, str]: ...

    def settings(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def open_incident(self) -> str:
        """Open an incident in the simulator; return its reference."""

    @abstractmethod
    def notes(self, reference: str) -> list[str]:
        """Return the texts of the notes that the simulator holds."""

    @abstractmethod
    def status(self, reference: str) -> CaseStatus:
        """Return where the incident really stands."""

    @abstractmethod
    def check_recorded(self) -> int:
        """Check what was recorded against what the vendor publishes; return how many exchanges there were."""


class PagerDutyRig(Rig):
    kind = "pagerduty"

    def __init__(self, folder: Path) -> None:
        self.simulator = pagerduty.Simulator()
        super().__init__(folder, self.simulator)

    def secrets(self) -> dict[str, str]:
        return {"token": pagerduty.TOKEN, "routing_key": pagerduty.ROUTING_KEY}

    def settings(self) -> dict[str, str]:
        return {"from": "oncall@example.org", "events_url": self.server.url}

    def open_incident(self) -> str:
        return self.simulator.open_incident("Ransomware on the file server")

    def notes(self, reference: str) -> list[str]:
        return [note["content"] for note in self.simulator.incidents[reference].notes]

    def status(self, reference: str) -> CaseStatus:
        words = {"triggered": CaseStatus.OPEN, "acknowledged": CaseStatus.ACKNOWLEDGED, "resolved": CaseStatus.RESOLVED}
        return words[self.simulator.incidents[reference].status]

    def paged(self, key: str) -> list[str]:
        """Return the status of every incident that was opened under the key."""
        return [incident.status for incident in self.simulator.incidents.values() if incident.key == key]

    def check_recorded(self) -> int:
        from support.openapi_check import UNDOCUMENTED

        rest = load_api("pagerduty/pagerduty-rest.json")
        events = load_api("pagerduty/pagerduty-events-v2.json", "/v2")
        for exchange in self.server.exchanges:
            api = events if exchange.call.path.startswith("/v2/") else rest
            check_exchange(exchange, api, also_answer=exchange.fault not in UNDOCUMENTED)
        return len(self.server.exchanges)


class ServiceNowRig(Rig):
    kind = "servicenow"

    def __init__(self, folder: Path) -> None:
        self.simulator = servicenow.Simulator()
        super().__init__(folder, self.simulator)

    def secrets(self) -> dict[str, str]:
        return dict(self.simulator.credentials())

    def open_incident(self) -> str:
        return self.simulator.open_incident("Ransomware on the file server")

    def _row(self, reference: str) -> dict[str, str]:
        return self.simulator.tables.find("incident", "number", reference)

    def notes(self, reference: str) -> list[str]:
        sys_id = self._row(reference)["sys_id"]
        return [row["value"] for row in self.simulator.tables.rows["sys_journal_field"] if row["element_id"] == sys_id]

    def status(self, reference: str) -> CaseStatus:
        words = {"1": CaseStatus.OPEN, "2": CaseStatus.ACKNOWLEDGED, "6": CaseStatus.RESOLVED}
        return words[self._row(reference)["state"]]

    def check_recorded(self) -> int:
        return check_documented(self.server.exchanges)


class BasicServiceNowRig(ServiceNowRig):
    """The same, signed in with user and password only."""

    def secrets(self) -> dict[str, str]:
        return {name: value for name, value in self.simulator.credentials().items() if not name.startswith("client")}


RIGS: dict[str, Callable[[Path], Rig]] = {
    "pagerduty": PagerDutyRig,
    "servicenow": ServiceNowRig,
    "servicenow-basic": BasicServiceNowRig,
}
