"""Waiting for what another process does: by what it did, never by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

# What waits for this long is stuck: the machine may be busy with other tests.
PATIENCE_SECONDS = 240.0


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the condition holds; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"this did not come true in {seconds:g} s"
        time.sleep(0.02)


def has_ended(process: int) -> bool:
    """Return whether a process has ended (one that nobody has waited for counts as ended).

    A kill is a request: the call returns before the process is gone, so a test waits for this after it.
    """
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return True
