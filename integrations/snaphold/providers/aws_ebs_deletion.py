"""Deletion of the snapshots of a restore point, all or none, as far as locks can tell."""

from __future__ import annotations

from collections.abc import Sequence

from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import ProviderError
from snaphold.providers.aws_ebs_locks import COMPLIANCE, read_locks
from snaphold.providers.aws_ebs_snapshots import Snapshot, is_gone
from snaphold.providers.aws_errors import AwsError
from snaphold.providers.aws_session import AwsService


def delete_all(chosen: Sequence[tuple[AwsService, list[Snapshot]]], point: RestorePoint) -> None:
    """Delete snapshots in several places; one that is gone is left alone.

    Raises ProviderError, with nothing deleted anywhere, while one of them is locked.
    """
    for ec2, snapshots in chosen:
        _refuse_locked(ec2, point, snapshots)
    for ec2, snapshots in chosen:
        for item in snapshots:
            _delete_one(ec2, point, item)


def _refuse_locked(ec2: AwsService, point: RestorePoint, snapshots: list[Snapshot]) -> None:
    locks = read_locks(ec2, snapshots)
    if not locks:
        return
    fixed = any(lock.state == COMPLIANCE for lock in locks.values())
    raise ProviderError(
        f"{point.id} cannot be deleted",
        f"EC2 locks it: {'; '.join(f'{name}: {lock.text}' for name, lock in locks.items())}",
        "wait until the lock ends: nobody can lift it" if fixed else "release its holds and retention first",
    )


def _delete_one(ec2: AwsService, point: RestorePoint, item: Snapshot) -> None:
    try:
        ec2.write("delete_snapshot", SnapshotId=item.id)
    except AwsError as error:
        if is_gone(error):
            return
        _refuse_locked(ec2, point, [item])
        raise
