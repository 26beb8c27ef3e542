"""Veeam Backup & Replication through its REST API (1.2 and 1.3): machines of vSphere, as one job of our own per key."""

from __future__ import annotations

from datetime import datetime

from snaphold.clock import Clock
from snaphold.config import Configuration, Integration, Pool
from snaphold.domain.asset import Asset
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError
from snaphold.platforms.base import Reachability
from snaphold.providers import (
    veeam_backup,
    veeam_publication,
    veeam_retention,
    veeam_schedule,
    veeam_storage,
)
from snaphold.providers.base import (
    BackupOrder,
    Capability,
    Capacity,
    Description,
    Estimate,
    Health,
    JobStatus,
    Publication,
    Support,
    Verb,
    Verification,
    Workload,
)
from snaphold.providers.veeam_answers import refusal
from snaphold.providers.veeam_session import OK, VeeamSession
from snaphold.providers.vendor import VendorProvider, workload_name

PROVED_ON = "vendor specification enforced"
_FULL = Capability(support=Support.FULL)
_FORBIDDEN = 403


def _nearly(detail: str) -> Capability:
    return Capability(support=Support.APPROXIMATE, detail=detail)


def _not(detail: str) -> Capability:
    return Capability(support=Support.UNSUPPORTED, detail=detail)


DESCRIPTION = Description(
    provider="veeam",
    engine="Veeam Backup & Replication, REST API 1.2-rev1, 1.3-rev1, 1.3-rev2",
    proved_on=PROVED_ON,
    capabilities={
        Verb.FIND_WORKLOAD: _nearly("virtual machines of vSphere only, by name in the servers of the setting hosts"),
        Verb.CHECK_HEALTH: _FULL,
        Verb.CAPACITY: _FULL,
        Verb.ESTIMATE: _nearly("the machine's size in its last restore point, else in the inventory, else what is assumed"),
        Verb.START: _nearly(
            "Veeam has no key: each key gets a job of its own whose name carries its mark, and the first run of it is ours; "
            "a quick backup, where the pool allows it, is noted there"
        ),
        Verb.STATUS: _FULL,
        Verb.CANCEL: _FULL,
        Verb.RESTORE_POINTS: _FULL,
        Verb.VERIFY: _nearly("restore point, file and malware state are looked at; data are not read back"),
        Verb.SET_RETENTION: _nearly(
            "our job keeps it for longer, and a copy goes to the pool's locked_repository (from API 1.3 on); "
            "how long it is locked is set in that repository"
        ),
        Verb.HOLD: _not("Veeam has no hold on a restore point; copy it to a locked repository"),
        Verb.DELETE: _not(
            "Veeam deletes whole backups or machines, not one restore point; delete our job's backup in its console"
        ),
        Verb.SET_SCHEDULE: _nearly("the whole regular job of the machine is tightened, in whole minutes"),
        Verb.OPEN_READ_ONLY: _not("Veeam publishes disks, not a tree of files; publish it to investigators"),
        Verb.PUBLISH: _nearly("an iSCSI target for the addresses in investigators, once per restore point whatever its name"),
        Verb.MARK_INFECTED: _nearly(
            "a malware event (from API 1.3 on); which restore points Veeam then shows so is its decision"
        ),
    },
)


def connect(pool: Pool, configuration: Configuration, incident_id: str, clock: Clock) -> Veeam:
    """Return the adapter of a pool; nothing is contacted yet. Raises InputError when the connection is not configured."""
    return Veeam(pool, configuration, incident_id, clock)


def check_connection(integration: Integration, configuration: Configuration) -> Reachability:
    """Return as whom it signs in, and what that user may not do. Nothing is changed."""
    session = VeeamSession(integration, configuration)
    missing: list[str] = []
    if session.server_info() is None:
        missing.append("the user is no Backup Administrator: jobs cannot be made, and schedules and retention cannot be changed")
    for path, why in (
        ("/api/v1/jobs/states", "backups cannot be followed"),
        ("/api/v1/restorePoints", "restore points cannot be read"),
        (f"{veeam_storage.REPOSITORIES}/states", "room and health of repositories cannot be read"),
        (veeam_publication.MOUNTS, "restore points cannot be published"),
        (veeam_publication.EVENTS, "restore points cannot be marked as infected"),
    ):
        answer = session.call("GET", path, query={"limit": 1})
        if answer.status == _FORBIDDEN:
            missing.append(f"{path.removeprefix('/api/v1/')} may not be read: {why}")
        elif answer.status != OK:
            raise refusal(answer, f"reading {path}")
    return Reachability(signed_in_as=session.user, missing=tuple(missing))


class Veeam(VendorProvider):
    """The `Provider` port on one Veeam server and one of its repositories, the pool's `location`."""

    description = DESCRIPTION

    def __init__(self, pool: Pool, configuration: Configuration, incident: str, clock: Clock) -> None:
        super().__init__(pool, configuration, incident, clock)
        self._session = VeeamSession(self.integration, configuration)

    def find_workload(self, asset: Asset) -> Workload:
        """Return the virtual machine of an asset."""
        return veeam_storage.find_workload(self._session, asset, self.integration)

    def check_health(self) -> Health:
        """Return whether the pool's repository can be written to."""
        return veeam_storage.check_health(self._session, self.pool)

    def capacity(self) -> Capacity:
        """Return the room of the pool's repository."""
        return veeam_storage.capacity(self._session, self.pool, self.integration)

    def estimate(self, workload: Workload) -> Estimate:
        """Return how much a backup may add."""
        return veeam_storage.estimate(self._session, workload, self.pool)

    def find_started(self, key: str) -> str | None:
        """Return the session that was started under this key, or None."""
        return veeam_backup.find_started(self._session, key)

    def start(self, order: BackupOrder) -> str:
        """Start a backup once per key, and return its session."""
        return veeam_backup.start(self._session, self.pool, order)

    def status(self, job: str) -> JobStatus:
        """Return where a session stands."""
        return veeam_backup.status(self._session, self.pool, job, self.incident)

    def cancel(self, job: str) -> JobStatus:
        """Stop a session and return how it ended."""
        return veeam_backup.cancel(self._session, self.pool, job, self.incident)

    def restore_points(self) -> list[RestorePoint]:
        """Return the restore points of this incident in this pool, oldest first."""
        return veeam_backup.restore_points(self._session, self.pool, self.incident)

    def verify(self, restore_point: RestorePoint) -> Verification:
        """Look at the restore point as Veeam knows it; its data are not read."""
        return veeam_backup.verify(self._session, restore_point)

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Keep the restore point until then: by our job's retention, and by a copy in a repository that locks it."""
        return veeam_retention.set_retention(self._session, self.pool, restore_point, until, self.clock)

    def set_schedule(self, asset: str, every_seconds: int | None) -> None:
        """Tighten the regular job of an asset's machine, or restore it with None."""
        known = self.configuration.assets_by_id.get(asset)
        if known is None:
            raise InputError(f"there is no asset {asset!r}", None, "add it under assets in snaphold.yaml")
        veeam_schedule.set_schedule(self._session, self.pool, workload_name(known, self.integration), every_seconds)

    def publish(self, restore_point: RestorePoint, name: str) -> Publication:
        """Offer the disks of the restore point read-only to investigators."""
        return veeam_publication.publish(self._session, self.pool, restore_point, name)

    def end_publication(self, reference: str) -> None:
        """End a publication."""
        veeam_publication.end_publication(self._session, reference)

    def mark_infected(self, restore_point: RestorePoint, reason: str) -> RestorePoint:
        """Report malware in the restore point to Veeam."""
        return veeam_publication.mark_infected(self._session, restore_point, reason)
