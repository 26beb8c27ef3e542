"""The adapter of Commvault: subclients backed up by the old calls, kept and counted by V4.

A pool is a disk storage pool. A subclient's plan must have a copy in it; a backup is done when the job is in that copy.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from snaphold.clock import Clock, parse_duration
from snaphold.config import Configuration, Integration, Pool
from snaphold.domain.asset import Asset
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.http_guard import PRODUCT_CALLS_PER_RUN, budget_of
from snaphold.platforms.base import Reachability
from snaphold.providers.base import BackupOrder, Capacity, Estimate, Health, JobState, JobStatus, Verification, Workload
from snaphold.providers.commvault_answers import Acknowledged, Job, SubclientRow
from snaphold.providers.commvault_catalogue import (
    find_client,
    find_pool,
    find_subclient,
    plan_of,
    pool_faults,
    read_subclient,
    require_copies,
    require_switched_on,
    require_usable,
    room_of,
)
from snaphold.providers.commvault_check import look_at_rights
from snaphold.providers.commvault_description import DESCRIPTION, PROVED_ON
from snaphold.providers.commvault_jobs import (
    Mark,
    find_by_mark,
    findings_of,
    jobs_of_clients,
    own_jobs,
    read_description,
    read_job,
    read_mark,
    silent_jobs,
    start_job,
    state_of,
)
from snaphold.providers.commvault_keeping import HELD_UNTIL, delete_from, keep_until, release, verification_of
from snaphold.providers.commvault_points import KEY_PARTS, find_again, restore_point_of
from snaphold.providers.commvault_schedule import restore, tighten
from snaphold.providers.commvault_session import CommvaultSession
from snaphold.providers.vendor import VendorProvider, workload_name

__all__ = ["DESCRIPTION", "PROVED_ON", "check_connection", "connect"]


def connect(pool: Pool, configuration: Configuration, incident_id: str, clock: Clock) -> CommvaultProvider:
    """Return the adapter of a pool for one incident; nothing is contacted yet."""
    return CommvaultProvider(pool, configuration, incident_id, clock)


def check_connection(integration: Integration, configuration: Configuration) -> Reachability:
    """Return as whom we are signed in, and which rights lack. Changes nothing."""
    budget = budget_of("", integration.name, integration.calls_per_run or PRODUCT_CALLS_PER_RUN)
    return look_at_rights(CommvaultSession(integration, configuration, budget))


class CommvaultProvider(VendorProvider):
    """One disk storage pool of Commvault, for one incident."""

    description = DESCRIPTION

    def __init__(self, pool: Pool, configuration: Configuration, incident: str, clock: Clock) -> None:
        super().__init__(pool, configuration, incident, clock)
        settings = self.integration.settings
        self._window = _duration("lookup_window", settings.get("lookup_window", "90d"))
        self._after_release = _duration("keep_after_release", pool.settings.get("keep_after_release", "30d"))
        budget = budget_of("", self.integration.name, self.integration.calls_per_run or PRODUCT_CALLS_PER_RUN)
        self._session = CommvaultSession(self.integration, configuration, budget)

    def find_workload(self, asset: Asset) -> Workload:
        """Return the asset's subclient. Raises ProviderError when there is none or several, or its plan does not use the pool."""
        row = find_subclient(self._session, workload_name(asset, self.integration))
        require_copies(self._session, find_pool(self._session, self.pool.location), row)
        return Workload(asset=asset.id, name=row.entity.path, reference=str(row.entity.id), application=asset.application)

    def check_health(self) -> Health:
        """Return whether the storage pool is online and has room."""
        faults = pool_faults(find_pool(self._session, self.pool.location))
        return Health(fit=not faults, reasons=faults)

    def capacity(self) -> Capacity:
        """Return the room of the storage pool."""
        pool = find_pool(self._session, self.pool.location)
        room = room_of(pool)
        return Capacity(total=room.total, free=room.free, storage=f"{self._session.host}/{pool.id}")

    def estimate(self, workload: Workload) -> Estimate:
        """Return the size of the largest backup of the workload that ended within the window."""
        entity = self._subclient(workload).entity
        jobs = [job for job in jobs_of_clients(self._session, [entity.client_id], self._window) if job.subclient.id == entity.id]
        ended = [job for job in jobs if state_of(job)[0] is JobState.DONE]
        if not ended:
            return Estimate(bytes=0, files=0, method="no earlier backup is known: nothing can be estimated")
        largest = max(ended, key=lambda job: job.size)
        return Estimate(bytes=largest.size, files=largest.files, method=f"the largest of {len(ended)} earlier backups")

    def find_started(self, key: str) -> str | None:
        """Return the job that was started under this key for this pool, or None.

        Raises UnknownOutcomeError when several were, or when a job of our account cannot be told from it.
        """
        clients: list[int] = []
        asset = self._asset_of(key)
        if asset is not None:
            client = find_client(self._session, workload_name(asset, self.integration))
            if client is None:
                return None
            clients = [client.id]
        return find_by_mark(self._session, own_jobs(self._session, clients, self._window), Mark(self.pool.name, key))

    def start(self, order: BackupOrder) -> str:
        """Start a backup of a subclient, once per key, and return its job."""
        found = self.find_started(order.key)
        if found:
            return found
        pool = find_pool(self._session, self.pool.location)
        require_usable(pool)
        row = self._subclient(order.workload)
        require_copies(self._session, pool, row)
        self._require_idle(row)
        try:
            return start_job(self._session, row.entity, Mark(self.pool.name, order.key), full=order.full)
        except UnknownOutcomeError as lost:
            return self._look_up(order.key, lost)

    def _look_up(self, key: str, lost: UnknownOutcomeError) -> str:
        """Return the job that was started although its answer was lost. Raises `lost` when that cannot be told."""
        try:
            found = self.find_started(key)
        except SnapholdError as error:
            raise lost from error
        if found is None:
            raise lost
        return found

    def _require_idle(self, row: SubclientRow) -> None:
        for job in jobs_of_clients(self._session, [row.entity.client_id], self._window, active=True):
            if job.subclient.id == row.entity.id:
                raise ProviderError(
                    f"a backup of {row.entity.path} runs already",
                    f"job {job.id}, {job.status}",
                    "wait until it ends, or kill it in Commvault, then start again",
                    retryable=True,
                )

    def status(self, job: str) -> JobStatus:
        """Return where a job of ours stands. It is done when it is in the pool's copy, not before."""
        found = read_job(self._session, job)
        return self._status(found, self._mark_of(found))

    def _status(self, job: Job, mark: Mark) -> JobStatus:
        state, outcome = state_of(job)
        number, findings = str(job.id), findings_of(job)
        if state is JobState.RUNNING:
            return JobStatus(job=number, state=state, bytes_done=job.size, findings=findings)
        if state is JobState.FAILED:
            return JobStatus(job=number, state=state, outcome=outcome, bytes_done=job.size, findings=findings)
        point = restore_point_of(self._session, job, mark, outcome or Outcome.UNKNOWN, self.pool)
        if point is None:
            waits = f"the job ended; it waits to be copied into the storage pool {self.pool.location}"
            return JobStatus(job=number, state=JobState.RUNNING, bytes_done=job.size, findings=(*findings, waits))
        return JobStatus(
            job=number,
            state=state,
            outcome=outcome,
            bytes_done=job.size,
            bytes_total=job.size,
            restore_point=point,
            findings=findings,
        )

    def cancel(self, job: str) -> JobStatus:
        """Kill a job of ours and return how it ended; one that ended already is left alone."""
        now = self.status(job)
        if now.state is not JobState.RUNNING:
            return now
        try:
            self._session.change("POST", f"/Job/{job}/action/kill", Acknowledged, f"the kill of job {job}")
        except (ProviderError, UnknownOutcomeError) as error:
            return self._after_kill(job, error)
        try:
            return self.status(job)
        except SnapholdError as error:
            why = f"the kill was accepted; {error.what}: {error.why}"
            raise UnknownOutcomeError(f"it is not known how job {job} ended", why, "ask for its status") from error

    def _after_kill(self, job: str, error: SnapholdError) -> JobStatus:
        """Return how a job ended although its kill failed. Raises `error` when it goes on, or cannot be read."""
        try:
            now = self.status(job)
        except SnapholdError:
            raise error from None
        if now.state is JobState.RUNNING:
            raise error
        return now

    def restore_points(self) -> list[RestorePoint]:
        """Return the restore points of this incident in this pool, as far back as lookup_window goes, oldest first.

        Raises UnknownOutcomeError when a job of our account shows no description: it may be one of them.
        """
        points: list[RestorePoint] = []
        clients = self._clients()
        for job in own_jobs(self._session, clients, self._window) if clients else []:
            description = read_description(self._session, job.id)
            if not description:
                raise silent_jobs("which restore points there are", [job.id])
            mark = read_mark(description)
            parts = mark.key.split("/") if mark else []
            if mark is None or mark.pool != self.pool.name or len(parts) != KEY_PARTS or parts[0] != self.incident:
                continue
            point = self._status(job, mark).restore_point
            if point is not None:
                points.append(point)
        return sorted(points, key=lambda point: (point.taken_at, point.id))

    def verify(self, restore_point: RestorePoint) -> Verification:
        """Return what Commvault's own data verification says; it is not run from here."""
        job, copies = find_again(self._session, restore_point)
        return verification_of(self._session, job, copies)

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Keep the job in the pool's copies until then; what keeps it longer is left alone."""
        job, copies = find_again(self._session, restore_point)
        keep_until(self._session, job, copies, until)
        return restore_point

    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        """Keep the job far beyond any plan, or for `keep_after_release` only. Holds are not counted: release the last one."""
        job, copies = find_again(self._session, restore_point)
        if on:
            keep_until(self._session, job, copies, HELD_UNTIL)
        else:
            release(self._session, job, copies, self.clock.now() + self._after_release if self._after_release else None)
        return restore_point

    def delete(self, restore_point: RestorePoint) -> None:
        """Delete the job from the pool's copies. Raises ProviderError while it is retained or others depend on it."""
        job, copies = find_again(self._session, restore_point)
        delete_from(self._session, job, copies, self.clock.now())

    def set_schedule(self, asset: str, every_seconds: int | None) -> None:
        """Add our own schedule to the plan of the asset, or take it away with None. It counts for all of the plan."""
        known = self.configuration.assets_by_id.get(asset)
        if known is None:
            raise InputError(f"there is no asset {asset!r}", None, "add it under assets in snaphold.yaml")
        plan = plan_of(find_subclient(self._session, workload_name(known, self.integration)))
        if every_seconds is None:
            restore(self._session, plan, asset)
        else:
            require_switched_on(self._session, plan)
            tighten(self._session, plan, asset, every_seconds)

    def _subclient(self, workload: Workload) -> SubclientRow:
        if not workload.reference.isdigit():
            raise InputError(f"{workload.name or workload.asset} is not a workload of Commvault", None, "look for it anew")
        return read_subclient(self._session, int(workload.reference))

    def _asset_of(self, key: str) -> Asset | None:
        """Return the asset that a key is about, None when the configuration knows none of that name."""
        parts = key.split("/")
        name = parts[2] if len(parts) == KEY_PARTS else ""
        return self.configuration.assets_by_id.get(name)

    def _clients(self) -> list[int]:
        names = {workload_name(asset, self.integration) for asset in self.configuration.assets}
        found = (find_client(self._session, name) for name in sorted(names))
        return sorted({client.id for client in found if client is not None})

    def _mark_of(self, job: Job) -> Mark:
        """Return what a job's description says. Raises InputError when it is none of this incident's in this pool."""
        mark = read_mark(read_description(self._session, job.id))
        parts = mark.key.split("/") if mark else []
        if mark is None or len(parts) != KEY_PARTS:
            raise InputError(f"job {job.id} was not started by Snaphold", "its description does not say so", "name another job")
        if parts[0] != self.incident or mark.pool != self.pool.name:
            raise InputError(
                f"job {job.id} is not one of {self.incident} in {self.pool.name}", f"it is one of {parts[0]} in {mark.pool}"
            )
        return mark


def _duration(name: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"the setting {name} is not a duration", str(error), "write e.g. 90d") from error
