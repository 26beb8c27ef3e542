"""Recovery points and jobs of AWS Backup, read as restore points and their states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from snaphold.config import Pool
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import ProviderError
from snaphold.providers.aws_errors import AwsError
from snaphold.providers.aws_marks import ASSET, INCIDENT, JOB, KEY, PREFIX, Marks, read_mark
from snaphold.providers.aws_session import AwsService, Members, pause_for_tags
from snaphold.providers.base import JobState, JobStatus
from snaphold.providers.vendor import restore_point_id

ENGINE = "AWS Backup"
NOT_FOUND = "ResourceNotFoundException"
VSS = PREFIX + "vss"
LOOKS = 3
_WORKING = frozenset({"CREATED", "PENDING", "RUNNING", "ABORTING"})
_FAILED = frozenset({"FAILED", "ABORTED", "EXPIRED"})
_WHOLE, _PARTIAL = frozenset({"COMPLETED", "AVAILABLE", "STOPPED"}), "PARTIAL"
_FINE = frozenset({"", "SUCCESS"})
_CRASH = "crash-consistent: as AWS Backup takes it of a resource; no application was asked to stand still"


@dataclass(frozen=True)
class RecoveryPoint:
    """A recovery point as AWS Backup shows it; `delete_after` is in days from its creation, None when it has no end."""

    arn: str
    resource: str
    status: str
    message: str
    created_at: datetime
    bytes: int
    key: str
    lifecycle: Members

    @property
    def delete_after(self) -> int | None:
        """The days after which it is deleted; None: never."""
        days = int(self.lifecycle.get("DeleteAfterDays") or 0)
        return days if days > 0 else None

    @property
    def whole(self) -> bool:
        """Whether everything of the resource is in it."""
        return self.status in _WHOLE


def read_recovery_point(backup: AwsService, vault: str, arn: str) -> RecoveryPoint | None:
    """Return a recovery point of a vault; None when there is none. Raises ProviderError when the answer lacks a part."""
    try:
        item = backup.read("describe_recovery_point", "Status", BackupVaultName=vault, RecoveryPointArn=arn)
    except AwsError as error:
        if error.code == NOT_FOUND:
            return None
        raise
    if "CreationDate" not in item or "RecoveryPointArn" not in item:
        raise ProviderError("a recovery point in an answer of AWS Backup is not understood", "it has no date or no ARN")
    return RecoveryPoint(
        arn=str(item["RecoveryPointArn"]),
        resource=str(item.get("ResourceArn", "")),
        status=str(item["Status"]),
        message=str(item.get("StatusMessage") or ""),
        created_at=cast("datetime", item["CreationDate"]),
        bytes=int(item.get("BackupSizeInBytes") or 0),
        key=str(item.get("EncryptionKeyArn") or "of AWS") if item.get("IsEncrypted") else "",
        lifecycle=cast("Members", item.get("Lifecycle") or {}),
    )


def marks_on(backup: AwsService, arn: str, *, looks: int = 1) -> Marks:
    """Return the tags of a recovery point; looks again while our mark is not among them."""
    marks: dict[str, str] = {}
    for look in range(1, looks + 1):
        try:
            marks = {
                str(name): str(value)
                for name, value in cast("Members", backup.read("list_tags", "Tags", ResourceArn=arn)["Tags"]).items()
            }
        except AwsError as error:
            if error.code != NOT_FOUND:
                raise
        if JOB in marks:
            break
        if look < looks:
            pause_for_tags(look)
    return marks


def to_restore_point(
    found: RecoveryPoint, marks: Marks, pool: Pool, *, findings: Sequence[str] = (), consistency: str = ""
) -> RestorePoint:
    """Return our restore point that a recovery point with our marks is."""
    asset, key = read_mark(marks, ASSET), read_mark(marks, KEY)
    unsaid = "not known: Windows VSS was asked for; the job says whether it worked" if VSS in marks else _CRASH
    return RestorePoint(
        id=restore_point_id(asset, key),
        incident=read_mark(marks, INCIDENT),
        asset=asset,
        pool=pool.name,
        provider=pool.provider,
        engine=ENGINE,
        reference=found.arn,
        key=key,
        taken_at=found.created_at,
        outcome=Outcome.SUCCEEDED if found.whole and not findings else Outcome.PARTIAL,
        size=found.bytes,
        files=0,
        encryption=f"AWS Backup AES-256, key {found.key}" if found.key else "none: the recovery point is not encrypted",
        consistency=consistency or unsaid,
        findings=tuple(findings),
    )


def judge(backup: AwsService, job: Members, pool: Pool) -> JobStatus:
    """Return where a job of AWS Backup stands, with the restore point that it left."""
    name, state = str(job["BackupJobId"]), str(job["State"])
    total, done = int(job.get("BackupSizeInBytes") or 0), int(job.get("BytesTransferred") or 0)
    said = f"{state} {job.get('StatusMessage') or ''}".rstrip()
    if state in _WORKING:
        return JobStatus(job=name, state=JobState.RUNNING, bytes_done=done, bytes_total=total)
    if state in _FAILED:
        return JobStatus(job=name, state=JobState.FAILED, outcome=Outcome.FAILED, bytes_done=done, findings=(said,))
    if state not in ("COMPLETED", _PARTIAL):
        findings = (f"the state {said} is not known",)
        return JobStatus(job=name, state=JobState.FAILED, outcome=Outcome.UNKNOWN, findings=findings)
    arn = str(job.get("RecoveryPointArn") or "")
    found = read_recovery_point(backup, pool.location, arn) if arn else None
    marks: Marks = marks_on(backup, arn, looks=LOOKS) if found else dict[str, str]()
    if found is None or JOB not in marks or not (found.whole or found.status == _PARTIAL):
        mark = "" if JOB in marks else " and bears no mark of ours"
        lacks = f"its recovery point is {found.status if found else 'not there'}{mark}"
        return JobStatus(job=name, state=JobState.DONE, outcome=Outcome.UNKNOWN, findings=(f"{said}: {lacks}",))
    findings = [said] if _PARTIAL in (state, found.status) else []
    category = str(job.get("MessageCategory") or "")
    if category not in _FINE and not findings:
        findings.append(f"{said} ({category})")
    point = to_restore_point(found, marks, pool, findings=findings, consistency=_consistency(marks, job, findings))
    return JobStatus(
        job=name, state=JobState.DONE, outcome=point.outcome, bytes_done=done or found.bytes, bytes_total=total or found.bytes,
        restore_point=point, findings=tuple(findings),
    )  # fmt: skip


def _consistency(marks: Marks, job: Members, findings: Sequence[str]) -> str:
    if VSS not in marks:
        return _CRASH
    if findings:
        return f"degraded: crash-consistent as far as is known, although Windows VSS was asked for ({'; '.join(findings)})"
    options = cast("Members", job.get("BackupOptions") or {})
    if options.get("WindowsVSS") != "enabled":
        return "degraded: crash-consistent; Windows VSS was asked for, and the job shows that it was not on"
    return "application-consistent: Windows VSS, as AWS Backup ended it without a warning; not checked here"
