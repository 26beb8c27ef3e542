"""The part of a package that grows after the sealing, in the bucket: one locked copy for each state of the custody log.

The sealed objects stay as they are. Beside them lies `NAME.custody/RECORDS-DIGEST/` with the log, its newest checkpoint and
a later time stamp. The name holds the digest of the log, and the custodian's signature is judged when it is fetched: what
somebody else puts there is named and not believed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from snaphold.domain.stored_package import StoredObject, StoredPackage
from snaphold.errors import EvidenceError, StorageError, UnverifiedEvidenceError
from snaphold.evidence import layout
from snaphold.evidence.custody import Checkpoint, parse_checkpoint, split_lines
from snaphold.vault.local import storage_errors
from snaphold.vault.s3_errors import is_absent, s3_errors
from snaphold.vault.s3_marker import SmallObject, fetch_small, first_version, key_prefix, marker_key
from snaphold.vault.s3_transfer import Lock, put_file

if TYPE_CHECKING:
    from snaphold.vault.s3_client import Bucket

Judge = Callable[[bytes, str, datetime], None]
"""Judges (message, signature, time): raises EvidenceError when the custodian did not sign it, Unverified... when not told."""
_STATE = re.compile(r"([0-9]{6,12})-([0-9a-f]{16})/")
_LATER_FILES = (layout.TIMESTAMP_QUERY, layout.TIMESTAMP_REPLY)
_ATTEMPTS = 3


@dataclass(frozen=True)
class CustodyState:
    """One copied state of a custody log: how many records it had, and the key prefix of its files."""

    records: int
    digest: str
    prefix: str


@dataclass(frozen=True)
class LaterCustody:
    """The newest state that the custodian signed, as files by their path in the package; and what was not believed."""

    files: dict[str, bytes]
    notes: tuple[str, ...] = ()


def custody_prefix(bucket: Bucket, name: str) -> str:
    """Return what the keys of all copied custody logs of a package start with."""
    return f"{key_prefix(bucket)}{name}.custody/"


def mirror(bucket: Bucket, name: str, package: Path, stored: StoredPackage) -> str:
    """Put the custody log of the working copy as it stands, locked as long as the package; return its address.

    A state that is there already is left alone. Raises StorageError, EvidenceError (the log and its checkpoint differ).
    """
    with tempfile.TemporaryDirectory(prefix="snaphold-custody-") as scratch:
        checkpoint = _copy(package, Path(scratch), stored)
        state = f"{checkpoint.records:06d}-{checkpoint.sha256[:16]}/"
        lock = lock_of(bucket, name, stored)
        for path in sorted(Path(scratch).iterdir()):
            put_file(bucket, custody_prefix(bucket, name) + state + path.name, path, f"{name}.custody/{state}{path.name}", lock)
    return f"s3://{bucket.name}/{custody_prefix(bucket, name)}{state}"


def lock_of(bucket: Bucket, name: str, stored: StoredPackage) -> Lock | None:
    """Return how the package is locked now: its retention may have been extended since the sealing."""
    if stored.retain_until is None:
        return None
    with s3_errors(f"the lock of {name} cannot be read", bucket.settings):
        answer = bucket.client.get_object_retention(
            Bucket=bucket.name, Key=marker_key(bucket, name), VersionId=stored.marker.version
        )
    until = answer.get("Retention", {}).get("RetainUntilDate")
    return Lock(stored.mode, max(stored.retain_until, until) if until else stored.retain_until)


def is_held(bucket: Bucket, name: str, stored: StoredPackage) -> bool:
    """Return whether the package is under legal hold in the bucket."""
    with s3_errors(f"the legal hold of {name} cannot be read", bucket.settings):
        try:
            answer = bucket.client.get_object_legal_hold(
                Bucket=bucket.name, Key=marker_key(bucket, name), VersionId=stored.marker.version
            )
        except ClientError as error:
            if is_absent(error):
                return False
            raise
    return answer.get("LegalHold", {}).get("Status") == "ON"


def custody_objects(bucket: Bucket, name: str) -> Iterator[tuple[str, StoredObject]]:
    """Return every object of every copied state with its oldest version, for locks and holds."""
    for state in _states(bucket, name):
        for key in _keys(bucket, state.prefix):
            first = first_version(bucket, key)
            if first is not None:
                name_there = key.removeprefix(key_prefix(bucket))
                # Locks and holds go by key and version; the content is judged when it is fetched.
                yield key, StoredObject(name=name_there, version=first.version, bytes=first.bytes, sha256="")


def fetch_later(bucket: Bucket, name: str, sealed_log: bytes, judge: Judge) -> LaterCustody:
    """Return the newest state of the log that continues the sealed one and that the custodian signed.

    Raises StorageError when the bucket cannot be read, UnverifiedEvidenceError when no signature can be judged.
    """
    notes: list[str] = []
    for state in sorted(_states(bucket, name), key=lambda item: item.records, reverse=True):
        files, fault = _fetch(bucket, state)
        fault = fault or _fault(state, files, sealed_log, judge)
        if not fault:
            return LaterCustody({place: found.content for place, found in files.items()}, tuple(notes))
        notes.append(f"{name}.custody/{state.records:06d}-{state.digest}: {fault}; it is not believed")
    return LaterCustody({}, tuple(notes))


def _fetch(bucket: Bucket, state: CustodyState) -> tuple[dict[str, SmallObject], str]:
    """Return the files of a state by their path in the package, and what is wrong with one of them."""
    files: dict[str, SmallObject] = {}
    for key in _keys(bucket, state.prefix):
        try:
            found = fetch_small(bucket, key, key.removeprefix(key_prefix(bucket)))
        except EvidenceError as error:
            return {}, error.what
        if found is not None:
            files[_place(key.rpartition("/")[2])] = found
    return files, ""


def _fault(state: CustodyState, files: dict[str, SmallObject], sealed_log: bytes, judge: Judge) -> str:
    log = files.get(layout.CUSTODY_LOG)
    text = files.get(f"{layout.CUSTODY}/{layout.checkpoint_name(state.records)}")
    signature = files.get(f"{layout.CUSTODY}/{layout.checkpoint_name(state.records)}.sig")
    if text is None or signature is None or log is None:
        return "it is not complete"
    if not log.content.startswith(sealed_log):
        return "it does not continue the log of the sealing"
    try:
        checkpoint = parse_checkpoint(text.content.decode("utf-8", "replace"))
        if not _is_of(checkpoint, log.content) or checkpoint.sha256[:16] != state.digest:
            return "its checkpoint is of another log"
        # The store's time of the put: nobody can choose it, and the key may have been replaced since.
        judge(text.content, signature.content.decode("ascii", "replace"), signature.at)
    except UnverifiedEvidenceError:
        raise
    except EvidenceError as error:
        return f"{error.what}: {error.why}" if error.why else error.what
    return ""


def _copy(package: Path, into: Path, stored: StoredPackage) -> Checkpoint:
    """Copy the log with its newest checkpoint and, when it came after the sealing, the time stamp; return the checkpoint."""
    sealed = {item.name for item in stored.objects}
    with storage_errors(f"the custody log of {package.name} cannot be copied"):
        for _ in range(_ATTEMPTS):
            log = (package / layout.CUSTODY_LOG).read_bytes()
            name = layout.checkpoint_name(len(split_lines(log)))
            path = package / layout.CUSTODY / name
            if path.is_file() and path.with_name(f"{name}.sig").is_file():
                checkpoint = parse_checkpoint(path.read_text(encoding="utf-8"))
                if _is_of(checkpoint, log):
                    (into / Path(layout.CUSTODY_LOG).name).write_bytes(log)
                    for source in (path, path.with_name(f"{name}.sig")):
                        shutil.copyfile(source, into / source.name)
                    for late in _LATER_FILES:
                        if late not in sealed and (package / late).is_file():
                            shutil.copyfile(package / late, into / late)
                    return checkpoint
    raise EvidenceError(
        f"the custody log of {package.name} has no checkpoint of its newest record",
        None,
        "look at it with snaphold evidence verify",
    )


def _is_of(checkpoint: Checkpoint, log: bytes) -> bool:
    return (checkpoint.bytes, checkpoint.sha256) == (len(log), hashlib.sha256(log).hexdigest())


def _place(file: str) -> str:
    return file if file in _LATER_FILES else f"{layout.CUSTODY}/{file}"


def _states(bucket: Bucket, name: str) -> list[CustodyState]:
    """Return the states that the bucket has; delete markers hide none of them."""
    prefix = custody_prefix(bucket, name)
    found: dict[str, CustodyState] = {}
    for key in _keys(bucket, prefix):
        match = _STATE.match(key[len(prefix) :])
        if match:
            found[match[0]] = CustodyState(int(match[1]), match[2], prefix + match[0])
    return list(found.values())


def _keys(bucket: Bucket, prefix: str) -> list[str]:
    keys: dict[str, None] = {}
    with s3_errors(f"what lies below {prefix} cannot be listed", bucket.settings):
        pages: Any = bucket.client.get_paginator("list_object_versions").paginate(Bucket=bucket.name, Prefix=prefix)
        for page in pages:
            keys |= dict.fromkeys(str(item.get("Key", "")) for item in page.get("Versions", []))
    return [key for key in keys if key.startswith(prefix)]


def write_later(later: LaterCustody, folder: Path) -> None:
    """Put the files of the newest state in the place of the sealed ones in a fetched package."""
    with storage_errors(f"{folder} cannot be written"):
        for name, content in later.files.items():
            path = folder / name
            if not layout.SAFE_PATH.fullmatch(name):
                raise StorageError(f"{name!r} cannot be a file of a package", None, "look into the bucket")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(content)
