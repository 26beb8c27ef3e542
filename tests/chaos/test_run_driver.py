"""The one process that drives the runs of a file is killed at random points: the next one goes on, and nothing starts twice."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from snaphold.engine.run import RunStatus
from snaphold.ledger.entry import Event
from snaphold.ledger.verify import verify_ledger
from support.worker_lab import WorkerLab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RUNS, ASSETS, KILLS = 6, 8, 4
LONG_LEASE_SECONDS = 600
"""So that only the death itself can be what frees the runs."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[WorkerLab]:
    made = WorkerLab(tmp_path, seed=20261123, lease=LONG_LEASE_SECONDS)
    yield made
    made.stop()


def good(message: bytes, signature: str, at: datetime) -> None:
    """Accept every signature."""


def test_runs_in_a_file_survive_a_driver_that_dies_at_random_points(lab: WorkerLab) -> None:
    lab.register(RUNS, ASSETS)
    lab.keep(1, kills=KILLS)
    keys = lab.keys
    assert {run.status for run in lab.runs()} == {RunStatus.DONE}, [(run.id, run.why) for run in lab.runs()] + [lab.log()]
    assert len(lab.killed()) == KILLS
    starts = lab.world.lab.vendor.starts()
    assert (len(starts), sorted(set(starts))) == (len(keys), sorted(keys))
    entries = lab.runtime.ledger.entries()
    settled = collections.Counter(one.key for one in entries if one.event is Event.OUTCOME and one.action == "lab.start")
    assert settled == collections.Counter(keys)
    assert any(one.action == "run.orphan" for one in entries)
    assert verify_ledger(lab.runtime.ledger, good).faults == []
    times = lab.takeovers()
    spread = f"{times[0]:.1f} to {times[-1]:.1f} s" if times else "no measured time"
    print(f"\n{len(times)} runs taken over after {spread}; {len(starts)} starts")
