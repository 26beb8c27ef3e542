"""Legal holds of AWS Backup, one for each of our holds, found again by their title."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import ProviderError
from snaphold.providers.aws_backup_points import RecoveryPoint
from snaphold.providers.aws_session import AwsService, Members

_STANDING, _ENDED = frozenset({"CREATING", "ACTIVE"}), frozenset({"CANCELING", "CANCELED"})


def place_hold(backup: AwsService, vault: str, point: RestorePoint, found: RecoveryPoint, hold: str) -> str:
    """Have the recovery point held once, and return how it is.

    Raises ProviderError when the hold is active and the recovery point is not under it.
    """
    mine = _holds_called(backup, _title(point, hold))
    standing = next((item for item in mine if str(item.get("Status")) in _STANDING), None)
    if standing is None:
        day = found.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
        standing = backup.write(
            "create_legal_hold",
            "LegalHoldId",
            Title=_title(point, hold),
            Description=f"Snaphold: incident {point.incident}, asset {point.asset}",
            IdempotencyToken=_token(point, hold, len(mine)),
            RecoveryPointSelection={
                "VaultNames": [vault],
                "ResourceIdentifiers": [found.resource],
                "DateRange": {"FromDate": day, "ToDate": day + timedelta(days=1)},
            },
        )
    name, status = str(standing["LegalHoldId"]), str(standing.get("Status", ""))
    if status == "CREATING":
        return f"legal hold {name} is being created"
    held = backup.pages("list_recovery_points_by_legal_hold", "RecoveryPoints", LegalHoldId=name)
    if not any(item.get("RecoveryPointArn") == found.arn for item in held):
        raise ProviderError(
            f"the legal hold {name} does not hold {point.id}",
            f"it is {status or 'in no known state'}, and the recovery point is not among those under it",
            "look at the legal hold in AWS Backup; not every type of resource can be held",
        )
    return f"legal hold {name} is active"


def release_hold(backup: AwsService, point: RestorePoint, hold: str) -> str:
    """Cancel a hold and return how it stands; one that ended already, or never was, is left alone."""
    told: list[str] = []
    for item in _holds_called(backup, _title(point, hold)):
        if str(item.get("Status")) in _STANDING:
            reason = f"Snaphold: {hold} was released"
            backup.write("cancel_legal_hold", LegalHoldId=str(item["LegalHoldId"]), CancelDescription=reason)
            told.append(f"legal hold {item['LegalHoldId']} is being cancelled")
    return "; ".join(told) or f"no legal hold stands for {hold}"


def standing_holds(backup: AwsService, point: RestorePoint) -> list[str]:
    """Return the ids of the legal holds of ours that keep a restore point."""
    return [
        str(item.get("LegalHoldId", ""))
        for item in backup.pages("list_legal_holds", "LegalHolds")
        if str(item.get("Title", "")).endswith(f" {point.id}") and str(item.get("Status")) in _STANDING
    ]


def _holds_called(backup: AwsService, title: str) -> list[Members]:
    found = [item for item in backup.pages("list_legal_holds", "LegalHolds") if item.get("Title") == title]
    strange = [str(item.get("Status")) for item in found if str(item.get("Status")) not in _STANDING | _ENDED]
    if strange or any("LegalHoldId" not in item for item in found):
        raise ProviderError("the state of a legal hold is not understood", ", ".join(strange), "look at it in AWS Backup")
    return found


def _title(point: RestorePoint, hold: str) -> str:
    return f"{hold} {point.id}"


def _token(point: RestorePoint, hold: str, earlier: int) -> str:
    """Return the same token for the same hold; one that is placed again after its end is another."""
    return hashlib.sha256("\n".join((point.key, point.id, hold, str(earlier))).encode()).hexdigest()[:32]
