"""Fetches a package from its bucket, version by version, and says what is not as the marker and the register state it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.domain.stored_package import StoredObject, StoredPackage
from snaphold.errors import EvidenceError, StorageError
from snaphold.evidence import layout
from snaphold.vault.base import ReadBack
from snaphold.vault.local import WRITABLE_FOLDER, storage_errors
from snaphold.vault.s3_errors import s3_errors
from snaphold.vault.s3_marker import marker_key, object_key, signature_key
from snaphold.vault.s3_transfer import Lock, is_locked, read_back, version_in

if TYPE_CHECKING:
    from snaphold.vault.s3_client import Bucket

_GONE = frozenset({"NoSuchVersion", "NoSuchKey", "404", "MethodNotAllowed"})


def fetch_package(
    bucket: Bucket, name: str, stored: StoredPackage, into: Path, *, recorded: StoredPackage | None, now: datetime
) -> ReadBack:
    """Return the package below `into`, with every fault. Raises StorageError when the disk or the whole store refuses."""
    faults = _differences(name, stored, recorded)
    unreadable: list[str] = []
    wanted = recorded or stored
    for item in wanted.objects:
        if not layout.SAFE_PATH.fullmatch(item.name):
            faults.append(f"{item.name!r}: no file of a package has such a name")
            continue
        fault = _fetch(bucket, object_key(bucket, name, item.name), item, into)
        (unreadable if fault.startswith("cannot") else faults).extend([f"{item.name}: {fault}"] if fault else [])
    keys = {object_key(bucket, name, item.name): item for item in wanted.objects}
    keys |= {signature_key(bucket, name, wanted.marker.sha256): wanted.signature, marker_key(bucket, name): wanted.marker}
    notes: list[str] = []
    _check_locks(bucket, wanted, keys, now, faults, notes)
    notes += _strangers(bucket, name, keys)
    return ReadBack(into, tuple(faults), tuple(unreadable), tuple(notes))


def _differences(name: str, stored: StoredPackage, recorded: StoredPackage | None) -> list[str]:
    """Compare what the bucket says with the register: versions and digests are fixed when a package is sealed."""
    if recorded is None or _undated(stored) == _undated(recorded):
        return []
    faults: list[str] = []
    for what, here, there in (("marker", stored.marker, recorded.marker), ("signature", stored.signature, recorded.signature)):
        if (here.version, here.sha256) != (there.version, there.sha256):
            faults.append(f"{name}: the {what} in the vault is version {here.version}, not the registered {there.version}")
    then = {item.name: item for item in recorded.objects}
    for item in stored.objects:
        if then.get(item.name) != item:
            faults.append(f"{item.name}: the marker in the vault states another version or digest than the register")
    return faults or [f"{name}: the marker in the vault states another place than the register"]


def _undated(package: StoredPackage) -> StoredPackage:
    """Return a package without the times of marker and signature: some stores change them when a hold or lock is set."""
    undated = {name: item.model_copy(update={"modified": 0}) for name, item in
               (("marker", package.marker), ("signature", package.signature))}  # fmt: skip
    return package.model_copy(update=undated)


def _fetch(bucket: Bucket, key: str, item: StoredObject, into: Path) -> str:
    """Fetch one version; return what is wrong with it, in words that begin with `cannot` when nothing is known of it."""
    from botocore.exceptions import ClientError

    path = into / item.name
    with storage_errors(f"{path} cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            read_back(bucket, key, item, path)
        except EvidenceError:
            return "the vault gives back other bytes than were sealed"
        except StorageError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and str(cause.response.get("Error", {}).get("Code")) in _GONE:
                return f"version {item.version} is gone from the vault"
            return f"cannot be read back: {error.why}"
        path.chmod(0o644 if item.name.startswith(f"{WRITABLE_FOLDER}/") else layout.FILE_MODE)
        os.utime(path, (item.modified, item.modified))
    return ""


def _check_locks(
    bucket: Bucket, wanted: StoredPackage, keys: dict[str, StoredObject], now: datetime, faults: list[str], notes: list[str]
) -> None:
    if wanted.retain_until is None:
        notes.append(f"the bucket {bucket.name} has no Object Lock: nothing keeps the package from being deleted")
        return
    if wanted.retain_until <= now:
        notes.append("the retention that was set at sealing has ended")
        return
    lock = Lock(wanted.mode, wanted.retain_until)
    for key, item in keys.items():
        try:
            if not is_locked(bucket, key, item, lock):
                faults.append(f"{item.name}: is not locked as it was at sealing")
        except StorageError as error:
            faults.append(f"{item.name}: {error.what}: {error.why}")


def _strangers(bucket: Bucket, name: str, keys: dict[str, StoredObject]) -> list[str]:
    """Name what lies over or beside the package: newer versions and delete markers change nothing, but somebody put them."""
    hidden: list[str] = []
    others = 0
    later = f"{object_key(bucket, name, '').rstrip('/')}.custody/"
    pages = bucket.client.get_paginator("list_object_versions").paginate
    with s3_errors(f"the versions of {name} cannot be listed", bucket.settings):
        for prefix in (object_key(bucket, name, ""), f"{object_key(bucket, name, '').rstrip('/')}."):
            for page in pages(Bucket=bucket.name, Prefix=prefix):
                hidden += [keys[key].name for item in page.get("DeleteMarkers", []) if (key := item.get("Key", "")) in keys]
                for item in page.get("Versions", []):
                    if str(item.get("Key", "")).startswith(later):
                        continue  # judged by their signature when they are fetched
                    known = keys.get(item.get("Key", ""))
                    others += known is None or known.version != version_in(item.get("VersionId"))
    notes = [f"{file}: somebody deleted it; the sealed version below the delete marker is intact" for file in sorted(set(hidden))]
    if others:
        notes.append(f"{others} object versions beside the sealed ones, left by a lost attempt or put by somebody else")
    return notes
