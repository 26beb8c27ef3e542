"""A bucket with Object Lock as a vault, with a working copy of every package in a folder of this machine.

The objects of a package are put first, each locked and read back; a signed marker that names every object and its version
is put last. Only what has its marker is a package: an attempt that was lost leaves objects that nothing refers to.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snaphold.clock import Clock, format_time
from snaphold.domain.stored_package import RestingPlace, StoredObject, StoredPackage
from snaphold.errors import EvidenceError, StorageError, UnknownOutcomeError, UnverifiedEvidenceError
from snaphold.evidence.layout import CUSTODY_LOG
from snaphold.vault.base import ReadBack
from snaphold.vault.local import REGISTER_ONLY, LocalVault
from snaphold.vault.s3_bucket import check_bucket
from snaphold.vault.s3_errors import s3_errors
from snaphold.vault.s3_marker import (
    MARKER_SUFFIX,
    SmallObject,
    fetch_small,
    marker_key,
    marker_text,
    object_key,
    read_marker,
    signature_key,
    signature_name,
)
from snaphold.vault.s3_transfer import Lock, Sent, confirm_lock, give_up_upload, put_file

if TYPE_CHECKING:
    from snaphold.vault.s3_client import Bucket

Sign = Callable[[bytes], str]
"""Signs the marker; returns the armoured signature."""
Judge = Callable[[bytes, str, datetime], None]
"""Judges (message, signature, time): returns when the custodian signed it, raises EvidenceError or Unverified..."""


class S3Vault:
    """Packages in a bucket. What is put there is locked, read back, and complete or not there."""

    def __init__(self, bucket: Bucket, working: LocalVault, *, clock: Clock, sign: Sign, judge: Judge) -> None:
        self.bucket = bucket
        self.working = working
        self._clock = clock
        self._sign = sign
        self._judge = judge

    def stage(self, name: str) -> Path:
        """Return an empty private folder for a package. Raises StorageError when the name is taken."""
        self._refuse_taken(name)
        return self.working.stage(name)

    def place(self, name: str, retain_until: datetime) -> RestingPlace:
        """Return where the package will rest and what will lock it.

        Raises StorageError for a bucket that is out of reach or has no Object Lock.
        """
        settings = self.bucket.settings
        locked = check_bucket(self.bucket)
        lock = f"S3 Object Lock, {settings.mode.value} until {format_time(_whole(retain_until))}"
        return RestingPlace(
            uri=f"s3://{self.bucket.name}/{object_key(self.bucket, name, '').rstrip('/')}",
            region=settings.region + (f" at {settings.endpoint}" if settings.endpoint else ""),
            immutability=lock if locked else "none: the configuration allows a bucket without Object Lock",
        )

    def commit(self, staged: Path, name: str, *, retain_until: datetime) -> Path:
        """Put all files, then the signed marker; make the staged folder the working copy and return its path.

        Raises StorageError, leaving the staged folder, when the name exists or the store refuses; EvidenceError when it
        gives back other bytes; UnknownOutcomeError when it cannot be told whether the marker was put.
        """
        lock = Lock(self.bucket.settings.mode.value, _whole(retain_until)) if check_bucket(self.bucket) else None
        self._refuse_taken(name)
        self._drop_uploads(name)
        sent = [
            put_file(self.bucket, object_key(self.bucket, name, file), staged / file, file, lock) for file in _files_in(staged)
        ]
        self._complete(name, sent, lock)
        return self.working.commit(staged, name, retain_until=retain_until)

    def find(self, name: str) -> Path | None:
        """Return the working copy of a complete package, fetched again when it is lost; None when it is not complete."""
        stored = self.stored(name)
        if stored is None:
            return None
        found = self.working.find(name)
        if found is not None:
            return found
        back = self.read_back(name, self.working.stage(name), recorded=stored)
        if back.faults or back.unreadable:
            raise EvidenceError(
                f"{name} cannot be fetched from the vault", "; ".join((*back.faults, *back.unreadable)), "look into the bucket"
            )
        return self.working.commit(back.folder, name, retain_until=stored.retain_until or stored.completed_at)

    def stored(self, name: str) -> StoredPackage | None:
        """Return what the marker of a package says, None when it has none.

        Raises EvidenceError when the marker is malformed or not signed by the custodian.
        """
        marker = fetch_small(self.bucket, marker_key(self.bucket, name), name + MARKER_SUFFIX)
        if marker is None:
            return None
        signature = self._signature(name, marker.object.sha256)
        if signature is None:
            raise EvidenceError(f"the marker of {name} has no signature", "it was not put by Snaphold", "look into the bucket")
        stored = read_marker(marker.content, name, marker.object, signature.object)
        self._judge(marker.content, signature.content.decode("ascii", "replace"), stored.completed_at)
        return stored

    def read_back(self, name: str, into: Path, *, recorded: StoredPackage | None) -> ReadBack:
        """Fetch every version that the marker names into an empty folder and compare digests, versions and locks."""
        from snaphold.vault.s3_read_back import fetch_package

        try:
            stored = self.stored(name)
        except EvidenceError as error:
            return ReadBack(into, (f"{error.what}: {error.why}",))
        if stored is None:
            return ReadBack(into, (f"{name}: its marker is gone from the bucket {self.bucket.name}",))
        back = fetch_package(self.bucket, name, stored, into, recorded=recorded, now=self._clock.now())
        return self._with_later_custody(name, back)

    def _with_later_custody(self, name: str, back: ReadBack) -> ReadBack:
        """Put the newest custody log that the custodian signed in the place of the sealed one."""
        from snaphold.vault.s3_custody import fetch_later, write_later

        log = back.folder / CUSTODY_LOG
        if not log.is_file():
            return back
        try:
            later = fetch_later(self.bucket, name, log.read_bytes(), self._judge)
        except UnverifiedEvidenceError as error:
            return replace(back, unreadable=(*back.unreadable, f"the later custody log: {error.what}: {error.why}"))
        write_later(later, back.folder)
        return replace(back, notes=(*back.notes, *later.notes))

    def mirror_custody(self, name: str) -> str:
        """Put the custody log of the working copy beside the package, locked and held as the package is."""
        from snaphold.vault.s3_custody import is_held, mirror

        stored, package = self.stored(name), self.find(name)
        if stored is None or package is None:
            raise StorageError(f"the vault has no package {name}", "its marker is missing", "check bucket and prefix")
        where = mirror(self.bucket, name, package, stored)
        if stored.retain_until is not None and is_held(self.bucket, name, stored):
            self.set_legal_hold(name, ["the package is held"])
        return where

    def set_legal_hold(self, name: str, holds: Collection[str]) -> str:
        """Switch the legal hold of every object on while there are holds, off when there are none; return how.

        Raises StorageError when the store refuses or does not show what was set.
        """
        stored = self._locked_package(name)
        if stored is None:
            return f"{REGISTER_ONLY}: the bucket has no Object Lock"
        wanted, count = "ON" if holds else "OFF", 0
        for key, item in self._all_objects(name, stored):
            chosen: dict[str, Any] = {"Bucket": self.bucket.name, "Key": key, "VersionId": item.version}
            with s3_errors(f"the legal hold of {item.name} cannot be set", self.bucket.settings):
                self.bucket.client.put_object_legal_hold(**chosen, LegalHold={"Status": wanted})
                shown = self.bucket.client.get_object_legal_hold(**chosen).get("LegalHold", {}).get("Status")
            count += 1
            if shown != wanted:
                raise StorageError(
                    f"the legal hold of {item.name} is not {wanted}",
                    f"the store took the call and shows {shown}",
                    "look into the store",
                )
        return f"S3 Object Lock: legal hold {wanted} on {count} object versions"

    def extend_retention(self, name: str, until: datetime) -> str:
        """Lock every object until then if it is not locked longer already; a lock is never shortened."""
        stored = self._locked_package(name)
        if stored is None:
            return f"{REGISTER_ONLY}: the bucket has no Object Lock"
        lock = Lock(stored.mode, _whole(until))
        for key, item in self._all_objects(name, stored):
            confirm_lock(self.bucket, key, item, lock)
        return f"S3 Object Lock: {stored.mode} at least until {format_time(lock.until)}"

    def _signature(self, name: str, marker_sha256: str) -> SmallObject | None:
        return fetch_small(self.bucket, signature_key(self.bucket, name, marker_sha256), signature_name(name, marker_sha256))

    def _locked_package(self, name: str) -> StoredPackage | None:
        """Return a complete package, or None when its bucket has no lock. Raises StorageError when it is not complete."""
        stored = self.stored(name)
        if stored is None:
            raise StorageError(f"the vault has no package {name}", "its marker is missing", "check bucket and prefix")
        return stored if stored.retain_until is not None else None

    def _all_objects(self, name: str, stored: StoredPackage) -> Iterator[tuple[str, StoredObject]]:
        from snaphold.vault.s3_custody import custody_objects

        for item in stored.objects:
            yield object_key(self.bucket, name, item.name), item
        yield signature_key(self.bucket, name, stored.marker.sha256), stored.signature
        yield from custody_objects(self.bucket, name)
        # Last: what the marker shows, all the others show too.
        yield marker_key(self.bucket, name), stored.marker

    def _refuse_taken(self, name: str) -> None:
        here = self.working.find(name)
        if here is None and self.stored(name) is None:
            return
        raise StorageError(f"the package {here or name} exists already", "a sealed package is never replaced", "use another id")

    def _drop_uploads(self, name: str) -> None:
        """Give up the uploads that a lost attempt had begun; their parts are no objects yet and cost room."""
        prefix = object_key(self.bucket, name, "")
        with s3_errors("the uploads of a lost attempt cannot be listed", self.bucket.settings):
            pages = self.bucket.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket.name, Prefix=prefix)
            begun = [(item.get("Key", ""), item.get("UploadId", "")) for page in pages for item in page.get("Uploads", [])]
        for key, upload in begun:
            if key.startswith(prefix) and upload:
                give_up_upload(self.bucket, key, upload)

    def _complete(self, name: str, sent: list[Sent], lock: Lock | None) -> None:
        objects = [item.object for item in sent]
        encryption = sorted({item.encryption for item in sent})
        text = marker_text(self.bucket, name, objects, lock, encryption=encryption, now=self._clock.now()).encode()
        with tempfile.TemporaryDirectory(prefix="snaphold-marker-") as folder:
            marker, signature = Path(folder) / "marker", Path(folder) / "signature"
            marker.write_bytes(text)
            signature.write_text(self._sign(text), encoding="ascii")
            digest = hashlib.sha256(text).hexdigest()
            key = signature_key(self.bucket, name, digest)
            put_file(self.bucket, key, signature, signature_name(name, digest), lock)
            try:
                put_file(self.bucket, marker_key(self.bucket, name), marker, name + MARKER_SUFFIX, lock)
            except StorageError as error:
                self._tell_if_complete(name, error)

    def _tell_if_complete(self, name: str, error: StorageError) -> None:
        """Return when the marker is there after all; raise what is known otherwise."""
        try:
            stored = self.stored(name)
        except StorageError:
            raise UnknownOutcomeError(
                f"it cannot be told whether {name} is complete in the vault", f"{error.what}: {error.why}",
                "when the store is back, seal again under the same key: a complete package is found, another one is finished",
            ) from error  # fmt: skip
        if stored is None:
            raise error


def _files_in(folder: Path) -> list[str]:
    found = (Path(here) / name for here, _, names in os.walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _whole(moment: datetime) -> datetime:
    """Return the time without its fraction of a second: stores keep whole seconds."""
    return moment.replace(microsecond=0)
