"""AWS EBS: snapshots of all volumes of an instance, locked, copied to an isolated account, shared with investigators."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cached_property

from snaphold.clock import Clock
from snaphold.config import Configuration, Pool
from snaphold.domain.asset import Asset
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, SnapholdError, UnknownOutcomeError
from snaphold.providers.aws_account import AwsAccount
from snaphold.providers.aws_ebs_connection import check_connection
from snaphold.providers.aws_ebs_copies import IsolatedAccount, isolated_account, share
from snaphold.providers.aws_ebs_deletion import delete_all
from snaphold.providers.aws_ebs_locks import Locks
from snaphold.providers.aws_ebs_settings import EbsSettings
from snaphold.providers.aws_ebs_snapshots import (
    ENGINE,
    LOOKS,
    Snapshot,
    find_snapshots,
    grouped,
    is_gone,
    judge,
    snapshots_of,
    standing_snapshots,
)
from snaphold.providers.aws_ebs_verbs import CAPABILITIES, PROVED_ON
from snaphold.providers.aws_ebs_vss import DOCUMENT, VSS, VssDocument, consistency_of
from snaphold.providers.aws_ebs_workloads import find_instance, volumes_of
from snaphold.providers.aws_errors import AwsError
from snaphold.providers.aws_marks import INFECTED, LONGEST_VALUE, VOLUMES, encode, marks_of, tag_list
from snaphold.providers.aws_session import AwsService, unknown_job
from snaphold.providers.base import (
    BackupOrder,
    Capacity,
    Description,
    Estimate,
    Health,
    JobState,
    JobStatus,
    Publication,
    Verb,
    Verification,
    Workload,
)
from snaphold.providers.jobs import job_id
from snaphold.providers.vendor import VendorProvider, workload_name

__all__ = ["DESCRIPTION", "PROVED_ON", "check_connection", "connect"]

DESCRIPTION = Description(provider="aws_ebs", engine=ENGINE, capabilities=CAPABILITIES, proved_on=PROVED_ON)
_JOB = re.compile(r"JOB-[0-9a-f]{16}")
_ACCOUNT = re.compile(r"[0-9]{12}")


def connect(pool: Pool, configuration: Configuration, incident_id: str, clock: Clock) -> AwsEbs:
    """Return the provider of a pool; nothing is contacted. Raises InputError for settings that are wrong."""
    return AwsEbs(pool, configuration, incident_id, clock)


class AwsEbs(VendorProvider):
    """EBS snapshots in one region, as one incident sees them."""

    description = DESCRIPTION

    def __init__(self, pool: Pool, configuration: Configuration, incident: str, clock: Clock) -> None:
        super().__init__(pool, configuration, incident, clock)
        self._settings = EbsSettings.of(pool)
        self._account = AwsAccount(self.integration, configuration)
        if pool.location != self._account.region:
            raise InputError(
                f"the pool {pool.name} and its integration are in different regions",
                f"location is {pool.location}, {self.integration.name} is in {self._account.region}",
                "write the region of the integration as location",
            )

    @cached_property
    def _ec2(self) -> AwsService:
        return self._account.open("ec2")

    @cached_property
    def _isolated(self) -> IsolatedAccount | None:
        return isolated_account(self._ec2, self.pool, self.configuration)

    @cached_property
    def _document(self) -> VssDocument:
        return VssDocument(self._account.open_beside("ssm"), self.pool.settings.get("vss_document", DOCUMENT))

    def find_workload(self, asset: Asset) -> Workload:
        """Return the instance that an asset is, by its id or its tag Name."""
        name = workload_name(asset, self.integration)
        instance = find_instance(self._ec2, asset.id, name)
        return Workload(asset=asset.id, name=name, reference=instance, application=asset.application)

    def check_health(self) -> Health:
        """Return whether EC2, the isolated account and the VSS document answer as they must."""
        reasons: list[str] = []
        try:
            self._ec2.read("describe_snapshots", "Snapshots", OwnerIds=["self"], MaxResults=5)
            if self._isolated:
                self._isolated.ec2.read("describe_snapshots", "Snapshots", OwnerIds=["self"], MaxResults=5)
            if self._settings.vss and (fault := self._document.check()):
                reasons.append(fault)
        except SnapholdError as error:
            reasons.append(f"{error.what}: {error.why}" if error.why else error.what)
        return Health(fit=not reasons, reasons=tuple(reasons))

    def capacity(self) -> Capacity:
        """Return that EBS grows as it is used."""
        return Capacity(total=None, free=None, elastic=True, storage=f"ebs {self._account.region}")

    def estimate(self, workload: Workload) -> Estimate:
        """Return the size of the instance's volumes, which is the most that their snapshots can add."""
        volumes = volumes_of(self._ec2, workload.reference)
        method = f"size of {len(volumes)} volumes; only blocks that changed since their last snapshot are added"
        return Estimate(bytes=sum(volumes.values()), files=0, method=method)

    def find_started(self, key: str) -> str | None:
        """Return the job of this key when its snapshots, or the command that makes them, are found by their mark."""
        job = job_id(key, self.pool.name)
        if find_snapshots(self._ec2, looks=2, job=job):
            return job
        return job if self._settings.vss and self._document.find(job) else None

    def start(self, order: BackupOrder) -> str:
        """Have snapshots made of all volumes of an instance, once per key.

        Raises UnknownOutcomeError when the answer was lost and no snapshot with our mark appears.
        """
        started = self.find_started(order.key)
        if started:
            return started
        job = job_id(order.key, self.pool.name)
        instance = order.workload.reference
        marks = {**marks_of(order, self.pool), VOLUMES: str(len(volumes_of(self._ec2, instance)))}
        description = f"Snaphold {job}: incident {order.incident}"
        if self._settings.vss:
            self._document.send(instance, job, marks, description)
            return job
        try:
            self._ec2.write_once(
                "create_snapshots",
                "Snapshots",
                InstanceSpecification={"InstanceId": instance},
                Description=description,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": tag_list(marks)}],
            )
        except AwsError as error:
            if not error.may_have_acted:
                raise
            self._tell_if_started(job, instance, error)
        return job

    def status(self, job: str) -> JobStatus:
        """Return where the snapshots of a job stand."""
        if not _JOB.fullmatch(job):
            raise unknown_job(job, self.pool.name)
        snapshots = find_snapshots(self._ec2, job=job)
        command = self._document.find(job) if self._settings.vss else None
        if command and command.working:
            return judge(job, snapshots, self.pool).model_copy(update=_RUNNING) if snapshots else _running(job)
        snapshots = snapshots or find_snapshots(self._ec2, looks=LOOKS, job=job)
        if snapshots:
            return self._judge(
                job, snapshots, f"the command {command.id}: {command.detail}" if command and command.failed else ""
            )
        if command is None:
            raise unknown_job(job, self.pool.name)
        detail = f"{self._document.name}: {command.status} ({command.detail}), and no snapshot bears its mark"
        outcome = Outcome.FAILED if command.failed else Outcome.UNKNOWN
        return JobStatus(job=job, state=JobState.FAILED, outcome=outcome, findings=(detail,))

    def cancel(self, job: str) -> JobStatus:
        """Refuse: EBS cannot stop a snapshot."""
        raise self.unsupported(Verb.CANCEL)

    def restore_points(self) -> list[RestorePoint]:
        """Return the restore points of this incident in this pool, oldest first."""
        judged = [self._judge(job, items) for job, items in grouped(self._ec2, self.incident, self.pool).items()]
        return [status.restore_point for status in judged if status.restore_point]

    def verify(self, restore_point: RestorePoint) -> Verification:
        """Return what EC2 says about the snapshots. Their data is not read, so that the outcome is never succeeded."""
        method = "state of the snapshots in EC2; their data was not read"
        standing = {item.id: item for item in standing_snapshots(self._ec2, restore_point)}
        faults = [f"{name} is gone" for name in restore_point.reference.split(",") if name not in standing]
        faults += [
            f"{item.id} is {item.state} {item.message}".rstrip() for item in standing.values() if item.state != "completed"
        ]
        if faults:
            return Verification(outcome=Outcome.FAILED, method=method, findings=tuple(faults))
        notes = [f"{item.id} is archived: restoring it takes up to 72 hours" for item in standing.values() if item.archived]
        gap = "every snapshot is complete, but nothing was read back: restore a volume of each to prove them"
        return Verification(outcome=Outcome.UNKNOWN, method=method, findings=(gap, *notes))

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Copy the snapshots to the isolated account when there is one, and lock all of them until then."""
        if until <= self.clock.now():
            raise InputError("the time until which to keep is past", until.isoformat())
        snapshots = snapshots_of(self._ec2, restore_point)
        told = [self._locks(self._ec2).retain(snapshots, until)]
        if self._isolated:
            told.append(self._locks(self._isolated.ec2).retain(self._isolated.copy(snapshots), until))
        return self._told(restore_point, told)

    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        """Lock the snapshots, and their copies in the isolated account, while there are holds."""
        snapshots = snapshots_of(self._ec2, restore_point)
        job = job_id(restore_point.key, self.pool.name)
        locks = self._locks(self._ec2)
        if on:
            told = [locks.hold(snapshots, hold)]
            if self._isolated:
                told.append(self._locks(self._isolated.ec2).hold(self._isolated.copy(snapshots), hold))
            return self._told(restore_point, told)
        if self._isolated:
            self._locks(self._isolated.ec2).release(self._isolated.find(job), hold)
        return self._told(restore_point, [locks.release(snapshots, hold)])

    def delete(self, restore_point: RestorePoint) -> None:
        """Delete the snapshots and their copies. Raises ProviderError, with nothing deleted, while one is locked."""
        chosen = [(self._ec2, standing_snapshots(self._ec2, restore_point))]
        if self._isolated:
            chosen.append((self._isolated.ec2, self._isolated.find(job_id(restore_point.key, self.pool.name))))
        delete_all(chosen, restore_point)

    def publish(self, restore_point: RestorePoint, name: str) -> Publication:
        """Give the investigators' account the right to read the snapshots; it makes volumes of them."""
        account = self.pool.settings.get("publish_to", "")
        if not _ACCOUNT.fullmatch(account):
            raise InputError(
                f"the pool {self.pool.name} names no account of investigators",
                f"publish_to is {account!r}" if account else None,
                "set publish_to to their account's twelve digits",
            )
        for item in snapshots_of(self._ec2, restore_point):
            share(self._ec2, item.id, account)
        address = f"account {account}, region {self._ec2.region}: snapshots {restore_point.reference} ({name})"
        return Publication(reference=f"{account}:{restore_point.reference}", address=address)

    def end_publication(self, reference: str) -> None:
        """Take the right to read the snapshots away again."""
        account, _, snapshots = reference.partition(":")
        if not _ACCOUNT.fullmatch(account) or not snapshots:
            raise InputError(f"{reference!r} is no publication of EBS snapshots")
        for snapshot in snapshots.split(","):
            try:
                share(self._ec2, snapshot, account, on=False)
            except AwsError as error:
                if not is_gone(error):
                    raise

    def mark_infected(self, restore_point: RestorePoint, reason: str) -> RestorePoint:
        """Tag the snapshots, so that whoever looks at them in EC2 is warned."""
        snapshots = snapshots_of(self._ec2, restore_point)
        value = encode(reason)[:LONGEST_VALUE]
        self._ec2.write("create_tags", Resources=[item.id for item in snapshots], Tags=tag_list({INFECTED: value}))
        return self._told(restore_point, [f"may hold malware: {reason}"])

    def _judge(self, job: str, snapshots: list[Snapshot], trouble: str = "") -> JobStatus:
        if VSS not in snapshots[0].marks:
            return judge(job, snapshots, self.pool, trouble=trouble)
        consistency, why = consistency_of(snapshots)
        return judge(job, snapshots, self.pool, consistency, "; ".join(part for part in (trouble, why) if part))

    def _locks(self, ec2: AwsService) -> Locks:
        return Locks(ec2, self._settings.lock_mode, self._settings.hold_lasts, self.clock)

    def _told(self, point: RestorePoint, findings: list[str]) -> RestorePoint:
        return point.model_copy(update={"findings": tuple(dict.fromkeys((*point.findings, *findings)))})

    def _tell_if_started(self, job: str, instance: str, error: AwsError) -> None:
        """Return when the snapshots are there after all; raise what is known otherwise."""
        try:
            if find_snapshots(self._ec2, looks=LOOKS + 1, job=job):
                return
        except SnapholdError as silent:
            error = silent if isinstance(silent, AwsError) else error
        raise UnknownOutcomeError(
            f"it is not known whether snapshots of {instance} are being made",
            f"{error.what}: {error.why}",
            f"look in EC2 for snapshots with the tag snaphold:job={job}; then repeat under the same key: they are found",
        ) from error


_RUNNING = {"state": JobState.RUNNING, "outcome": None, "restore_point": None, "findings": ()}


def _running(job: str) -> JobStatus:
    return JobStatus(job=job, state=JobState.RUNNING)
