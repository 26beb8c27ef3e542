"""The marker of a complete package: one signed document that names every object, put after all the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from snaphold.clock import format_time
from snaphold.domain.stored_package import StoredObject, StoredPackage
from snaphold.errors import EvidenceError
from snaphold.vault.s3_errors import s3_errors
from snaphold.vault.s3_transfer import Lock, version_in

if TYPE_CHECKING:
    from snaphold.vault.s3_client import Bucket

MARKER_SUFFIX = ".complete.json"
FORMAT = "snaphold-vault-1"
_NEVER = datetime.max.replace(tzinfo=timezone.utc)
_LARGEST = 4 * 1024 * 1024


def marker_key(bucket: Bucket, name: str) -> str:
    """Return the key of a package's marker; it stands beside the package, not in it."""
    return f"{key_prefix(bucket)}{name}{MARKER_SUFFIX}"


def signature_name(name: str, marker_sha256: str) -> str:
    """Return the name of a marker's signature. It holds the marker's digest: a lost attempt leaves another signature."""
    return f"{name}.complete.{marker_sha256[:16]}.sig"


def signature_key(bucket: Bucket, name: str, marker_sha256: str) -> str:
    """Return the key of a marker's signature."""
    return key_prefix(bucket) + signature_name(name, marker_sha256)


def object_key(bucket: Bucket, name: str, file: str) -> str:
    """Return the key of a file of a package."""
    return f"{key_prefix(bucket)}{name}/{file}"


def key_prefix(bucket: Bucket) -> str:
    """Return what all keys of this vault start with."""
    return f"{bucket.settings.prefix}/" if bucket.settings.prefix else ""


def marker_text(
    bucket: Bucket, name: str, objects: Sequence[StoredObject], lock: Lock | None, *, encryption: Sequence[str], now: datetime
) -> str:
    """Return the text of a marker: sorted keys, one line for each object."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "evidence": name,
        "bucket": bucket.name,
        "prefix": object_key(bucket, name, ""),
        "region": bucket.settings.region,
        "endpoint": bucket.settings.endpoint,
        "mode": lock.mode if lock else "none",
        "retain_until": format_time(lock.until) if lock else None,
        "completed_at": format_time(now),
        "encryption": ",".join(encryption),
        "objects": [item.model_dump(mode="json") for item in objects],
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def read_marker(text: bytes, name: str, marker: StoredObject, signature: StoredObject) -> StoredPackage:
    """Return what a marker says. Raises EvidenceError when it is not a marker of this package."""
    try:
        document = json.loads(text)
        if document.pop("format") != FORMAT or document.pop("evidence") != name:
            raise EvidenceError(f"the marker of {name} is about something else", "its format or its id is another one")
        return StoredPackage(**document, marker=marker, signature=signature)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise EvidenceError(
            f"the marker of {name} in the vault is malformed", str(error).splitlines()[0], "look at the bucket by hand"
        ) from error


@dataclass(frozen=True)
class FirstVersion:
    """The oldest version of a key, when the store took it, and whether a delete marker hides the key now."""

    version: str
    bytes: int
    at: datetime
    hidden: bool


@dataclass(frozen=True)
class SmallObject:
    """A small object with its content, and when the store took it."""

    object: StoredObject
    content: bytes
    at: datetime
    hidden: bool


def first_version(bucket: Bucket, key: str) -> FirstVersion | None:
    """Return the oldest version of a key, or None when there is none.

    The oldest, because Object Lock lets nobody take it away while everybody who may write can add a newer one.
    """
    found: list[tuple[datetime, str, int]] = []
    hidden = False
    with s3_errors(f"the versions of {key} cannot be listed", bucket.settings):
        for page in bucket.client.get_paginator("list_object_versions").paginate(Bucket=bucket.name, Prefix=key):
            for item in page.get("Versions", []):
                if item.get("Key") == key:
                    found.append((item.get("LastModified", _NEVER), version_in(item.get("VersionId")), item.get("Size", 0)))
            hidden = hidden or any(
                item.get("Key") == key and item.get("IsLatest", False) for item in page.get("DeleteMarkers", [])
            )
    if not found:
        return None
    # Listed newest first within a key; of those with the same second the last one listed is the oldest.
    oldest = min(enumerate(found), key=lambda pair: (pair[1][0], -pair[0]))[1]
    return FirstVersion(oldest[1], oldest[2], oldest[0], hidden)


def fetch_small(bucket: Bucket, key: str, name: str) -> SmallObject | None:
    """Return the first version of a small object, or None when there is none."""
    first = first_version(bucket, key)
    if first is None:
        return None
    if first.bytes > _LARGEST:
        raise EvidenceError(f"{name} in the vault is too large to be genuine", f"{first.bytes} bytes", "look at the bucket")
    chosen: dict[str, Any] = {"VersionId": first.version} if first.version else {}
    with s3_errors(f"{name} cannot be read from the vault", bucket.settings):
        content = bucket.client.get_object(Bucket=bucket.name, Key=key, **chosen)["Body"].read()
    stored = StoredObject(
        name=name, version=first.version, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(),
        modified=int(first.at.timestamp()),
    )  # fmt: skip
    return SmallObject(stored, content, first.at, first.hidden)
