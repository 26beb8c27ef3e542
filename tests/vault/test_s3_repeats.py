"""When a put is repeated: never before the key was looked up, never after an answer that is a refusal."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from snaphold.errors import StorageError
from snaphold.vault import s3_transfer
from snaphold.vault.s3_client import Bucket
from snaphold.vault.s3_transfer import put_file
from snaphold.vault.settings import VaultSettings

CONTENT = b"evidence"


class Store:
    """A bucket in memory without a lock; `faults` are raised by the next puts, after or before they took effect."""

    def __init__(self) -> None:
        self.versions: list[tuple[bytes, dict[str, str]]] = []
        self.faults: list[tuple[Exception, bool]] = []
        self.puts = 0

    def head_object(self, **_: Any) -> dict[str, Any]:
        if not self.versions:
            raise refusal("404", 404, "HeadObject")
        content, metadata = self.versions[-1]
        return {"Metadata": metadata, "ContentLength": len(content), "VersionId": str(len(self.versions))}

    def put_object(self, **about: Any) -> None:
        self.puts += 1
        fault, acted = self.faults.pop(0) if self.faults else (None, True)
        if acted:
            self.versions.append((about["Body"], about["Metadata"]))
        if fault:
            raise fault

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": Stream(self.versions[-1][0])}


class Stream(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        return iter(lambda: self.read(size), b"")


def refusal(code: str, status: int, operation: str = "PutObject") -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(s3_transfer, "_FIRST_PAUSE_SECONDS", 0)
    return Store()


def send(store: Store, folder: Path) -> s3_transfer.Sent:
    path = folder / "file"
    path.write_bytes(CONTENT)
    client = cast("Any", store)
    settings = VaultSettings.model_validate({"kind": "s3", "bucket": "vault", "encryption": "bucket", "attempts": 3})
    return put_file(Bucket(settings, client, client), "key", path, "file", None)


@pytest.mark.parametrize("fault", [ReadTimeoutError(endpoint_url="x"), refusal("InternalError", 500)])
def test_a_put_whose_answer_got_lost_is_found_and_not_repeated(fault: Exception, store: Store, tmp_path: Path) -> None:
    store.faults = [(fault, True)]
    sent = send(store, tmp_path)
    assert (store.puts, len(store.versions)) == (1, 1)
    assert sent.object.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("fault", [ReadTimeoutError(endpoint_url="x"), refusal("SlowDown", 503)])
def test_a_put_that_did_not_arrive_is_repeated(fault: Exception, store: Store, tmp_path: Path) -> None:
    store.faults = [(fault, False)]
    send(store, tmp_path)
    assert (store.puts, len(store.versions)) == (2, 1)


def test_a_refusal_is_not_repeated(store: Store, tmp_path: Path) -> None:
    store.faults = [(refusal("AccessDenied", 403), False)]
    with pytest.raises(StorageError, match="cannot be put"):
        send(store, tmp_path)
    assert store.puts == 1


def test_a_put_that_succeeds_on_the_last_try_counts(store: Store, tmp_path: Path) -> None:
    store.faults = [(refusal("SlowDown", 503), False)] * 2
    send(store, tmp_path)
    assert (store.puts, len(store.versions)) == (3, 1)


def test_after_all_attempts_the_last_refusal_is_told(store: Store, tmp_path: Path) -> None:
    store.faults = [(refusal("SlowDown", 503), False)] * 3
    with pytest.raises(StorageError) as caught:
        send(store, tmp_path)
    assert "fewer requests" in str(caught.value.why)
