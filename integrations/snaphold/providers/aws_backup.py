"""AWS Backup: on-demand jobs into a vault, their recovery points, lifecycles and legal holds."""

from __future__ import annotations

import hashlib
import math
import re
from datetime import datetime, timedelta
from functools import cached_property
from typing import cast

from snaphold.clock import Clock, parse_duration
from snaphold.config import Configuration, Pool
from snaphold.domain.asset import Asset
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.providers.aws_account import AwsAccount
from snaphold.providers.aws_backup_connection import check_connection
from snaphold.providers.aws_backup_holds import place_hold, release_hold, standing_holds
from snaphold.providers.aws_backup_points import (
    ENGINE,
    NOT_FOUND,
    VSS,
    RecoveryPoint,
    judge,
    marks_on,
    read_recovery_point,
    to_restore_point,
)
from snaphold.providers.aws_backup_retention import keep_until
from snaphold.providers.aws_backup_verbs import CAPABILITIES, PROVED_ON
from snaphold.providers.aws_errors import AwsError
from snaphold.providers.aws_marks import INCIDENT, INFECTED, JOB, LONGEST_VALUE, POOL, encode, marks_of, read_mark
from snaphold.providers.aws_session import AwsService, check_settings, unknown_job
from snaphold.providers.base import BackupOrder, Capacity, Description, Estimate, Health, JobStatus, Verification, Workload
from snaphold.providers.jobs import job_id
from snaphold.providers.vendor import VendorProvider, workload_name

__all__ = ["DESCRIPTION", "PROVED_ON", "check_connection", "connect"]

DESCRIPTION = Description(provider="aws_backup", engine=ENGINE, capabilities=CAPABILITIES, proved_on=PROVED_ON)
JOBS_ARE_KEPT = timedelta(days=30)
"""How long AWS Backup lists a job that has ended."""
_SETTINGS = frozenset({"backup_role", "consistency", "delete_after"})
_ARN = re.compile(r"arn:aws[a-z-]*:(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):(?P<account>[0-9]*):.+")
_DAY = timedelta(days=1)


def connect(pool: Pool, configuration: Configuration, incident_id: str, clock: Clock) -> AwsBackup:
    """Return the provider of a pool; nothing is contacted. Raises InputError for settings that are wrong."""
    return AwsBackup(pool, configuration, incident_id, clock)


class AwsBackup(VendorProvider):
    """One vault in one region, as one incident sees it."""

    description = DESCRIPTION

    def __init__(self, pool: Pool, configuration: Configuration, incident: str, clock: Clock) -> None:
        super().__init__(pool, configuration, incident, clock)
        check_settings(pool.settings, _SETTINGS, pool.name)
        self._account = AwsAccount(self.integration, configuration)
        self._vault = pool.location
        self._role = pool.settings.get("backup_role", "")
        if not _ARN.fullmatch(self._role):
            raise InputError(
                f"the pool {pool.name} names no role for AWS Backup",
                f"backup_role is {self._role!r}" if self._role else None,
                "set backup_role to the ARN of the role that AWS Backup takes on",
            )
        consistency = pool.settings.get("consistency", "crash")
        if consistency not in ("crash", "vss"):
            raise InputError(f"consistency of the pool {pool.name} is {consistency!r}", "allowed: crash, vss", "correct settings")
        self._wants_vss = consistency == "vss"
        self._delete_after = _days(pool)

    @cached_property
    def _backup(self) -> AwsService:
        return self._account.open("backup")

    def find_workload(self, asset: Asset) -> Workload:
        """Return the resource that an asset is: its ARN stands under protection.workloads."""
        name = workload_name(asset, self.integration)
        found = _ARN.fullmatch(name)
        if not found:
            raise ProviderError(
                f"{name!r} (asset {asset.id}) is no resource that AWS Backup knows",
                "a resource is named by its ARN",
                "write the ARN under protection.workloads of the asset",
            )
        if found["region"] not in ("", self._account.region):
            raise ProviderError(
                f"{name} (asset {asset.id}) is in another region than the vault {self._vault}",
                f"the integration is in {self._account.region}",
                "use a pool in the resource's region",
            )
        return Workload(asset=asset.id, name=name, reference=name, application=asset.application)

    def check_health(self) -> Health:
        """Return whether the vault is there, and its lock takes backups that are kept as long as ours."""
        try:
            vault = self._backup.read("describe_backup_vault", "BackupVaultName", BackupVaultName=self._vault)
        except SnapholdError as error:
            return Health(fit=False, reasons=(f"the vault {self._vault}: {error.what}: {error.why}",))
        reasons: list[str] = []
        state = str(vault.get("VaultState") or "AVAILABLE")
        if state != "AVAILABLE":
            reasons.append(f"the vault {self._vault} is {state}")
        least, most, days = vault.get("MinRetentionDays"), vault.get("MaxRetentionDays"), self._delete_after
        if vault.get("Locked") and least and days and days < int(least):
            reasons.append(f"the lock of {self._vault} keeps for at least {least} days, delete_after is {days} days")
        if vault.get("Locked") and most and (days is None or days > int(most)):
            kept = f"{days} days" if days else "not set"
            reasons.append(f"the lock of {self._vault} keeps for at most {most} days, delete_after is {kept}")
        return Health(fit=not reasons, reasons=tuple(reasons))

    def capacity(self) -> Capacity:
        """Return that a vault grows as it is used."""
        return Capacity(total=None, free=None, elastic=True, storage=f"aws backup {self._account.region} {self._vault}")

    def estimate(self, workload: Workload) -> Estimate:
        """Return the size of the newest recovery point of the resource; 0, and why, when there is none."""
        try:
            points = list(
                self._backup.pages("list_recovery_points_by_resource", "RecoveryPoints", ResourceArn=workload.reference)
            )
        except AwsError as error:
            if error.code != NOT_FOUND:
                raise
            points = []
        if not points:
            return Estimate(bytes=0, files=0, method="not known: the resource has no recovery point yet")
        newest = max(points, key=lambda item: cast("datetime", item["CreationDate"]))
        return Estimate(bytes=int(newest.get("BackupSizeBytes") or 0), files=0, method="size of its newest recovery point")

    def find_started(self, key: str) -> str | None:
        """Return the job of this key when its recovery point bears our mark.

        A job that shows no recovery point yet is not found; `start` then gets the same job, by its token.
        """
        mark, since = job_id(key, self.pool.name), self.clock.now() - JOBS_ARE_KEPT
        wanted = {workload_name(asset, self.integration) for asset in self.configuration.assets}
        for job in self._backup.pages("list_backup_jobs", "BackupJobs", ByBackupVaultName=self._vault, ByCreatedAfter=since):
            arn = str(job.get("RecoveryPointArn") or "")
            ours = not job.get("CreatedBy") and job.get("IamRoleArn") == self._role and job.get("ResourceArn") in wanted
            if arn and ours and marks_on(self._backup, arn).get(JOB) == mark:
                return str(job["BackupJobId"])
        return None

    def start(self, order: BackupOrder) -> str:
        """Start an on-demand job, once per key: AWS Backup knows a repeat by the token that is made of the key."""
        started = self.find_started(order.key)
        if started:
            return started
        marks = marks_of(order, self.pool)
        options = {"BackupOptions": {"WindowsVSS": "enabled"}} if self._wants_vss else {}
        lifecycle = {"Lifecycle": {"DeleteAfterDays": self._delete_after}} if self._delete_after else {}
        try:
            answer = self._backup.write(
                "start_backup_job",
                "BackupJobId",
                BackupVaultName=self._vault,
                ResourceArn=order.workload.reference,
                IamRoleArn=self._role,
                IdempotencyToken=token_of(order.key, self.pool.name),
                RecoveryPointTags={**marks, VSS: "enabled"} if self._wants_vss else marks,
                **options,
                **lifecycle,
            )
        except AwsError as error:
            if not error.may_have_acted:
                raise
            raise UnknownOutcomeError(
                f"it is not known whether a backup of {order.workload.reference} began",
                f"{error.what}: {error.why}",
                "look at the jobs of the vault, then repeat under the same key: AWS Backup knows it by its token",
            ) from error
        return str(answer["BackupJobId"])

    def status(self, job: str) -> JobStatus:
        """Return where a job stands. Raises ProviderError when this vault has no such job."""
        try:
            answer = self._backup.read("describe_backup_job", "State", BackupJobId=job)
        except AwsError as error:
            if error.code == NOT_FOUND:
                raise unknown_job(job, self.pool.name) from error
            raise
        if answer.get("BackupVaultName") != self._vault or "BackupJobId" not in answer:
            raise unknown_job(job, self.pool.name)
        return judge(self._backup, answer, self.pool)

    def cancel(self, job: str) -> JobStatus:
        """Stop a running job and return how it stands; one that has ended is left alone."""
        self.status(job)
        try:
            self._backup.write("stop_backup_job", BackupJobId=job)
        except AwsError as error:
            if error.code != "InvalidRequestException":
                raise
        return self.status(job)

    def restore_points(self) -> list[RestorePoint]:
        """Return the restore points of this incident in this vault, oldest first."""
        listed: dict[str, None] = {}
        for resource in sorted({workload_name(asset, self.integration) for asset in self.configuration.assets}):
            if _ARN.fullmatch(resource):
                for item in self._backup.pages(
                    "list_recovery_points_by_backup_vault",
                    "RecoveryPoints",
                    BackupVaultName=self._vault,
                    ByResourceArn=resource,
                ):
                    listed[str(item.get("RecoveryPointArn", ""))] = None
        points: list[RestorePoint] = []
        for arn in listed:
            marks = marks_on(self._backup, arn)
            if (read_mark(marks, INCIDENT), read_mark(marks, POOL)) != (self.incident, self.pool.name):
                continue
            found = read_recovery_point(self._backup, self._vault, arn)
            if found and (found.whole or found.status == "PARTIAL"):
                points.append(to_restore_point(found, marks, self.pool))
        return sorted(points, key=lambda point: (point.taken_at, point.id))

    def verify(self, restore_point: RestorePoint) -> Verification:
        """Return what AWS Backup says about the recovery point. Its data is not read: the outcome is never succeeded."""
        method = "state of the recovery point in AWS Backup; its data was not read"
        found = read_recovery_point(self._backup, self._vault, restore_point.reference)
        if found is None:
            return Verification(outcome=Outcome.FAILED, method=method, findings=("the recovery point is gone",))
        if not found.whole:
            return Verification(outcome=Outcome.FAILED, method=method, findings=(f"{found.status} {found.message}".rstrip(),))
        gap = f"the recovery point is {found.status}, but nothing was read back: run a restore test to prove it"
        return Verification(outcome=Outcome.UNKNOWN, method=method, findings=(gap,))

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Keep the recovery point at least until then; a longer lifecycle stays."""
        if until <= self.clock.now():
            raise InputError("the time until which to keep is past", until.isoformat())
        return _told(restore_point, keep_until(self._backup, self._vault, self._found(restore_point), until))

    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        """Place a legal hold, or cancel it."""
        if not on:
            return _told(restore_point, release_hold(self._backup, restore_point, hold))
        return _told(restore_point, place_hold(self._backup, self._vault, restore_point, self._found(restore_point), hold))

    def delete(self, restore_point: RestorePoint) -> None:
        """Delete the recovery point; one that is gone is left alone. Raises ProviderError while a hold or lock keeps it."""
        holds = standing_holds(self._backup, restore_point)
        if holds:
            raise ProviderError(
                f"{restore_point.id} cannot be deleted", f"legal holds keep it: {', '.join(holds)}", "release its holds first"
            )
        try:
            self._backup.write("delete_recovery_point", BackupVaultName=self._vault, RecoveryPointArn=restore_point.reference)
        except AwsError as error:
            if error.code != NOT_FOUND:
                raise

    def mark_infected(self, restore_point: RestorePoint, reason: str) -> RestorePoint:
        """Tag the recovery point, so that whoever looks at it in AWS Backup is warned."""
        tags = {INFECTED: encode(reason)[:LONGEST_VALUE]}
        self._backup.write("tag_resource", ResourceArn=self._found(restore_point).arn, Tags=tags)
        return _told(restore_point, f"may hold malware: {reason}")

    def _found(self, point: RestorePoint) -> RecoveryPoint:
        found = read_recovery_point(self._backup, self._vault, point.reference)
        if found is None:
            raise ProviderError(
                f"{point.id} is gone", f"the vault {self._vault} has no {point.reference}", "look into CloudTrail who deleted it"
            )
        return found


def token_of(key: str, pool: str) -> str:
    """Return the idempotency token of a start: the same for the same key and pool."""
    return hashlib.sha256(f"{key}\n{pool}".encode()).hexdigest()[:32]


def _told(point: RestorePoint, finding: str) -> RestorePoint:
    return point.model_copy(update={"findings": tuple(dict.fromkeys((*point.findings, finding)))})


def _days(pool: Pool) -> int | None:
    text = pool.settings.get("delete_after", "")
    if not text:
        return None
    try:
        return max(1, math.ceil(parse_duration(text) / _DAY))
    except ValueError as error:
        raise InputError(f"delete_after of the pool {pool.name} is wrong", str(error), "write e.g. 365d") from error
