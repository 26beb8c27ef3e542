"""What the simulated Veeam server holds: repositories, machines, jobs, sessions, backups, publications, malware events."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

Document = dict[str, Any]
USER = "snaphold"
HOST = "vcenter01.example.org"
GIB = 1024**3
REPOSITORY, LOCKED, ORDINARY = "Incident 01", "Immutable 01", "Default Backup Repository"
GOOD_LOG = (
    ("None", "Preparing guest for hot backup"),
    ("Succeeded", "Freezing guest operating system"),
    ("Succeeded", "Creating VM snapshot"),
    ("Succeeded", "Releasing guest"),
    ("Succeeded", "Saving disk data"),
)


@dataclass
class Run:
    """A session: of a job, a copy, a publication. `asked` counts how often it was looked at."""

    id: str
    job: str
    name: str
    kind: str
    machine: str
    created: datetime
    state: str = "Working"
    result: str = "None"
    message: str = ""
    cancelled: bool = False
    asked: int = 0
    target: str = ""
    point: str = ""
    full: bool = True
    log: list[tuple[str, str]] = field(default_factory=lambda: list(GOOD_LOG))


@dataclass
class Point:
    """A restore point of one machine in one backup."""

    id: str
    machine: str
    backup: str
    session: str
    created: datetime
    full: bool
    size: int
    malware: str = "Clean"


@dataclass
class Backup:
    """A chain of one job in one repository."""

    id: str
    name: str
    job: str
    repository: str
    created: datetime


@dataclass
class Repository:
    """A repository with its room in GB and for how many days it locks; `online` and `free` may be changed by tests."""

    id: str
    name: str
    capacity: float
    free: float
    immutable_days: int
    online: bool = True


class World:
    """All of it, and the clock, which only moves when it is told."""

    def __init__(self) -> None:
        self.now = datetime.now(timezone.utc).replace(microsecond=0)
        self._made = 0
        self.repositories = [
            Repository(self.new_id(), REPOSITORY, 2048.0, 1536.0, 14),
            Repository(self.new_id(), LOCKED, 8192.0, 8000.0, 30),
            Repository(self.new_id(), ORDINARY, 1024.0, 200.0, 0),
        ]
        self.machines: list[Document] = []
        self.jobs: dict[str, Document] = {}
        self.runs: dict[str, Run] = {}
        self.points: dict[str, Point] = {}
        self.backups: dict[str, Backup] = {}
        self.mounts: dict[str, Document] = {}
        self.events: list[Document] = []
        for name in ("ORDERS-VM01", "SHOP-VM01"):
            self.add_machine(name)
        self.add_regular_job("Nightly databases", "ORDERS-VM01")

    def new_id(self) -> str:
        """Return an id that was not given yet, the same in every run of the same story."""
        self._made += 1
        digest = hashlib.sha256(f"veeam/{self._made}".encode()).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"

    def advance(self, seconds: float) -> None:
        """Move the server's clock forward."""
        self.now += timedelta(seconds=seconds)

    def repository(self, name: str) -> Repository:
        """Return a repository by its name or id. Raises StopIteration when there is none."""
        return next(item for item in self.repositories if name in (item.name, item.id))

    def add_machine(self, name: str, host: str = HOST, size: str = "50 GB") -> str:
        """Add a virtual machine to the infrastructure; return its id there."""
        object_id = f"vm-{101 + len(self.machines)}"
        machine = {"platform": "VSphere", "hostName": host, "name": name, "type": "VirtualMachine", "objectId": object_id}
        self.machines.append({**machine, "size": size})
        return object_id

    def vm(self, name: str) -> Document:
        """Return the machine of that name as jobs hold it."""
        found = next(item for item in self.machines if item["name"] == name)
        return {key: value for key, value in found.items() if key != "size"}

    def add_regular_job(self, name: str, machine: str, repository: str = ORDINARY) -> str:
        """Add a job as an administrator makes one: every night at ten, with credentials of the guest; return its id."""
        credentials = {"credentialsId": self.new_id(), "credentialsType": "Standard"}
        settings = {"vmObject": self.vm(machine), "vss": "IgnoreFailures", "transactionLogs": "Process"}
        document: Document = {
            "name": name,
            "type": "VSphereBackup",
            "description": "Created by VBR01\\administrator",
            "isHighPriority": False,
            "virtualMachines": {"includes": [self.vm(machine)]},
            "storage": {
                "backupRepositoryId": self.repository(repository).id,
                "backupProxies": {"autoSelectEnabled": True, "proxyIds": []},
                "retentionPolicy": {"type": "RestorePoints", "quantity": 14},
            },
            "guestProcessing": {
                "appAwareProcessing": {"isEnabled": True, "appSettings": [settings]},
                "guestFSIndexing": {"isEnabled": False},
                "guestCredentials": {"useAgentManagementCredentials": False, "credentials": credentials},
            },
            "schedule": {
                "runAutomatically": True,
                "daily": {"isEnabled": True, "localTime": "22:00:00", "dailyKind": "Everyday"},
                "periodically": {"isEnabled": False, "periodicallyKind": "Hours", "frequency": 4},
            },
        }
        return str(self.add_job(document)["id"])

    def add_job(self, document: Mapping[str, Any]) -> Document:
        """Keep a job; return it with its id."""
        job = {**copy.deepcopy(dict(document)), "id": self.new_id(), "isDisabled": False}
        self.jobs[str(job["id"])] = job
        return job

    def run_job(self, job: str, *, full: bool) -> Run:
        """Begin a run of a job."""
        machine = str(self.jobs[job]["virtualMachines"]["includes"][0]["name"])
        return self.begin(Run(self.new_id(), job, str(self.jobs[job]["name"]), "BackupJob", machine, self.now, full=full))

    def begin(self, run: Run) -> Run:
        """Keep a run that has begun."""
        self.runs[run.id] = run
        return run

    def running(self, job: str) -> Run | None:
        """Return the run of a job that has not ended."""
        return next((run for run in self.runs.values() if run.job == job and run.state != "Stopped"), None)

    def end(self, run: Run, *, well: bool = True) -> None:
        """Bring a run to its end; what it makes is there afterwards."""
        run.state, run.result = "Stopped", "Success" if well else "Failed"
        if not well:
            run.message = "Failed to open the disk: the datastore does not answer"
            run.log = [*run.log[:3], ("Failed", run.message)]
        elif run.kind == "BackupJob":
            self._keep_point(run)
        elif run.kind in ("CopyBackup", "PerVmCopyBackup"):
            self._keep_copy(run)

    def stop(self, run: Run) -> None:
        """End a run before its time."""
        run.state, run.result, run.cancelled, run.message = "Stopped", "Failed", True, "Operation was canceled by user"

    def end_all(self, *, well: bool = True) -> None:
        """End every run that goes on."""
        for run in [run for run in self.runs.values() if run.state != "Stopped"]:
            self.end(run, well=well)

    def _keep_point(self, run: Run) -> None:
        repository = str(self.jobs[run.job]["storage"]["backupRepositoryId"])
        backup = next((item for item in self.backups.values() if item.job == run.job), None)
        if backup is None:
            backup = Backup(self.new_id(), run.name, run.job, repository, run.created)
            self.backups[backup.id] = backup
        point = Point(self.new_id(), run.machine, backup.id, run.id, run.created, run.full, 50 * GIB)
        self.points[point.id], run.point = point, point.id

    def _keep_copy(self, run: Run) -> None:
        source = self.backups[run.job]
        copied = Backup(self.new_id(), f"{source.name} (copy)", source.job, run.target, self.now)
        self.backups[copied.id] = copied
        for point in [point for point in self.points.values() if point.backup == source.id]:
            again = Point(self.new_id(), point.machine, copied.id, run.id, point.created, True, point.size)
            self.points[again.id] = again

    def machine_in(self, backup: str, machine: str) -> str:
        """Return the id of a machine as it lies in a backup."""
        digest = hashlib.sha256(f"{backup}/{machine}".encode()).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"

    def file_of(self, point: Point) -> str:
        """Return the id of the file in which a restore point lies."""
        return self.machine_in(point.id, "file")
