"""A file share, keys and one pool per engine in a folder: enough configuration for real backups."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import SystemClock
from snaphold.config import Configuration, Pool
from snaphold.domain.asset import Asset
from snaphold.providers.base import BackupOrder, JobState, JobStatus, Provider
from snaphold.providers.registry import open_provider
from support.needs import missing, need_program

INCIDENT = "INC-1"
PASSWORD = "correct-horse-battery"
KEY = "INC-1/snapshot_wave.start/files-01/1"
LONGEST_WAIT_SECONDS = 240.0
ENGINES = ("restic", "rclone")


@dataclass(frozen=True)
class Site:
    """A folder with a share, a password file and one pool."""

    folder: Path
    configuration: Configuration

    @property
    def share(self) -> Path:
        """The folder that is backed up."""
        return self.folder / "share"

    @property
    def pool(self) -> Pool:
        """The pool."""
        return self.configuration.pools[0]

    @property
    def repository(self) -> Path:
        """The incident's repository."""
        return self.configuration.path(self.pool.location) / INCIDENT

    @property
    def asset(self) -> Asset:
        """The share as an asset."""
        return next(asset for asset in self.configuration.assets if asset.id == "files-01")

    def provider(self, **pool: Any) -> Provider:
        """Return the provider; `pool` changes settings of the pool."""
        return open_provider(self.pool.model_copy(update=pool), self.configuration, INCIDENT, SystemClock())

    def order(self, provider: Provider, key: str = KEY) -> BackupOrder:
        """Return an order for a backup of the share."""
        return BackupOrder(key=key, incident=INCIDENT, workload=provider.find_workload(self.asset), tags={"tier": "T1"})

    def back_up(self, provider: Provider | None = None, key: str = KEY) -> JobStatus:
        """Back up the share and return how the job ended."""
        provider = provider or self.provider()
        return finish(provider, provider.start(self.order(provider, key)))


def finish(provider: Provider, job: str, seconds: float = LONGEST_WAIT_SECONDS) -> JobStatus:
    """Wait until a job has ended and return its status."""
    until = time.monotonic() + seconds
    while (status := provider.status(job)).state is JobState.RUNNING:
        assert time.monotonic() < until, f"{job} did not end"
        time.sleep(0.05)
    return status


def make_site(folder: Path, engine: str, *, document: Mapping[str, Any] | None = None, fresh: bool = False, **pool: Any) -> Site:
    """Return a site whose pool uses `engine`; the share holds a few files of every kind.

    Making a restic repository takes seconds: unless `fresh`, or the pool is elsewhere, one that was made before is copied.
    """
    if engine == "restic":
        need_program("restic")
    (folder / "keys").mkdir(parents=True)
    secret = folder / "keys/pool"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    fill_share(folder / "share")
    fields: dict[str, Any] = {
        "organisation": {"name": "Example Ltd"},
        "tiers": [{"id": "T1", "level": 1, "impact": "Slow.", "rto": "8h", "rpo": "4h"}],
        "assets": [{"id": "files-01", "kind": "file-share", "tier": "T1", "owner": "office", "protection": {"paths": ["share"]}}],
        "pools": [
            {
                "name": "isolated-01",
                "provider": engine,
                "location": "pools/one",
                "password": "file:keys/pool",
                "reserve": 0,
                **pool,
            }
        ],
        "people": [{"id": "ana", "name": "Ana Ruiz", "logins": ["ana"]}],
        **(document or {}),
    }
    site = Site(folder, Configuration.model_validate(fields).placed_at(folder))
    if engine == "restic" and not fresh and "location" not in pool:
        shutil.copytree(_restic_repository(), site.repository)
    return site


@cache
def _restic_repository() -> Path:
    """Return an empty restic repository, made once in this process."""
    folder = Path(tempfile.mkdtemp(prefix="snaphold-restic-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(
        ["restic", "--no-cache", "-r", str(folder / "repository"), "init"],
        env={**os.environ, "RESTIC_PASSWORD": PASSWORD}, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "repository"


def fill_share(share: Path) -> None:
    """Make files, a folder without files, a link, a name that is not UTF-8, and modes and times worth keeping."""
    (share / "empty").mkdir(parents=True)
    (share / "deep/er").mkdir(parents=True)
    (share / "a.txt").write_text("hello\n")
    (share / "deep/er/b.bin").write_bytes(bytes(range(256)) * 300)
    (share / "deep/line\nbreak, comma").write_text("odd name")
    Path(os.fsdecode(os.fsencode(share) + b"/caf\xe9")).write_text("latin name")
    (share / "link").symlink_to("a.txt")
    (share / "dangling").symlink_to("nowhere")
    (share / "a.txt").chmod(0o640)
    os.utime(share / "a.txt", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))


def contents(root: Path) -> dict[bytes, tuple[str, bytes, int, int]]:
    """Return kind, content, mode and modification time of everything below a folder, by path."""
    found: dict[bytes, tuple[str, bytes, int, int]] = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            relative = os.path.relpath(path, os.fsencode(root))
            if os.path.islink(path):
                found[relative] = ("link", os.readlink(path), 0, 0)
            elif os.path.isdir(path):
                found[relative] = ("folder", b"", status.st_mode, status.st_mtime_ns)
            else:
                found[relative] = ("file", Path(os.fsdecode(path)).read_bytes(), status.st_mode, status.st_mtime_ns)
    return found


def engine_wrapper(folder: Path, engine: str, before: str = "", prefix: str = "") -> str:
    """Return a program that runs shell lines `before` the real engine, which is started through `prefix`."""
    script = folder / f"wrapped-{engine}"
    real = real_engine(engine)
    script.write_text(f'#!/bin/sh\n{before}\nexec {prefix} {real} "$@"\n')
    script.chmod(0o755)
    return str(script)


def real_engine(engine: str) -> str:
    """Return the engine's program."""
    import sys

    found = shutil.which(engine) or shutil.which(engine, path=str(Path(sys.executable).parent))
    if found is None:
        missing(f"the program {engine} is not installed")
    return str(found)


@contextlib.contextmanager
def small_storage(folder: Path, size: str) -> Generator[Path]:
    """Mount a memory file system of a size on a new folder; needs root."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        missing(f"a memory file system cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def flip_byte(file: Path, at: int = -1) -> None:
    """Change one byte of a file; the middle one when no place is given."""
    data = bytearray(file.read_bytes())
    place = len(data) // 2 if at < 0 else at
    data[place] ^= 0xFF
    file.chmod(0o600)
    file.write_bytes(bytes(data))
