"""The S3 vault on a real store: interrupted, lied to, full of leftovers, pointed at the wrong place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from snaphold.clock import SystemClock
from snaphold.errors import EvidenceError, SnapholdError, StorageError, UnknownOutcomeError
from snaphold.vault.s3_transfer import put_file
from support.seaweed import ADMIN, PLAIN, READER, VAULT, WRITER, Seaweed, run_seaweed, secret_of
from support.vault_rigs import FILES, KEEP, NAME, fill, put, s3_vault

pytestmark = pytest.mark.slow
MIB = 1024 * 1024


def versions(store: Seaweed, prefix: str) -> list[str]:
    answer = store.client(ADMIN).list_object_versions(Bucket=VAULT, Prefix=prefix)
    return sorted(item["Key"].removeprefix(prefix) for item in answer.get("Versions", []))


def test_every_object_is_locked_encrypted_and_named_by_a_signed_marker(tmp_path: Path, seaweed: Seaweed) -> None:
    prefix = seaweed.prefix()
    vault = s3_vault(tmp_path, seaweed, prefix=prefix)
    put(vault)
    stored = vault.stored(NAME)
    assert stored is not None
    assert (stored.mode, stored.encryption, stored.uri) == ("governance", "AES256", f"s3://{VAULT}/{prefix}/{NAME}")
    assert {item.name: item.bytes for item in stored.objects} == {name: len(content) for name, content in FILES.items()}
    keys = [(stored.prefix + item.name, item) for item in stored.objects]
    keys += [(f"{prefix}/{item.name}", item) for item in (stored.marker, stored.signature)]
    for key, item in keys:
        head = seaweed.client(ADMIN).head_object(Bucket=VAULT, Key=key, VersionId=item.version)
        assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", stored.retain_until)
        assert head["ServerSideEncryption"] == "AES256"
    assert versions(seaweed, prefix) == sorted(key.removeprefix(prefix) for key, _ in keys)


def test_a_large_file_goes_in_parts_with_a_digest_each(tmp_path: Path, seaweed: Seaweed) -> None:
    vault = s3_vault(tmp_path, seaweed)
    content = os.urandom(12 * MIB + 17)
    put(vault, files={"data/E0001.bin": content})
    stored = vault.stored(NAME)
    assert stored is not None
    head = seaweed.client(ADMIN).head_object(Bucket=VAULT, Key=stored.prefix + "data/E0001.bin", ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"')
    assert head["ChecksumSHA256"].endswith("-3")
    back = vault.read_back(NAME, tmp_path / "back", recorded=stored)
    assert (back.folder / "data/E0001.bin").read_bytes() == content


UPLOAD = """
import sys, time
from pathlib import Path
from datetime import datetime, timezone
from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.vault.registry import open_vault
folder, staged, name, until = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
configuration = Configuration.model_validate_json(sys.stdin.read()).placed_at(folder)
vault = open_vault(configuration, SystemClock())
upload_part = vault.bucket.client.upload_part

def upload_one_part(**about):
    upload_part(**about)
    print("one part is there", flush=True)
    time.sleep(600)

vault.bucket.client.upload_part = upload_one_part
vault.commit(staged, name, retain_until=datetime.fromtimestamp(until, timezone.utc))
"""


def test_killed_in_the_middle_of_an_upload_nothing_counts_and_the_next_attempt_finishes(tmp_path: Path, seaweed: Seaweed) -> None:
    from support.vault_rigs import s3_configuration

    prefix = seaweed.prefix()
    configuration = s3_configuration(tmp_path, seaweed, prefix=prefix)
    vault = s3_vault_of(configuration)
    files = {"bagit.txt": b"first by name", "data/E0001.bin": os.urandom(60 * MIB)}
    staged = fill(vault.stage(NAME), files)
    until = (SystemClock().now() + KEEP).timestamp()
    argv = [sys.executable, "-c", UPLOAD, str(tmp_path), str(staged), NAME, str(until)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(configuration.model_dump_json().encode())
        child.stdin.close()
        assert child.stdout.readline() == b"one part is there\n"
        child.kill()
    assert number_of_parts(seaweed, prefix) == 1
    assert vault.find(NAME) is None
    assert vault.stored(NAME) is None
    assert staged.is_dir()
    final = vault.commit(staged, NAME, retain_until=SystemClock().now() + KEEP)
    assert vault.find(NAME) == final
    assert seaweed.client(ADMIN).list_multipart_uploads(Bucket=VAULT, Prefix=prefix).get("Uploads", []) == []
    # The object that was whole before the kill was found again, not sent twice.
    stored = vault.stored(NAME)
    names = (f"{NAME}/bagit.txt", f"{NAME}/data/E0001.bin", stored.marker.name, stored.signature.name)
    assert versions(seaweed, prefix) == sorted(f"/{name}" for name in names)
    back = vault.read_back(NAME, tmp_path / "back", recorded=vault.stored(NAME))
    assert (back.faults, back.notes) == ((), ())
    assert (back.folder / "data/E0001.bin").read_bytes() == files["data/E0001.bin"]


def s3_vault_of(configuration: Any) -> Any:
    from snaphold.vault.registry import open_vault

    return open_vault(configuration, SystemClock())


def number_of_parts(store: Seaweed, prefix: str) -> int:
    """Return how many parts the uploads below a prefix have that were begun and not completed."""
    admin = store.client(ADMIN)
    begun = admin.list_multipart_uploads(Bucket=VAULT, Prefix=prefix).get("Uploads", [])
    listed = (admin.list_parts(Bucket=VAULT, Key=item["Key"], UploadId=item["UploadId"]) for item in begun)
    return sum(len(answer.get("Parts", [])) for answer in listed)


def test_a_working_copy_that_is_lost_is_fetched_again(tmp_path: Path, seaweed: Seaweed) -> None:
    prefix = seaweed.prefix()
    configuration_folder = tmp_path / "here"
    vault = s3_vault(configuration_folder, seaweed, prefix=prefix)
    final = put(vault)
    final.rename(tmp_path / "lost")
    again = vault.find(NAME)
    assert again is not None
    assert again == final
    assert {name: (again / name).read_bytes() for name in FILES} == FILES


def test_an_object_that_comes_back_changed_is_not_sealed(
    tmp_path: Path, seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = s3_vault(tmp_path, seaweed)
    staged = fill(vault.stage(NAME))
    real: Any = vault.bucket.client.get_object

    def lie(**about: Any) -> Any:
        answer = real(**about)
        if about["Key"].endswith("E0001.bin"):
            content = bytearray(answer["Body"].read())
            content[7] ^= 1
            answer["Body"] = cast("Any", Body(bytes(content)))
        return answer

    monkeypatch.setattr(vault.bucket.client, "get_object", lie)
    with pytest.raises(EvidenceError, match=r"data/E0001\.bin differs from what was sent"):
        vault.commit(staged, NAME, retain_until=SystemClock().now() + KEEP)
    assert vault.stored(NAME) is None
    assert staged.is_dir()


class Body:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def iter_chunks(self, _size: int) -> list[bytes]:
        return [self.content]

    def close(self) -> None:
        self.content = b""


def test_a_byte_that_rots_in_the_store_is_told_with_its_file(tmp_path: Path) -> None:
    """The store keeps its own checksum, so it refuses to give the object out; unreadable is never taken for verified."""
    (tmp_path / "store").mkdir()
    with run_seaweed(tmp_path / "store") as store:
        vault = s3_vault(tmp_path / "here", store, encryption="bucket", attempts=1)
        needle = os.urandom(3000)
        put(vault, files={"bagit.txt": b"x", "data/E0001.bin": needle})
        recorded = vault.stored(NAME)
        assert rot(store.folder / "data", needle[1000:1064])
        back = vault.read_back(NAME, tmp_path / "back", recorded=recorded)
        told = [*back.faults, *back.unreadable]
        assert len(told) == 1
        assert told[0].startswith("data/E0001.bin: ")


def rot(folder: Path, sample: bytes) -> int:
    """Flip one bit in the store's own files, wherever these bytes lie; return how often they were found."""
    found = 0
    for path in folder.rglob("*.dat"):
        content = path.read_bytes()
        at = content.find(sample)
        if at >= 0:
            found += 1
            with path.open("r+b") as file:
                file.seek(at)
                file.write(bytes([content[at] ^ 1]))
    return found


def test_a_marker_that_is_not_signed_by_the_custodian_makes_no_package(tmp_path: Path, seaweed: Seaweed) -> None:
    prefix = seaweed.prefix()
    put(s3_vault(tmp_path / "intruder", seaweed, prefix=prefix))
    vault = s3_vault(tmp_path / "here", seaweed, prefix=prefix)
    with pytest.raises(SnapholdError):
        vault.stored(NAME)
    back = vault.read_back(NAME, tmp_path / "back", recorded=None)
    assert back.faults


def test_another_version_than_the_registered_one_is_a_fault(tmp_path: Path, seaweed: Seaweed) -> None:
    vault = s3_vault(tmp_path, seaweed)
    put(vault)
    stored = vault.stored(NAME)
    assert stored is not None
    first = stored.objects[0].model_copy(update={"version": "0" * 32})
    recorded = stored.model_copy(update={"objects": (first, *stored.objects[1:])})
    back = vault.read_back(NAME, tmp_path / "back", recorded=recorded)
    assert any("is gone from the vault" in fault for fault in back.faults)
    assert any("another version or digest than the register" in fault for fault in back.faults)


def test_the_same_file_put_twice_makes_one_version_that_is_locked_as_long_as_asked(tmp_path: Path, seaweed: Seaweed) -> None:
    from snaphold.vault.s3_transfer import Lock

    vault = s3_vault(tmp_path, seaweed)
    path = tmp_path / "file"
    path.write_bytes(b"once")
    key = f"{vault.bucket.settings.prefix}/once"
    until = datetime.now(timezone.utc).replace(microsecond=0) + KEEP
    first = put_file(vault.bucket, key, path, "once", Lock("governance", until))
    later = Lock("governance", until + timedelta(seconds=60))
    assert put_file(vault.bucket, key, path, "once", later) == first
    assert len(versions(seaweed, key)) == 1
    retention = seaweed.client(ADMIN).get_object_retention(Bucket=VAULT, Key=key)["Retention"]
    assert retention["RetainUntilDate"] == later.until


def test_a_bucket_without_object_lock_is_refused_unless_it_is_named(tmp_path: Path, seaweed: Seaweed) -> None:
    until = SystemClock().now() + KEEP
    plain: Any = {"bucket": PLAIN, "identity": ADMIN}
    with pytest.raises(StorageError, match="cannot be a vault") as caught:
        s3_vault(tmp_path / "a", seaweed, **plain).place(NAME, until)
    assert "allow_unlocked_bucket: plain" in str(caught.value.do)
    with pytest.raises(StorageError, match="cannot be a vault"):
        s3_vault(tmp_path / "b", seaweed, **plain, allow_unlocked_bucket="other").place(NAME, until)
    vault = s3_vault(tmp_path / "c", seaweed, **plain, allow_unlocked_bucket=PLAIN)
    assert vault.place(NAME, until).immutability.startswith("none: ")
    put(vault)
    stored = vault.stored(NAME)
    assert stored is not None
    assert (stored.mode, stored.retain_until) == ("none", None)
    assert vault.set_legal_hold(NAME, ["HOLD-1"]).startswith("register only: ")
    back = vault.read_back(NAME, tmp_path / "back", recorded=stored)
    assert (back.faults, back.unreadable) == ((), ())
    assert any("nothing keeps the package" in note for note in back.notes)


def test_a_bucket_that_is_versioned_but_not_locked_is_refused(tmp_path: Path, seaweed: Seaweed) -> None:
    admin = seaweed.client(ADMIN)
    admin.create_bucket(Bucket="versioned")
    admin.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    with pytest.raises(StorageError) as caught:
        s3_vault(tmp_path, seaweed, bucket="versioned", identity=ADMIN).place(NAME, SystemClock().now())
    assert "no Object Lock" in str(caught.value.why)


@pytest.mark.parametrize(
    ("changes", "why", "do"),
    [
        ({"secret": "wrong-secret"}, "the secret key is wrong", "evidence.vault.secret_key"),
        ({"identity": "nobody"}, "does not know the access key", "evidence.vault.access_key"),
        ({"bucket": "no-such-bucket", "identity": ADMIN}, "there is no such bucket", "evidence.vault.bucket"),
        ({"bucket": PLAIN}, "the identity may not do this", "s3:PutObject"),
        ({"endpoint": "http://127.0.0.1:9", "attempts": 1}, "cannot be reached", "evidence.vault.endpoint"),
    ],
)
def test_each_refusal_says_why_and_what_to_do(
    changes: dict[str, Any], why: str, do: str, tmp_path: Path, seaweed: Seaweed
) -> None:
    with pytest.raises(StorageError) as caught:
        s3_vault(tmp_path, seaweed, **changes).place(NAME, SystemClock().now())
    assert why in str(caught.value.why)
    assert do in str(caught.value.do)
    assert secret_of(WRITER) not in str(caught.value)


def test_who_may_only_read_cannot_put_a_package(tmp_path: Path, seaweed: Seaweed) -> None:
    vault = s3_vault(tmp_path, seaweed, identity=READER)
    with pytest.raises(StorageError) as caught:
        put(vault)
    assert "the identity may not do this" in str(caught.value.why)
    assert vault.find(NAME) is None


def test_a_store_without_an_encryption_key_is_named_as_the_reason(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with run_seaweed(tmp_path / "store", encryption=False) as store:
        with pytest.raises(StorageError) as caught:
            put(s3_vault(tmp_path / "a", store, attempts=1))
        assert "without an encryption key" in str(caught.value.why)
        assert "encryption: bucket" in str(caught.value.do)
        vault = s3_vault(tmp_path / "b", store, encryption="bucket")
        put(vault)
        stored = vault.stored(NAME)
        assert stored is not None
        assert json.loads(stored.model_dump_json())["encryption"] == "none stated"


def test_when_nobody_can_tell_whether_the_marker_was_put_the_outcome_is_unknown(
    tmp_path: Path, seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = s3_vault(tmp_path, seaweed)
    staged = fill(vault.stage(NAME))

    def lose(**about: Any) -> Any:
        if about["Key"].endswith(".complete.json"):
            monkeypatch.setattr(vault.bucket.client, "get_paginator", fail)
            fail()
        return real(**about)

    def fail(*_: Any) -> Any:
        raise ReadTimeoutError(endpoint_url=seaweed.endpoint)

    real = vault.bucket.writer.put_object
    monkeypatch.setattr(vault.bucket.writer, "put_object", lose)
    with pytest.raises(UnknownOutcomeError):
        vault.commit(staged, NAME, retain_until=SystemClock().now() + KEEP)
    monkeypatch.undo()
    assert vault.find(NAME) is None
    vault.commit(staged, NAME, retain_until=SystemClock().now() + KEEP)
    assert vault.find(NAME)
