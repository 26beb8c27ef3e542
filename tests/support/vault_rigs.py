"""Vaults on which the conformance suite runs, and packages to put into them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from snaphold.clock import Clock, SystemClock
from snaphold.config import Configuration
from snaphold.evidence.signature import create_key
from snaphold.evidence.trust import write_trust
from snaphold.vault.base import Vault
from snaphold.vault.registry import open_vault
from snaphold.vault.s3 import S3Vault
from support.ledgers import configure
from support.seaweed import VAULT, WRITER, Seaweed, secret_of

KEEP = timedelta(minutes=10)
"""No test lasts so long: what must be locked is not let go of on a busy machine."""
NAME = "EV-INC-1-0a1b2c3d"
FILES = {
    "bagit.txt": b"BagIt-Version: 1.0\n", "data/E0001.bin": b"payload " * 1000, "metadata/evidence.json": b"{}\n",
    "custody/custody.jsonl": b"",
}  # fmt: skip


def s3_settings(store: Seaweed, **changes: Any) -> dict[str, Any]:
    """Return the section evidence.vault for a store; secrets go through files so that nothing global is set."""
    identity = changes.pop("identity", WRITER)
    secret = changes.pop("secret", "") or secret_of(identity)
    return {
        "kind": "s3", "bucket": VAULT, "prefix": changes.pop("prefix", "") or store.prefix(), "endpoint": store.endpoint,
        "path_style": True, "access_key": f"command:echo {identity}", "secret_key": f"command:echo {secret}",
        "keep": "10m", "connect_timeout": "240s", "read_timeout": "240s", "attempts": 5, "part_size_mib": 5, **changes,
    }  # fmt: skip


def s3_configuration(folder: Path, store: Seaweed, **changes: Any) -> Configuration:
    """Return a configuration whose vault is a bucket of the store."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = configure(folder, sign=False, evidence={"vault": s3_settings(store, **changes)})
    # Valid whenever the tests run: markers carry the real time.
    write_trust(configuration, create_key(folder / "keys/custodian"), datetime(2020, 1, 1, tzinfo=timezone.utc))
    return configuration


def s3_vault(folder: Path, store: Seaweed, clock: Clock | None = None, **changes: Any) -> S3Vault:
    """Return a vault in the store; keys start with a prefix of its own unless one is given."""
    vault = open_vault(s3_configuration(folder, store, **changes), clock or SystemClock())
    assert isinstance(vault, S3Vault)
    return vault


def fill(staged: Path, files: dict[str, bytes] | None = None) -> Path:
    """Write the files of a small package; return the folder."""
    for name, content in (files or FILES).items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_bytes(content)
    return staged


def put(vault: Vault, name: str = NAME, files: dict[str, bytes] | None = None, keep: timedelta = KEEP) -> Path:
    """Put a small package; return its path here."""
    return vault.commit(fill(vault.stage(name), files), name, retain_until=SystemClock().now() + keep)
