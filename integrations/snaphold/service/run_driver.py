"""Keeps the process that drives the runs of a ledger in a file: begins it, wakes it, begins it again when it ends, stops it."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from snaphold.engine.worker import GRACE_SECONDS

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0
"""After an end that came soon the next beginning waits, twice as long each time."""
LONG_ENOUGH_SECONDS = 60.0
"""A process that worked for so long did not end for a reason that is there from the start."""
DOWN_SECONDS = 15.0
"""So long nothing may drive the runs before the service says that it is not ready."""
log = logging.getLogger(__name__)


class RunDriver:
    """The process that drives runs, `python -m snaphold.service.drive_runs`, and the thread that watches it."""

    def __init__(self, config: Path, *, quiet: bool = False) -> None:
        """`quiet`: it logs only what went wrong. Nothing begins before `open`."""
        self._words = [sys.executable, "-m", "snaphold.service.drive_runs", str(config), *(["--quiet"] if quiet else [])]
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._down_since: float | None = time.monotonic()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="keeper of the run driver")

    @property
    def process(self) -> int | None:
        """The number of the process, when there is one now."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    @property
    def is_down(self) -> bool:
        """Whether nothing has driven the runs for too long."""
        since = self._down_since
        return since is not None and time.monotonic() - since > DOWN_SECONDS

    def open(self) -> None:
        """Begin it."""
        self._thread.start()

    def ring(self) -> None:
        """Have it look for runs now. When it is not there it looks by itself as soon as it is."""
        child = self._child
        if child is not None and child.stdin is not None:
            with contextlib.suppress(OSError, ValueError):  # it has ended; or the pipe is full, and it has calls enough
                os.write(child.stdin.fileno(), b"\n")

    def leave(self) -> None:
        """Have it leave its runs at their next step and end; do not wait."""
        self._closing.set()
        with self._lock:
            if self._child is not None:
                self._child.terminate()

    def close(self) -> None:
        """Have it end in order, and wait for that; one that does not end in time is killed."""
        self.leave()
        if not self._thread.ident:
            return
        self._thread.join(GRACE_SECONDS + LONGEST_WAIT_SECONDS)
        with self._lock:
            if self._child is not None and self._child.poll() is None:
                log.error("the process that drives runs did not end in time and is killed; its runs go on with the next service")
                self._child.kill()
        self._thread.join()

    def _keep(self) -> None:
        wait = FIRST_WAIT_SECONDS
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                code = self._live()
            except OSError as error:
                log.error("the process that drives runs cannot be started: %s", error.strerror)
                code = None
            if self._closing.is_set():
                return
            self._down_since = self._down_since or time.monotonic()
            wait = FIRST_WAIT_SECONDS if time.monotonic() - began > LONG_ENOUGH_SECONDS else wait
            if code is not None:
                log.warning("the process that drives runs ended with %d; it is started again, and its runs go on", code)
            self._closing.wait(wait)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    def _live(self) -> int:
        with self._lock:
            if self._closing.is_set():
                return 0
            # A session of its own: Ctrl-C in a terminal is for the service, which then ends this one in order.
            child = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0
            )  # fmt: skip
            self._child = child
        with child:
            if child.stdin is None or child.stdout is None:
                raise OSError(None, "it has no pipes")
            os.set_blocking(child.stdin.fileno(), False)
            if child.stdout.readline():
                self._down_since = None
            return child.wait()
