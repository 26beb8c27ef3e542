"""What a bucket must be before evidence goes there: versioned, and with Object Lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snaphold.errors import StorageError
from snaphold.vault.s3_errors import code_of, s3_errors, status_of

if TYPE_CHECKING:
    from snaphold.vault.s3_client import Bucket

_NOT_FOUND = 404


def check_bucket(bucket: Bucket) -> bool:
    """Return whether objects are locked when they are put; False only for a bucket that the configuration names so.

    Reads only. Raises StorageError when the bucket is missing or out of reach, when it has no versioning or no Object
    Lock, and when the store does not say: what cannot be told is not taken for a lock.
    """
    settings = bucket.settings
    with s3_errors("the vault cannot be used", settings):
        versioning = bucket.client.get_bucket_versioning(Bucket=bucket.name).get("Status", "")
    if settings.allow_unlocked_bucket == bucket.name:
        return versioning == "Enabled" and _has_lock(bucket)
    if versioning != "Enabled":
        raise StorageError(
            f"the bucket {bucket.name} cannot be a vault",
            f"its versioning is {versioning.lower() or 'off'}: whoever may write could replace evidence",
            _remedy(bucket),
        )
    if not _has_lock(bucket):
        raise StorageError(
            f"the bucket {bucket.name} cannot be a vault",
            "it has no Object Lock: whoever may delete could delete evidence",
            _remedy(bucket),
        )
    return True


def _has_lock(bucket: Bucket) -> bool:
    from botocore.exceptions import ClientError

    with s3_errors("it cannot be told whether the bucket has Object Lock", bucket.settings):
        try:
            answer = bucket.client.get_object_lock_configuration(Bucket=bucket.name)
        except ClientError as error:
            if status_of(error) == _NOT_FOUND and code_of(error) != "NoSuchBucket":
                return False
            raise
    return answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"


def _remedy(bucket: Bucket) -> str:
    return (
        "use a bucket made with Object Lock; for an exercise only, write "
        f"allow_unlocked_bucket: {bucket.name} under evidence.vault"
    )
