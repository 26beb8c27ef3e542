"""What an ended job of Commvault left in a pool, as a restore point; and a restore point's job again."""

from __future__ import annotations

from datetime import datetime, timezone

from snaphold.config import Pool
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError
from snaphold.providers.commvault_answers import Job
from snaphold.providers.commvault_catalogue import encryption_of, find_pool, read_subclient, require_copies
from snaphold.providers.commvault_description import DESCRIPTION
from snaphold.providers.commvault_jobs import Mark, findings_of, read_job
from snaphold.providers.commvault_keeping import find_kept
from snaphold.providers.commvault_session import CommvaultSession
from snaphold.providers.vendor import restore_point_id

KEY_PARTS = 4
"""A key is INCIDENT/STEP/ASSET/GENERATION."""
_SIGNS = frozenset("0123456789+@")


def restore_point_of(session: CommvaultSession, job: Job, mark: Mark, outcome: Outcome, pool: Pool) -> RestorePoint | None:
    """Return what an ended job left in the pool, None while it is in none of the pool's copies.

    The reference is JOB@COPY, with a plus between the ids when there are several copies.
    """
    storage = find_pool(session, pool.location)
    copies = require_copies(session, storage, read_subclient(session, job.subclient.id))
    kept = {copy.entity.id: find_kept(session, job, copy.entity.id) for copy in copies}
    present = {copy: row for copy, row in kept.items() if row is not None}
    if not present:
        return None
    plain = any(row.encrypted is False for row in present.values())
    incident, _, asset, _ = mark.key.split("/")
    return RestorePoint(
        id=restore_point_id(asset, mark.key),
        incident=incident,
        asset=asset,
        pool=pool.name,
        provider="commvault",
        engine=DESCRIPTION.engine,
        reference=f"{job.id}@{'+'.join(map(str, sorted(present)))}",
        key=mark.key,
        taken_at=datetime.fromtimestamp(job.started_at, timezone.utc),
        outcome=outcome,
        size=job.size,
        files=job.files,
        encryption="none: Commvault says that the copy is not encrypted" if plain else encryption_of(session, storage),
        consistency=f"degraded: Commvault does not tell how its agent ({job.agent or 'not told'}) quiesced the application",
        findings=findings_of(job),
    )


def find_again(session: CommvaultSession, restore_point: RestorePoint) -> tuple[Job, list[int]]:
    """Return the job of a restore point and the ids of its copies. Raises InputError when it is none of Commvault's."""
    number, _, copies = restore_point.reference.partition("@")
    if not number or not copies or set(restore_point.reference) - _SIGNS:
        raise InputError(f"{restore_point.id} is not a restore point of Commvault", f"its reference: {restore_point.reference}")
    return read_job(session, number), [int(copy) for copy in copies.split("+") if copy.isdigit()]
