"""Locks between processes of one machine. The kernel lets go of them when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from snaphold.errors import BusyError, StorageError

_LOOK_SECONDS = 0.002


@contextmanager
def exclusively(path: Path) -> Generator[None, None, None]:
    """Hold the lock file for the length of the block; waits for its turn. Raises StorageError when it cannot be made."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def sole_driver(path: Path, what: str) -> Generator[None, None, None]:
    """Hold the lock file for the length of the block, or raise BusyError at once when a live process holds it."""
    descriptor = _open(path)
    try:
        try:
            _hold_alone(descriptor)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise BusyError(
                f"{what} is being driven by a live process",
                f"process {holder or 'unknown'} holds {path}",
                "wait for it, or stop it; snaphold runs show tells where the run stands",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _hold_alone(descriptor: int) -> None:
    """Lock for this process alone; raise BlockingIOError when another one does. Who only looks shares it, for a moment."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # fails when somebody has it alone
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(_LOOK_SECONDS)
        else:
            return


def is_held(path: Path) -> bool:
    """Return whether a live process holds the lock file. False when there is none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"the lock {path} cannot be opened", error.strerror) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"the lock {path} cannot be made", error.strerror, "check the state folder") from error
