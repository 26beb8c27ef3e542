"""Whether the service can do its work now: the database answers, the state folder takes a file, runs are driven.

A load balancer asks often, and nobody needs a token for it. So at most one look is made at a time, and the answer says
what is wrong, but no address and no path; the log has them.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from datetime import timedelta
from pathlib import Path

from snaphold.clock import format_time
from snaphold.errors import SnapholdError, StorageError
from snaphold.ledger.chain import head_of, time_of_last
from snaphold.runtime import Runtime
from snaphold.secrets import redact
from snaphold.service.run_driver import RunDriver
from snaphold.vault.local import storage_errors

LEAST_FREE_BYTES = 64 * 1024 * 1024
LONGEST_LOOK_SECONDS = 5.0
"""A database that is out of reach is not waited for longer."""
_PROBE_BYTES = 4096
_DATABASE = "the database cannot be used"
MOST_BACKWARDS = timedelta(seconds=60)
log = logging.getLogger(__name__)


class Readiness:
    """Looks whether the service is ready."""

    def __init__(self, runtime: Runtime, driver: RunDriver | None = None) -> None:
        """`driver`: the process that drives runs, when it belongs to the service."""
        self._runtime = runtime
        self._driver = driver
        self._lock = threading.Lock()
        self._looking: threading.Thread | None = None
        self._faults: list[str] = []

    def faults(self) -> list[str]:
        """Return what keeps the service from working, in words for everybody; empty when it is ready."""
        with self._lock:
            if self._looking is None or not self._looking.is_alive():
                self._looking = threading.Thread(target=self._look, daemon=True, name="readiness")
                self._looking.start()
            look = self._looking
        look.join(LONGEST_LOOK_SECONDS)
        return ["the database does not answer in time"] if look.is_alive() else list(self._faults)

    def _look(self) -> None:
        found: list[str] = []
        checks = ((_DATABASE, self._database), ("the clock went back", self._clock), ("the disk is full or fails", self._disk))
        for name, check in checks:
            if check == self._clock and _DATABASE in found:
                continue  # the last entry is in it
            try:
                check()
            except SnapholdError as error:
                log.warning("not ready: %s", redact(str(error)))
                found.append(name)
        if self._driver is not None and self._driver.is_down:
            found.append("nothing drives the runs")
        self._faults = found

    def _database(self) -> None:
        with self._runtime.ledger.reading() as connection:
            head_of(connection)

    def _clock(self) -> None:
        """A clock that went back gives entries that seem older than those before, and keeps leases and holds too long."""
        ledger = self._runtime.ledger
        with ledger.reading() as connection:
            last, now = time_of_last(connection), ledger.now(connection)
        if last is not None and last - now > MOST_BACKWARDS:
            raise StorageError(
                "the clock went back", f"the ledger's last entry is of {format_time(last)}, and now it is {format_time(now)}",
                "set the clock right (chronyc tracking, timedatectl); nothing that is written is lost",
            )  # fmt: skip

    def _disk(self) -> None:
        folder = self._runtime.configuration.state_folder
        with storage_errors(f"{folder} cannot be written to"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_probe(folder / f".readiness.{os.getpid()}")
            free = shutil.disk_usage(folder).free
        if free < LEAST_FREE_BYTES:
            raise StorageError(f"{folder} is nearly full", f"{free} bytes are free, {LEAST_FREE_BYTES} is the least", "free some")


def _write_probe(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"\0" * _PROBE_BYTES)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
