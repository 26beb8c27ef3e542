"""Lets two jobs of one incident make its repository once: a race would leave one with two master keys."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager

from snaphold.errors import StorageError, TimedOutError
from snaphold.providers.place import RepositoryPlace

WAIT_SECONDS = 120.0
_POLL_SECONDS = 0.1


@contextmanager
def repository_made_once(place: RepositoryPlace) -> Generator[None, None, None]:
    """Hold the pool's lock for making this incident's repository. Raises TimedOutError after two minutes."""
    path = place.pool_folder / f".{place.incident}.making"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"the pool's folder {place.pool_folder} cannot be written", error.strerror) from error
    try:
        _wait(descriptor, place)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, place: RepositoryPlace) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise TimedOutError(f"another job is making the repository {place.repository}") from error
            time.sleep(_POLL_SECONDS)
        else:
            return
