"""Real processes race for the same keys and die by SIGKILL: before the call, after the effect."""

from __future__ import annotations

import collections
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from snaphold.clock import FixedClock
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event
from snaphold.ledger.verify import verify_ledger
from support.ledgers import NOW
from support.toy_actions import FileVendor

TESTS = Path(__file__).resolve().parents[1]
KEYS = 100
WORKERS = 4
MOST_LAUNCHES = 400


def launch(folder: Path, seed: int, deaths: float) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent / "integrations")))
    argv = [sys.executable, "-m", "support.race", str(folder), str(KEYS), str(seed), str(deaths)]
    return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": paths})


@pytest.mark.slow
@pytest.mark.parametrize("deaths", [0.0, 0.03])
def test_whatever_dies_every_key_starts_once(tmp_path: Path, deaths: float) -> None:
    seeds = iter(range(MOST_LAUNCHES))
    running = [launch(tmp_path, next(seeds), deaths) for _ in range(WORKERS)]
    kills = 0
    while running:
        worker = running.pop(0)
        code = worker.wait(240)
        if code != 0:
            assert code == -9, "a worker may only end well or be killed"
            kills += 1
            running.append(launch(tmp_path, next(seeds), deaths))
    ledger = DatabaseLedger(tmp_path / "ledger.sqlite", FixedClock(NOW))
    starts = FileVendor(tmp_path / "starts").starts()
    assert len(starts) == len(set(starts)) == KEYS
    entries = ledger.entries()
    settled = collections.Counter(entry.key for entry in entries if entry.event is Event.OUTCOME)
    assert set(settled.values()) == {1}
    assert len(settled) == KEYS
    taken_over = sum(entry.event is Event.TAKEN_OVER for entry in entries)
    assert (taken_over > 0) == (deaths > 0)
    assert taken_over == kills
    assert verify_ledger(ledger, good).faults == []


def good(message: bytes, signature: str, at: datetime) -> None:
    """Accept every signature."""
