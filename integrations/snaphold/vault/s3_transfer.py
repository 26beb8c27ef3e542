"""Puts one file into a bucket under a lock and reads it back; fetches one version of an object.

A put is never repeated unseen: a second one would make a second version that nobody could delete before its time. After
an answer that got lost the key is looked up first, by the digest that stands in the object's metadata.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from snaphold.domain.stored_package import StoredObject
from snaphold.errors import EvidenceError, SnapholdError, StorageError
from snaphold.vault.s3_client import Bucket
from snaphold.vault.s3_errors import code_of, explain, is_absent, may_have_acted, s3_errors
from snaphold.vault.settings import Encryption

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_MIB = 1024 * 1024
_CHUNK = _MIB
_MOST_PARTS = 10_000
_DIGEST = "sha256"
_NO_VERSIONS = "null"
_FIRST_PAUSE_SECONDS = 0.5
_THROTTLED = frozenset({"SlowDown", "RequestLimitExceeded", "ThrottlingException", "TooManyRequests"})


@dataclass(frozen=True)
class Lock:
    """How objects are locked; None in its place: the bucket has no Object Lock, as the configuration allows by name."""

    mode: str
    until: datetime


@dataclass(frozen=True)
class Sent:
    """An object as it was put: its encryption is what the store stated."""

    object: StoredObject
    encryption: str


def put_file(bucket: Bucket, key: str, path: Path, name: str, lock: Lock | None) -> Sent:
    """Put a file whole, locked, and read it back; one that an earlier attempt had put is kept and locked as long.

    Raises StorageError when the store refuses or does not lock, EvidenceError when it gives back other bytes.
    """
    size, modified = path.stat().st_size, int(path.stat().st_mtime)
    what = f"{name} cannot be put into the vault"
    digest = _digest_of(path)
    version = _look_up(bucket, key, digest, size, what)
    attempt = 0
    while version is None:
        attempt += 1
        fault = _try_put(bucket, key, path, size, digest, lock, what)
        if fault is not None:
            time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        version = _look_up(bucket, key, digest, size, what)
        if version is None and attempt == bucket.settings.attempts:
            told = "the store took the put and does not have it"
            raise fault or StorageError(what, told, "look into the store, then repeat") from fault
    stored = StoredObject(name=name, version=version, bytes=size, sha256=digest, modified=modified)
    encryption = read_back(bucket, key, stored)
    if lock is not None:
        confirm_lock(bucket, key, stored, lock)
    return Sent(stored, encryption)


def _digest_of(path: Path) -> str:
    from snaphold.evidence.hashing import hash_file

    return hash_file(path).sha256


def _try_put(bucket: Bucket, key: str, path: Path, size: int, digest: str, lock: Lock | None, what: str) -> SnapholdError | None:
    """Put a file; return the fault after which it is open whether it took effect. Raises StorageError on a refusal."""
    try:
        _put(bucket, key, path, size, digest, lock)
    except (ClientError, BotoCoreError) as error:
        fault = explain(what, error, bucket.settings)
        throttled = isinstance(error, ClientError) and code_of(error) in _THROTTLED
        if throttled or may_have_acted(error):
            return fault
        raise fault from error
    return None


def _look_up(bucket: Bucket, key: str, digest: str, size: int, what: str) -> str | None:
    with s3_errors(what, bucket.settings):
        return _find_put(bucket, key, digest, size)


def _find_put(bucket: Bucket, key: str, digest: str, size: int) -> str | None:
    """Return the version of an object that is this file already, or None. `""` in a bucket without versions."""
    try:
        head = bucket.client.head_object(Bucket=bucket.name, Key=key)
    except ClientError as error:
        if is_absent(error):
            return None
        raise
    if head.get("Metadata", {}).get(_DIGEST) != digest or head["ContentLength"] != size:
        return None
    return version_in(head.get("VersionId"))


def version_in(version: str | None) -> str:
    """Return a version id of an answer; empty when the bucket keeps no versions."""
    return "" if version in (None, _NO_VERSIONS) else str(version)


def _put(bucket: Bucket, key: str, path: Path, size: int, digest: str, lock: Lock | None) -> None:
    settings = bucket.settings
    about: dict[str, Any] = {"Bucket": bucket.name, "Key": key, "Metadata": {_DIGEST: digest}}
    if settings.encryption is not Encryption.BUCKET:
        about["ServerSideEncryption"] = settings.encryption.value
    if settings.kms_key:
        about["SSEKMSKeyId"] = settings.kms_key
    if lock is not None:
        about |= {"ObjectLockMode": lock.mode.upper(), "ObjectLockRetainUntilDate": lock.until}
    if size <= settings.part_size_mib * _MIB:
        body = path.read_bytes()
        sent = hashlib.sha256(body)
        _expect(path, sent.hexdigest(), digest)
        bucket.writer.put_object(**about, Body=body, ChecksumSHA256=base64.b64encode(sent.digest()).decode())
        return
    _put_in_parts(bucket, about, path, size, digest)


def _put_in_parts(bucket: Bucket, about: dict[str, Any], path: Path, size: int, digest: str) -> None:
    """Send a large file in parts, each with its own digest; what was begun and failed is given up."""
    where: dict[str, Any] = {"Bucket": bucket.name, "Key": about["Key"]}
    upload = bucket.writer.create_multipart_upload(**about, ChecksumAlgorithm="SHA256")["UploadId"]
    try:
        whole = hashlib.sha256()
        parts: list[CompletedPartTypeDef] = []
        for number, body in enumerate(_parts(path, size, bucket.settings.part_size_mib * _MIB), 1):
            whole.update(body)
            checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
            # The same part of the same upload replaces itself: botocore may repeat this call.
            answer = bucket.client.upload_part(**where, UploadId=upload, PartNumber=number, Body=body, ChecksumSHA256=checksum)
            parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
        _expect(path, whole.hexdigest(), digest)
        bucket.writer.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        give_up_upload(bucket, about["Key"], upload)
        raise


def _parts(path: Path, size: int, wanted: int) -> Iterator[bytes]:
    length = max(wanted, -(-size // _MOST_PARTS))
    with path.open("rb") as file:
        while body := file.read(length):
            yield body


def _expect(path: Path, sent: str, digest: str) -> None:
    if sent != digest:
        raise EvidenceError(
            f"{path.name} changed while it was sent", "its digest is another one", "look into this machine's disk"
        )


def give_up_upload(bucket: Bucket, key: str, upload: str) -> None:
    """Drop the parts of an upload that was not completed; a store that cannot be asked now is asked next time."""
    try:
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload)
    except (ClientError, BotoCoreError):
        # The reason for giving up is on its way already; the next attempt drops every upload below the prefix.
        return


def read_back(bucket: Bucket, key: str, stored: StoredObject, into: Path | None = None) -> str:
    """Read one version to its end and compare it with what was sent; with `into` keep it. Return its encryption.

    Raises EvidenceError when other bytes come back, StorageError when they cannot be read to the end.
    """
    chosen: dict[str, Any] = {"VersionId": stored.version} if stored.version else {}
    digest, size = hashlib.sha256(), 0
    with s3_errors(f"{stored.name} cannot be read back from the vault", bucket.settings):
        answer = bucket.client.get_object(Bucket=bucket.name, Key=key, **chosen)
        with closing(answer["Body"]) as body:
            file = into.open("xb") if into else None
            try:
                for chunk in body.iter_chunks(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    if file:
                        file.write(chunk)
            finally:
                if file:
                    file.close()
    if (digest.hexdigest(), size) != (stored.sha256, stored.bytes):
        raise EvidenceError(
            f"{stored.name} differs from what was sent to the vault",
            f"{stored.bytes} bytes were sent and {size} came back, with another digest",
            "do not trust this storage; seal into another vault",
        )
    return str(answer.get("ServerSideEncryption", "none stated"))


def confirm_lock(bucket: Bucket, key: str, stored: StoredObject, lock: Lock) -> None:
    """See that the store has locked a version as asked, and lock one of an earlier attempt as long.

    Raises StorageError when the store keeps no lock although it took the put.
    """
    if not is_locked(bucket, key, stored, lock):
        with s3_errors(f"{stored.name} cannot be locked", bucket.settings):
            bucket.client.put_object_retention(
                Bucket=bucket.name,
                Key=key,
                VersionId=stored.version,
                Retention={"Mode": lock.mode.upper(), "RetainUntilDate": lock.until},  # pyright: ignore[reportArgumentType]
            )
        if not is_locked(bucket, key, stored, lock):
            raise StorageError(
                f"{stored.name} is not locked", "the store took it, and shows no such retention", "use a store with Object Lock"
            )


def is_locked(bucket: Bucket, key: str, stored: StoredObject, lock: Lock) -> bool:
    """Return whether a version is locked at least as strictly and as long. Raises StorageError when it is not told."""
    with s3_errors(f"the lock of {stored.name} cannot be read", bucket.settings):
        try:
            answer = bucket.client.get_object_retention(Bucket=bucket.name, Key=key, VersionId=stored.version)
        except ClientError as error:
            if is_absent(error) and code_of(error) != "NoSuchVersion":
                return False
            raise
    found = answer.get("Retention", {})
    until = found.get("RetainUntilDate")
    strict = found.get("Mode") in (lock.mode.upper(), "COMPLIANCE")
    # Stores keep whole seconds.
    return strict and until is not None and until >= lock.until - timedelta(seconds=1)
