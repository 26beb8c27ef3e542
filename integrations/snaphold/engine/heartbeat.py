"""A worker's heartbeat: it says again and again that it lives, and stops the process when it could not say so in time.

The process stops before the others may take its runs, so that two never act at once. Only a machine that stands still
can be late; the fence of the ledger, and the look-up of keys at the vendor, are for that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from snaphold.clock import Clock
from snaphold.engine.workers import beat
from snaphold.errors import LedgerError, StorageError
from snaphold.ledger.connection import SqliteStore
from snaphold.ledger.postgresql import connect_to, parse_url, told
from snaphold.runtime import Runtime

log = logging.getLogger(__name__)
BEATS_IN_A_LEASE = 5
SHARE_OF_THE_LEASE = 0.8
"""After this share of its lease without a sign of life a worker counts as lost for itself."""


class Pulse(Protocol):
    """A connection of its own to the ledger: whatever keeps the others busy must not keep this one waiting."""

    def say(self, worker: str, lease: timedelta) -> bool:
        """Say that a worker lives; return False when it was given up. Raises LedgerError or StorageError."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def pulse_of(runtime: Runtime, lease: timedelta) -> Pulse:
    """Return the pulse of a worker on the runtime's ledger, which waits no longer than until the next beat is due."""
    store, seconds = runtime.ledger.store, max(1, round(lease.total_seconds() / BEATS_IN_A_LEASE))
    if isinstance(store, SqliteStore):
        return _FilePulse(SqliteStore(store.path, busy_seconds=seconds), runtime.clock)
    return _PostgresPulse(runtime.configuration.database_url(), seconds)


class _PostgresPulse:
    def __init__(self, url: str, seconds: int) -> None:
        self._place = parse_url(url).render_as_string(hide_password=True)
        self._engine = connect_to(parse_url(url), 1, statement_timeout=seconds * 1000)

    def say(self, worker: str, lease: timedelta) -> bool:
        with told(self._place), self._engine.begin() as connection:
            now = connection.exec_driver_sql("select clock_timestamp()").scalar_one()
            return beat(connection, worker, lease, now)

    def close(self) -> None:
        self._engine.dispose()


class _FilePulse:
    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def say(self, worker: str, lease: timedelta) -> bool:
        with self._store.writing() as connection:
            return beat(connection, worker, lease, self._clock.now())

    def close(self) -> None:
        self._store.close()


class Heartbeat:
    """Two threads: one says that the worker lives, the other watches how long ago that was."""

    def __init__(self, pulse: Pulse, worker: str, lease: timedelta, lost: Callable[[str], None]) -> None:
        """Begin. `lost` is called once, with the reason, when the worker may not act any more."""
        self._pulse = pulse
        self._worker = worker
        self._lease = lease
        self._lost = lost
        self._stopping = threading.Event()
        self._said = time.monotonic()
        self._threads = [threading.Thread(target=each, daemon=True, name=each.__name__) for each in (self._beat, self._watch)]
        for thread in self._threads:
            thread.start()

    @property
    def late(self) -> bool:
        """Whether the last sign of life is too long ago for this process to act."""
        return time.monotonic() - self._said > self._lease.total_seconds() * SHARE_OF_THE_LEASE

    def stop(self) -> None:
        """End; nothing is called any more."""
        self._stopping.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(self._lease.total_seconds())
        self._pulse.close()

    def _beat(self) -> None:
        pause = self._lease.total_seconds() / BEATS_IN_A_LEASE
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                alive = self._pulse.say(self._worker, self._lease)
            except (LedgerError, StorageError) as error:
                log.warning("%s: no sign of life could be given: %s", self._worker, error.why)
                continue
            if not alive:
                self._give_up("the other workers have given it up: it did not say in time that it lives")
                return
            self._said = began

    def _watch(self) -> None:
        while not self._stopping.wait(self._lease.total_seconds() / 50):
            if self.late:
                self._give_up("the database was out of reach, or this process stood still, for too long")
                return

    def _give_up(self, why: str) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self._lost(why)
