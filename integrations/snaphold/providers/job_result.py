"""Judges a stored copy against the source inventory and makes the restore point."""

from __future__ import annotations

from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import ProviderError
from snaphold.providers.base import JobState, JobStatus
from snaphold.providers.job_folder import JobFacts, JobFolder, JobOrder
from snaphold.providers.jobs import restore_point_id
from snaphold.providers.local_repository import Copied, LocalRepository
from snaphold.providers.source import Inventoried, changed_since, count_inventory, name_paths


def judge(
    order: JobOrder,
    repository: LocalRepository,
    folder: JobFolder,
    facts: JobFacts,
    copied: Copied,
    findings: tuple[str, ...] = (),
) -> JobStatus:
    """Return the status of a job that stored a copy.

    Succeeded only when the engine says that all was read, its counts equal the inventory's, and nothing changed
    meanwhile; else partial, with every reason as a finding.
    """
    counted = count_inventory(folder.inventory)
    faults = [*findings, *copied.findings, *_differences(counted, copied)]
    changed = changed_since(folder.inventory)
    if changed:
        listed = folder.write_changed(changed)
        faults.append(f"{len(changed)} files changed during the copy (list {listed}): {name_paths(changed)}")
    outcome = Outcome.PARTIAL if faults or not copied.complete else Outcome.SUCCEEDED
    if facts.taken_at is None:
        raise ProviderError(f"job {order.job} kept no time of its copy", do=f"look into {folder.path}")
    point = RestorePoint(
        id=restore_point_id(order.order.workload.asset, order.order.key),
        incident=order.order.incident,
        asset=order.order.workload.asset,
        pool=order.pool.name,
        provider=order.pool.provider,
        engine=facts.engine,
        reference=copied.reference,
        key=order.order.key,
        taken_at=facts.taken_at,
        outcome=outcome,
        size=counted.bytes,
        files=counted.files,
        inventory=str(folder.inventory),
        inventory_sha256=facts.inventory_sha256,
        encryption=facts.encryption,
        consistency=facts.consistency,
        quiesce_log=facts.quiesce_log,
        findings=tuple(faults),
    )
    return JobStatus(
        job=order.job,
        state=JobState.DONE,
        outcome=outcome,
        bytes_done=copied.bytes,
        bytes_total=counted.bytes,
        restore_point=point,
        quiesce_log=facts.quiesce_log,
        findings=point.findings,
    )


def _differences(counted: Inventoried, copied: Copied) -> list[str]:
    found: list[str] = []
    if counted.unreadable:
        found.append(f"{len(counted.unreadable)} files could not be read: {name_paths(counted.unreadable)}")
    if (counted.files, counted.bytes) != (copied.files, copied.bytes):
        found.append(
            f"the engine stored {copied.files} files with {copied.bytes} bytes, "
            f"the source inventory counts {counted.files} files with {counted.bytes} bytes"
        )
    return found
