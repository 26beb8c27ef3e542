"""What the simulated Commvault knows: clients, subclients, plans with their schedules, storage, copies and jobs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

COMMCELL = 2
FIRST_JOB = 1001
ACTIVE = ("Running", "Waiting", "Pending", "Suspended", "Queued")
_MEGABYTE = 1_000_000
_DAY = 86_400


@dataclass
class Client:
    """A machine, or a hypervisor, that is backed up."""

    id: int
    name: str


@dataclass
class Subclient:
    """What of a client is backed up together, and by which plan."""

    id: int
    client: Client
    name: str
    plan: int
    backup_set: str = "defaultBackupSet"
    agent: str = "Windows File System"


@dataclass
class Plan:
    """A server plan. `status` is a word of the plan's summary."""

    id: int
    name: str
    policy: int
    schedules: list[dict[str, Any]] = field(default_factory=lambda: [])
    status: str = "ENABLED"


@dataclass
class StoragePool:
    """A disk storage pool; sizes in megabytes, as Commvault tells them."""

    id: int
    name: str
    capacity: int = 4_000_000
    free: int = 3_000_000
    status: str = "Online"
    encrypted: bool = True


@dataclass
class Copy:
    """A copy of a plan's backups in a storage pool. Jobs appear in it when they end, or when they were copied."""

    id: int
    name: str
    plan: int
    pool: int
    immediate: bool = True


@dataclass
class Job:
    """A backup job. `retained` holds, for each copy that has it, until when it is kept (0: the plan decides)."""

    id: int
    subclient: Subclient
    user: str
    level: str
    description: str | None
    started_at: int
    status: str = "Running"
    ended_at: int = 0
    percent: int = 10
    size: int = 40_000_000
    files: int = 1200
    failed_files: int = 0
    pending_reason: str = ""
    retained: dict[int, int] = field(default_factory=lambda: {})
    dependents: bool = False
    checked: str = "Not Picked"
    questions: int = 0

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.status in ACTIVE


class Estate:
    """All of it, and its clock. Time stands with the machine's, moved forward by `advance`."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.subclients: list[Subclient] = []
        self.plans: dict[int, Plan] = {}
        self.pools: dict[int, StoragePool] = {}
        self.copies: dict[int, Copy] = {}
        self.jobs: dict[int, Job] = {}
        self._ahead = 0
        self._schedules = 500

    def now(self) -> int:
        """Return the time in seconds since 1970."""
        return int(time.time()) + self._ahead

    def advance(self, seconds: int) -> None:
        """Move the time forward."""
        self._ahead += seconds

    def add_client(self, name: str) -> Client:
        """Add a client."""
        made = Client(len(self.clients) + 3, name)
        self.clients.append(made)
        return made

    def add_subclient(self, client: Client, name: str, plan: int, backup_set: str = "defaultBackupSet") -> Subclient:
        """Add a subclient of a client under a plan."""
        made = Subclient(len(self.subclients) + 11, client, name, plan, backup_set)
        self.subclients.append(made)
        return made

    def subclient(self, number: int) -> Subclient | None:
        """Return the subclient with that id, or None."""
        return next((item for item in self.subclients if item.id == number), None)

    def start(self, subclient: Subclient, user: str, level: str, description: str | None) -> Job:
        """Start a job."""
        job = Job(FIRST_JOB + len(self.jobs), subclient, user, level, description, self.now())
        self.jobs[job.id] = job
        return job

    def finish(self, job: Job, status: str = "Completed") -> None:
        """Bring a job to its end; one that left data appears in the copies that are written at once."""
        job.status, job.ended_at, job.percent = status, self.now(), 100
        if status.startswith("Completed"):
            self.copy_to(job, [copy for copy in self.copies.values() if copy.plan == job.subclient.plan and copy.immediate])

    def copy_to(self, job: Job, copies: Iterable[Copy]) -> None:
        """Have a job appear in copies, as an auxiliary copy does for those that are not written at once."""
        for copy in copies:
            job.retained[copy.id] = 0
            pool = self.pools[copy.pool]
            pool.free = max(pool.free - job.size // _MEGABYTE, 0)

    def age(self) -> None:
        """Have data aging remove what is not retained any more."""
        for job in self.jobs.values():
            job.retained = {copy: until for copy, until in job.retained.items() if until > self.now()}

    def new_schedule(self) -> int:
        """Return a fresh id of a schedule."""
        self._schedules += 1
        return self._schedules


def example_estate() -> Estate:
    """Return one database server with a plan in two pools: the daily one, and an isolated one."""
    estate = Estate()
    estate.plans[41] = Plan(41, "Gold", policy=71)
    estate.plans[41].schedules.append(
        {
            "scheduleId": estate.new_schedule(),
            "scheduleName": "Incremental backup schedule",
            "backupType": "INCREMENTAL",
            "schedulePattern": {"scheduleFrequencyType": "DAILY", "frequency": 1},
        }
    )
    estate.pools[21] = StoragePool(21, "Daily 01")
    estate.pools[22] = StoragePool(22, "Isolated 01")
    estate.copies[31] = Copy(31, "Primary", plan=41, pool=21)
    estate.copies[32] = Copy(32, "Isolated", plan=41, pool=22)
    server = estate.add_client("orders-db")
    subclient = estate.add_subclient(server, "default", plan=41)
    earlier = estate.start(subclient, "scheduler", "Full", None)
    earlier.started_at -= _DAY
    estate.finish(earlier)
    return estate
