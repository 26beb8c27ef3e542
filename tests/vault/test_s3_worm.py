"""What the vault relies on, asked of a real store: nobody deletes, shortens or replaces what is locked."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from snaphold.domain.stored_package import StoredPackage
from support.seaweed import ADMIN, READER, VAULT, WRITER, Seaweed
from support.vault_rigs import KEEP, NAME, put, s3_vault

pytestmark = pytest.mark.slow


@contextmanager
def refused(*codes: str) -> Generator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response.get("Error", {}).get("Code") in codes


def package(folder: Path, store: Seaweed, **changes: Any) -> StoredPackage:
    vault = s3_vault(folder, store, **changes)
    put(vault)
    stored = vault.stored(NAME)
    assert stored is not None
    return stored


def version(stored: StoredPackage, position: int = 0) -> dict[str, str]:
    item = stored.objects[position]
    return {"Bucket": VAULT, "Key": stored.prefix + item.name, "VersionId": item.version}


def test_a_locked_version_cannot_be_deleted_and_the_writer_cannot_bypass(tmp_path: Path, seaweed: Seaweed) -> None:
    stored = package(tmp_path, seaweed)
    for identity in (WRITER, READER, ADMIN):
        with refused("AccessDenied"):
            seaweed.client(identity).delete_object(**version(stored))
    for identity in (WRITER, READER):
        with refused("AccessDenied"):
            seaweed.client(identity).delete_object(**version(stored), BypassGovernanceRetention=True)


def test_the_writer_cannot_shorten_a_governance_lock(tmp_path: Path, seaweed: Seaweed) -> None:
    stored = package(tmp_path, seaweed)
    sooner = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(timezone.utc) + KEEP / 2}
    with refused("AccessDenied"):
        seaweed.client(WRITER).put_object_retention(**version(stored), Retention=sooner)
    with refused("AccessDenied"):
        seaweed.client(WRITER).put_object_retention(**version(stored), Retention=sooner, BypassGovernanceRetention=True)


def test_governance_yields_to_the_special_right_and_compliance_to_nobody(tmp_path: Path, seaweed: Seaweed) -> None:
    admin = seaweed.client(ADMIN)
    admin.delete_object(**version(package(tmp_path / "g", seaweed)), BypassGovernanceRetention=True)
    strict = package(tmp_path / "c", seaweed, mode="compliance")
    with refused("AccessDenied"):
        admin.delete_object(**version(strict), BypassGovernanceRetention=True)
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(timezone.utc) + KEEP / 2}
    with refused("AccessDenied"):
        admin.put_object_retention(**version(strict), Retention=sooner, BypassGovernanceRetention=True)
    weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(timezone.utc) + timedelta(days=1)}
    with refused("AccessDenied"):
        admin.put_object_retention(**version(strict), Retention=weaker, BypassGovernanceRetention=True)


def let_locks_run_out(store: Seaweed, keys: list[dict[str, str]]) -> None:
    """Have a lock of a few seconds on each version, and wait until all have run out.

    The store takes no lock whose end has passed when the call arrives: such a call is made again with a later end.
    """
    ends: list[datetime] = []
    for key in keys:
        seconds = 2.0
        while True:
            until = datetime.now(timezone.utc) + timedelta(seconds=seconds)
            sooner = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
            try:
                store.client(ADMIN).put_object_retention(**key, Retention=sooner, BypassGovernanceRetention=True)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "InvalidRequest" or seconds > KEEP.total_seconds():
                    raise
                seconds *= 2
            else:
                ends.append(until)
                break
    time.sleep(max(0.0, (max(ends) - datetime.now(timezone.utc)).total_seconds()) + 1.5)


def test_what_is_stored_can_be_deleted_after_its_time_but_not_under_a_legal_hold(tmp_path: Path, seaweed: Seaweed) -> None:
    vault = s3_vault(tmp_path, seaweed)
    put(vault)
    stored = vault.stored(NAME)
    assert stored is not None
    assert vault.set_legal_hold(NAME, ["HOLD-1"]) == f"S3 Object Lock: legal hold ON on {len(stored.objects) + 2} object versions"
    writer = seaweed.client(WRITER)
    keys = [version(stored, position) for position in range(len(stored.objects))]
    let_locks_run_out(seaweed, keys)
    for key in keys:
        with refused("AccessDenied"):
            writer.delete_object(**key)
    # One of two holds is released: the set is not empty, so the storage goes on holding.
    vault.set_legal_hold(NAME, ["HOLD-2"])
    with refused("AccessDenied"):
        writer.delete_object(**keys[0])
    vault.set_legal_hold(NAME, [])
    for key in keys:
        writer.delete_object(**key)
    with refused("404"):
        writer.head_object(**keys[0])


def test_a_lock_is_extended_and_never_shortened(tmp_path: Path, seaweed: Seaweed) -> None:
    vault = s3_vault(tmp_path, seaweed, mode="compliance")
    put(vault)
    stored = vault.stored(NAME)
    assert stored is not None
    later = datetime.now(timezone.utc).replace(microsecond=0) + 3 * KEEP
    vault.extend_retention(NAME, later)
    vault.extend_retention(NAME, later - KEEP)
    for position in range(len(stored.objects)):
        retention = seaweed.client(ADMIN).get_object_retention(**version(stored, position))["Retention"]
        assert (retention["Mode"], retention["RetainUntilDate"]) == ("COMPLIANCE", later)


def test_who_may_only_read_cannot_write(tmp_path: Path, seaweed: Seaweed) -> None:
    stored = package(tmp_path, seaweed)
    reader = seaweed.client(READER)
    assert reader.get_object(**version(stored))["Body"].read()
    with refused("AccessDenied"):
        reader.put_object(Bucket=VAULT, Key=stored.prefix + "new", Body=b"x")
    with refused("AccessDenied"):
        reader.delete_object(Bucket=VAULT, Key=stored.prefix + "bagit.txt")
    with refused("AccessDenied"):
        reader.put_object_legal_hold(**version(stored), LegalHold={"Status": "OFF"})


def test_a_newer_version_and_a_delete_marker_leave_the_sealed_version_in_place(tmp_path: Path, seaweed: Seaweed) -> None:
    vault = s3_vault(tmp_path, seaweed)
    put(vault)
    recorded = vault.stored(NAME)
    assert recorded is not None
    writer = seaweed.client(WRITER)
    writer.put_object(Bucket=VAULT, Key=recorded.prefix + "bagit.txt", Body=b"forged")
    writer.delete_object(Bucket=VAULT, Key=recorded.prefix + "data/E0001.bin")
    marker = recorded.prefix.rstrip("/") + ".complete.json"
    writer.put_object(Bucket=VAULT, Key=marker, Body=b"{}")
    writer.delete_object(Bucket=VAULT, Key=marker)
    assert vault.stored(NAME) == recorded
    back = vault.read_back(NAME, tmp_path / "back", recorded=recorded)
    assert (back.faults, back.unreadable) == ((), ())
    assert (back.folder / "bagit.txt").read_bytes().startswith(b"BagIt")
    assert any("data/E0001.bin: somebody deleted it" in note for note in back.notes)
    assert any(note.startswith("2 object versions beside") for note in back.notes)


def test_versioning_of_a_vault_cannot_be_suspended(seaweed: Seaweed) -> None:
    with refused("InvalidBucketState"):
        seaweed.client(ADMIN).put_bucket_versioning(Bucket=VAULT, VersioningConfiguration={"Status": "Suspended"})
