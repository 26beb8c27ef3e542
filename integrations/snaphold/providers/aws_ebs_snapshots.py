"""The EBS snapshots of one backup: found by our mark, judged together, read as one restore point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from snaphold.config import Pool
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import ProviderError
from snaphold.providers.aws_errors import code_of
from snaphold.providers.aws_marks import ASSET, INCIDENT, JOB, KEY, POOL, VOLUMES, Marks, encode, filters, read_mark
from snaphold.providers.aws_session import AwsService, Members, pause_for_tags
from snaphold.providers.base import JobState, JobStatus
from snaphold.providers.vendor import restore_point_id

ENGINE = "AWS EBS"
GIBIBYTE = 1024**3
LOOKS = 3
"""How often tags are looked for that may appear late."""
_WORKING = frozenset({"pending", "recovering"})
_CRASH = "crash-consistent: all volumes of the instance at one moment; no application was asked to stand still"


@dataclass(frozen=True)
class Snapshot:
    """One EBS snapshot as EC2 shows it. `bytes` is the size of its volume."""

    id: str
    volume: str
    state: str
    progress: int
    bytes: int
    started_at: datetime
    owner: str
    key: str
    message: str = ""
    archived: bool = False
    marks: Marks = field(default_factory=dict[str, str])


def read_snapshot(item: Members) -> Snapshot:
    """Return a snapshot of an answer of EC2. Raises ProviderError when it lacks what every snapshot has."""
    try:
        progress = str(item.get("Progress") or "0").rstrip("%")
        return Snapshot(
            id=str(item["SnapshotId"]),
            volume=str(item.get("VolumeId", "")),
            state=str(item["State"]),
            progress=int(progress) if progress.isdigit() else 0,
            bytes=int(item["VolumeSize"]) * GIBIBYTE,
            started_at=cast("datetime", item["StartTime"]),
            owner=str(item.get("OwnerId", "")),
            key=(str(item.get("KmsKeyId") or "") or "the account's default") if item.get("Encrypted") else "",
            message=str(item.get("StateMessage") or ""),
            archived=item.get("StorageTier") == "archive",
            marks={str(tag["Key"]): str(tag.get("Value", "")) for tag in item.get("Tags", [])},
        )
    except KeyError as error:
        raise ProviderError("a snapshot in an answer of EC2 is not understood", f"it has no {error.args[0]}") from error


def find_snapshots(ec2: AwsService, *, looks: int = 1, **marks: str) -> list[Snapshot]:
    """Return our own snapshots that bear these marks, oldest first; looks again when it sees none."""
    for look in range(1, looks + 1):
        items = ec2.pages("describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters(**marks))
        found = [read_snapshot(item) for item in items]
        if found:
            return sorted(found, key=lambda item: (item.started_at, item.volume, item.id))
        if look < looks:
            pause_for_tags(look)
    return []


def snapshots_of(ec2: AwsService, point: RestorePoint) -> list[Snapshot]:
    """Return the snapshots that a restore point names. Raises ProviderError when one of them is gone."""
    wanted = point.reference.split(",")
    found = {item.id: item for item in (read_snapshot(item) for item in _described(ec2, wanted))}
    gone = [name for name in wanted if name not in found]
    if gone:
        raise ProviderError(
            f"{point.id} is not whole any more", f"AWS has no snapshot {', '.join(gone)}", "look into CloudTrail who deleted it"
        )
    return [found[name] for name in wanted]


def standing_snapshots(ec2: AwsService, point: RestorePoint) -> list[Snapshot]:
    """Return those snapshots of a restore point that still exist."""
    return [read_snapshot(item) for item in _described(ec2, point.reference.split(","))]


def _described(ec2: AwsService, wanted: Sequence[str]) -> list[Members]:
    # By a filter: ids that are gone are then left out, instead of the whole answer being an error.
    chosen = [{"Name": "snapshot-id", "Values": list(wanted)}]
    return list(ec2.pages("describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=chosen))


def judge(job: str, snapshots: Sequence[Snapshot], pool: Pool, consistency: str = _CRASH, trouble: str = "") -> JobStatus:
    """Return where the backup that left these snapshots stands.

    `trouble` says what went wrong beside the snapshots; the backup is then partial at best.
    """
    total = sum(item.bytes for item in snapshots)
    done = sum(item.bytes * item.progress // 100 for item in snapshots)
    wanted = int(snapshots[0].marks.get(VOLUMES, "0") or "0")
    if any(item.state in _WORKING for item in snapshots):
        return JobStatus(job=job, state=JobState.RUNNING, bytes_done=done, bytes_total=total)
    good = [item for item in snapshots if item.state == "completed"]
    findings = [f"{item.id} of {item.volume}: {item.state} {item.message}".rstrip() for item in snapshots if item not in good]
    if len(snapshots) < wanted:
        findings.append(f"{len(snapshots)} of {wanted} volumes have a snapshot")
    if trouble:
        findings.append(trouble)
    if not good:
        known = all(item.state == "error" for item in snapshots)
        outcome = Outcome.FAILED if known else Outcome.UNKNOWN
        return JobStatus(job=job, state=JobState.FAILED, outcome=outcome, bytes_total=total, findings=tuple(findings))
    outcome = Outcome.PARTIAL if findings else Outcome.SUCCEEDED
    point = _read_point(good, pool, outcome, consistency, findings)
    return JobStatus(
        job=job, state=JobState.DONE, outcome=outcome, bytes_done=sum(item.bytes for item in good), bytes_total=total,
        restore_point=point, findings=tuple(findings),
    )  # fmt: skip


def _read_point(
    snapshots: Sequence[Snapshot], pool: Pool, outcome: Outcome, consistency: str, findings: Sequence[str]
) -> RestorePoint:
    marks = snapshots[0].marks
    asset, key = read_mark(marks, ASSET), read_mark(marks, KEY)
    return RestorePoint(
        id=restore_point_id(asset, key),
        incident=read_mark(marks, INCIDENT),
        asset=asset,
        pool=pool.name,
        provider=pool.provider,
        engine=ENGINE,
        reference=",".join(item.id for item in snapshots),
        key=key,
        taken_at=min(item.started_at for item in snapshots),
        outcome=outcome,
        size=sum(item.bytes for item in snapshots),
        files=0,
        encryption=_encryption(snapshots),
        consistency=consistency,
        findings=tuple(findings),
    )


def _encryption(snapshots: Iterable[Snapshot]) -> str:
    keys = {item.key for item in snapshots}
    known = ", ".join(sorted(keys - {""}))
    if not known:
        return "none: the volumes are not encrypted"
    return f"AWS EBS AES-256, key {known}" + ("; some volumes are not encrypted" if "" in keys else "")


def grouped(ec2: AwsService, incident: str, pool: Pool) -> dict[str, list[Snapshot]]:
    """Return the snapshots of an incident in a pool, by job; the job whose first snapshot is oldest comes first."""
    jobs: dict[str, list[Snapshot]] = {}
    for item in find_snapshots(ec2, incident=encode(incident), pool=encode(pool.name)):
        jobs.setdefault(item.marks.get(JOB, ""), []).append(item)
    return {job: items for job, items in jobs.items() if job and POOL in items[0].marks}


def is_gone(error: Exception) -> bool:
    """Return whether AWS says that there is no such snapshot."""
    return code_of(error) == "InvalidSnapshot.NotFound"
