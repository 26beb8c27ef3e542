"""The lifecycle of a recovery point: made longer, never shorter, and read back."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from snaphold.errors import ProviderError
from snaphold.providers.aws_backup_points import RecoveryPoint, read_recovery_point
from snaphold.providers.aws_session import AwsService, Members

_DAY = timedelta(days=1)


def keep_until(backup: AwsService, vault: str, found: RecoveryPoint, until: datetime) -> str:
    """Have a recovery point kept at least until then, and return how long it is kept.

    Raises ProviderError when AWS Backup took the call and shows a shorter time.
    """
    if found.delete_after is None:
        return "its lifecycle has no end"
    days = max(1, math.ceil((until - found.created_at) / _DAY))
    if found.delete_after >= days:
        return _told(found, found.delete_after)
    lifecycle: Members = {"DeleteAfterDays": days}
    if found.lifecycle.get("MoveToColdStorageAfterDays"):
        lifecycle["MoveToColdStorageAfterDays"] = found.lifecycle["MoveToColdStorageAfterDays"]
    backup.write("update_recovery_point_lifecycle", BackupVaultName=vault, RecoveryPointArn=found.arn, Lifecycle=lifecycle)
    shown = read_recovery_point(backup, vault, found.arn)
    if shown is None or (shown.delete_after is not None and shown.delete_after < days):
        raise ProviderError(
            f"{found.arn} is not kept for {days} days",
            f"AWS Backup took the call and shows {f'{shown.delete_after} days' if shown else 'no recovery point'}",
            "look at the recovery point in AWS Backup",
        )
    return _told(found, days)


def _told(found: RecoveryPoint, days: int) -> str:
    return f"its lifecycle ends {days} days after {found.created_at:%Y-%m-%d}"
