"""Workers on one PostgreSQL that are killed, stopped or cut off: their runs go on elsewhere, and nothing starts twice."""

from __future__ import annotations

import collections
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from snaphold.engine.run import RunStatus
from snaphold.ledger.entry import Event
from snaphold.ledger.verify import verify_ledger
from support.cut_wire import CutWire
from support.postgres import Postgres, run_postgres
from support.waiting import wait_for
from support.worker_lab import HELD, LONGEST_SECONDS, WorkerLab, plan_for, register_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RUNS, ASSETS, KILLS = 20, 10, 7
LONG_LEASE_SECONDS = 20
"""For tests with one worker that must not end because a busy machine let it stand still."""


@pytest.fixture
def lab(tmp_path: Path, postgres: Postgres) -> Iterator[WorkerLab]:
    made = WorkerLab(tmp_path, postgres.url(postgres.create(postgres.prepared)), seed=20261122)
    yield made
    made.stop()


def good(message: bytes, signature: str, at: datetime) -> None:
    """Accept every signature."""


def check(lab: WorkerLab, keys: list[str]) -> None:
    """Every run is done, every key started once and was settled once, and the audit trail holds."""
    assert {run.status for run in lab.runs()} == {RunStatus.DONE}, [(run.id, run.why) for run in lab.runs()] + [lab.log()]
    starts = lab.world.lab.vendor.starts()
    assert (len(starts), sorted(set(starts))) == (len(keys), sorted(keys))
    entries = lab.runtime.ledger.entries()
    settled = collections.Counter(one.key for one in entries if one.event is Event.OUTCOME and one.action == "lab.start")
    assert settled == collections.Counter(keys)
    assert verify_ledger(lab.runtime.ledger, good).faults == []


def until(what: Callable[[], bool], lab: WorkerLab) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not what():
        assert time.monotonic() < deadline, lab.log()
        time.sleep(0.05)


def tell(lab: WorkerLab, what: str, began: float) -> None:
    """Print what was measured; it is no part of any claim."""
    times = lab.takeovers()
    spread = f"{times[0]:.1f} to {times[-1]:.1f} s, median {times[len(times) // 2]:.1f} s" if times else "none"
    print(f"\n{what}: {len(lab.killed())} workers killed, {len(times)} runs taken over after {spread}; "
          f"{len(lab.world.lab.vendor.starts())} starts, {time.monotonic() - began:.0f} s in all")  # fmt: skip


def test_two_hundred_assets_survive_workers_that_die_at_random_points(lab: WorkerLab) -> None:
    began = time.monotonic()
    lab.register(RUNS, ASSETS)
    lab.keep(3, kills=KILLS)
    check(lab, lab.keys)
    assert len(lab.killed()) == KILLS
    wait_for(lambda: all(child.died for child in lab.killed()))
    assert lab.takeovers()
    tell(lab, "killed at random points", began)


def test_two_hundred_assets_survive_a_restart_of_postgresql_itself(tmp_path: Path) -> None:
    began = time.monotonic()
    with run_postgres() as server:
        lab = WorkerLab(tmp_path, server.url(server.create(server.prepared)), seed=42)
        restarts = [(40, signal.SIGINT), (110, signal.SIGQUIT)]

        def restart() -> bool:
            if restarts and len(lab.world.lab.vendor.starts()) >= restarts[0][0]:
                server.stop(restarts.pop(0)[1])
                time.sleep(0.5)
                server.start()
            return bool(restarts)

        try:
            lab.register(RUNS, ASSETS)
            lab.keep(3, kills=2, during=restart)
            check(lab, lab.keys)
            assert restarts == []
            tell(lab, "killed, and PostgreSQL restarted twice", began)
        finally:
            lab.stop()


def test_a_worker_that_stood_still_writes_nothing_when_it_wakes_up(lab: WorkerLab) -> None:
    lab.lease = LONG_LEASE_SECONDS
    register_run(lab.runtime, plan_for(1, [HELD]))
    keys = [f"INC-1/trial.each.go/{HELD}/1"]
    first = lab.launch()
    until(lambda: lab.world.lab.vendor.starts() == keys, lab)
    first.process.send_signal(signal.SIGSTOP)
    lab.launch()
    until(lambda: lab.runs()[0].has_ended, lab)
    before = lab.runtime.ledger.entries()
    (lab.folder / "release").touch()
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(LONGEST_SECONDS) == 1, "it finds out that it was given up, and ends"
    assert lab.runtime.ledger.entries() == before
    check(lab, keys)


def test_a_worker_that_loses_its_database_ends_and_its_run_goes_on_elsewhere(lab: WorkerLab) -> None:
    lab.lease = LONG_LEASE_SECONDS
    register_run(lab.runtime, plan_for(1, [HELD]))
    keys = [f"INC-1/trial.each.go/{HELD}/1"]
    with CutWire(lab.url) as wire:
        first = lab.launch(url=wire.url)
        until(lambda: lab.world.lab.vendor.starts() == keys, lab)
        wire.cut()
        assert first.process.wait(LONGEST_SECONDS) == 1
    lab.launch()
    until(lambda: lab.runs()[0].has_ended, lab)
    check(lab, keys)
