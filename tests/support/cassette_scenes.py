"""What is said on each cassette: the same steps, with a simulator while recording, from the cassette while playing."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from unittest import mock
from urllib.parse import urlsplit

import pytest

from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.domain.value import Value
from snaphold.errors import SnapholdError
from snaphold.platforms.base import CaseStatus, ChangeOrder, PageOrder, Platform
from snaphold.platforms.registry import open_platform
from snaphold.providers.base import BackupOrder, Provider
from snaphold.providers.registry import check_connection, open_provider
from snaphold.simulators import commvault_state, servicenow
from snaphold.simulators.server import SimulatorServer
from support.cassettes import FOLDER, Recorder, without_times
from support.platform_rigs import RIGS, Rig
from support.vendor_rigs import INCIDENT, finished, rig_of

PLAYED_SECRET = "played-from-a-cassette"
USER = "snaphold"
NOTE_KEY = "INC-1/tell/orders-db/1"
START_KEY = "INC-1/snapshot_wave.start/orders-db/1"


class Scene(ABC):
    """One cassette, and beside it what adapters made of it: the configuration, the incident, and every result."""

    address: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name
        self.recorder = Recorder(name, self.address)
        self.results: list[Any] = []
        self.configuration: dict[str, Any] = {}
        self.reference = ""

    @abstractmethod
    def record(self, folder: Path) -> None:
        """Have the steps done with a simulator; `recorder.text` and `shown()` then say what came of it."""

    @abstractmethod
    def steps(self, configuration: Configuration, let_jobs_end: Callable[[], None]) -> None:
        """Do the steps, whoever answers."""

    def play(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Have the steps done from the cassette, with secrets that are none; return vcrpy's cassette."""
        kept = json.loads(results_path(self.name).read_text(encoding="utf-8"))
        self.configuration, self.reference = kept["configuration"], kept["reference"]
        configuration = Configuration.model_validate(self.configuration).placed_at(folder)
        set_played_credentials(configuration, monkeypatch)
        with self.recorder.playing() as cassette:
            self.steps(configuration, lambda: None)
        return cassette

    def remember(self, configuration: Configuration, server: str) -> None:
        """Keep the configuration as it is when the cassette is played."""
        document = configuration.model_dump(mode="json", exclude_defaults=True)
        for integration in document["integrations"]:
            del integration["ca_file"]
        self.configuration = _moved(document, server, self.address)

    def step(self, ask: Callable[[], object]) -> Any:
        """Do one step and keep what came of it; an error is a result."""
        try:
            came = ask()
        except SnapholdError as error:
            self.results.append({"error": type(error).__name__, "what": error.what})
            return None
        self.results.append(_plain(came))
        return came

    def shown(self) -> str:
        """Return configuration, incident and results as JSON, without times."""
        told = {"configuration": self.configuration, "reference": self.reference, "results": self.results}
        return without_times(json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False)) + "\n"


def set_played_credentials(configuration: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the integrations credentials that are none; only the user's name is said in the clear."""
    for integration in configuration.integrations:
        for name, reference in integration.credentials.items():
            monkeypatch.setenv(reference.removeprefix("env:"), USER if name == "username" else PLAYED_SECRET)


def results_path(name: str) -> Path:
    """Return where it is kept what adapters made of a cassette."""
    return FOLDER / f"{name}.json"


def _plain(came: object) -> Any:
    if isinstance(came, Value):
        return came.model_dump(mode="json")
    if isinstance(came, list):
        return [_plain(item) for item in cast("list[object]", came)]
    return came


class PlatformScene(Scene):
    """A platform: an incident, a note that is not added twice, its status; then what only this vendor has."""

    unknown: ClassVar[str]
    """An incident that nobody has."""

    def record(self, folder: Path) -> None:
        rig = RIGS[self.name](folder)
        try:
            self.set_up(rig)
            self.reference = rig.open_incident()
            with self.recorder.recording(rig.server.url):
                self.steps(rig.configuration, lambda: None)
            self.results = _moved(self.results, rig.server.url, self.address)
            self.remember(rig.configuration, rig.server.url)
        finally:
            rig.close()

    def set_up(self, rig: Rig) -> None:
        """Prepare the simulator."""

    def steps(self, configuration: Configuration, let_jobs_end: Callable[[], None]) -> None:
        platform = open_platform(configuration.integrations[0], configuration)
        self.step(platform.check)
        self.step(lambda: platform.read_incident(self.reference))
        for _ in range(2):
            self.step(lambda: platform.add_note(self.reference, "Backup done: RP-orders-db-1a2b3c4d", NOTE_KEY))
        self.more(platform)
        self.step(lambda: platform.set_status(self.reference, CaseStatus.RESOLVED, "Evidence is sealed.", NOTE_KEY))
        self.step(lambda: platform.read_incident(self.unknown))

    def more(self, platform: Platform) -> None:
        """Do the steps that only this vendor has."""


class PagerDutyScene(PlatformScene):
    """Pages the backup team and ends the page."""

    address = "https://api.pagerduty.com"
    unknown = "P0NOBODY"

    def more(self, platform: Platform) -> None:
        order = PageOrder(
            key="INC-1/page/1", incident=INCIDENT, summary="Orders database is encrypted", source="snaphold", critical=True
        )
        self.step(lambda: platform.page(order))
        self.step(lambda: platform.read_page(order.key))
        self.step(lambda: platform.acknowledge_page(order.key))
        self.step(lambda: platform.end_page(order.key))


class ServiceNowScene(PlatformScene):
    """Opens an emergency change and walks dependencies; signs in with OAuth."""

    address = "https://example.service-now.com"
    unknown = "INC9999999"

    def set_up(self, rig: Rig) -> None:
        cast("servicenow.Simulator", rig.server.simulator).add_item("orders-db", ("storage-01",))

    def more(self, platform: Platform) -> None:
        order = ChangeOrder(
            key="INC-1/change/1", incident=INCIDENT, summary="Isolated backup", description="Of orders-db",
            justification="Ransomware", assets=("orders-db",),
        )  # fmt: skip
        opened = self.step(lambda: platform.open_change(order))
        assert opened is not None
        self.step(lambda: platform.open_change(order))
        self.step(lambda: platform.close_change(opened.reference, successful=True, notes="Done", key="INC-1/close/1"))
        self.step(lambda: platform.check_standard_change("Incident backup"))
        self.step(lambda: platform.read_dependencies(["orders-db"]))


class ProductScene(Scene):
    """A backup product: connection, room, one backup from start to restore point, and the same start again."""

    def record(self, folder: Path) -> None:
        rig = rig_of(self.name)(folder)
        try:
            server: SimulatorServer = cast("Any", rig).server
            place = server.url.removesuffix(server.simulator.base_path)
            self.reference = rig.asset.id
            with self.recorder.recording(place):
                self.steps(rig.configuration, rig.let_jobs_end)
            self.results = _moved(self.results, place, self.address)
            self.remember(rig.configuration, place)
        finally:
            rig.close()

    def steps(self, configuration: Configuration, let_jobs_end: Callable[[], None]) -> None:
        self.step(lambda: check_connection(configuration.integrations[0], configuration))
        provider: Provider = open_provider(configuration.pools[0], configuration, INCIDENT, SystemClock())
        self.step(provider.check_health)
        self.step(provider.capacity)
        asset = next(item for item in configuration.assets if item.id == self.reference)
        workload = self.step(lambda: provider.find_workload(asset))
        assert workload is not None
        order = BackupOrder(key=START_KEY, incident=INCIDENT, workload=workload, tags={"tier": "T0"})
        job = self.step(lambda: provider.start(order))
        assert job is not None
        let_jobs_end()
        self.step(lambda: finished(provider, job))
        self.step(provider.restore_points)
        self.step(lambda: provider.find_started(START_KEY))


class VeeamScene(ProductScene):
    """Veeam Backup & Replication."""

    address = "https://backup.example.org:9419"


class CommvaultScene(ProductScene):
    """Commvault. Its simulator's clock stands still: jobs are listed in the order of their seconds."""

    address = "https://commvault.example.org"

    def record(self, folder: Path) -> None:
        now = time.time()
        with mock.patch.object(commvault_state, "time", SimpleNamespace(time=lambda: now)):
            super().record(folder)


SCENES: dict[str, type[Scene]] = {
    "pagerduty": PagerDutyScene,
    "servicenow": ServiceNowScene,
    "veeam": VeeamScene,
    "commvault": CommvaultScene,
}


def _moved(value: Any, server: str, address: str) -> Any:
    """Return results with the vendor's address in place of the simulator's."""
    text, here, there = json.dumps(value, ensure_ascii=False), urlsplit(server), urlsplit(address)
    for old, new in ((server, address), (here.netloc, there.netloc), (str(here.hostname), str(there.hostname))):
        text = text.replace(old, new)
    return json.loads(text)
