"""Who drives which run: takes, fences, lost workers, two that sweep at once, wake-up calls."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.authority import Hold
from snaphold.engine import tenures, workers
from snaphold.engine.leaving import RunLeftError
from snaphold.engine.local_workers import is_gone, life_of
from snaphold.engine.tenures import State, Taken, WorkerState
from snaphold.errors import BusyError, InputError, LedgerError
from snaphold.ledger.connection import SqliteStore
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import canonical, digest
from snaphold.ledger.ledger import ClaimState
from snaphold.ledger.postgresql import PostgresStore
from support.ledgers import NOW, note, outcome
from support.postgres import Postgres

LEASE = timedelta(seconds=15)


@pytest.fixture(params=["file", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[DatabaseLedger]:
    if request.param == "file":
        store = SqliteStore(tmp_path / "ledger.sqlite")
        store.engine.dialect.update_returning = False  # RHEL 9's SQLite has none
        opened = DatabaseLedger.on(store, clock)
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        opened = DatabaseLedger.on(PostgresStore(postgres.empty_ledger()), clock)
    with ExitStack() as lives:
        for id in ("w1", "w2"):
            lives.enter_context(life_of(opened, id))
            workers.register(opened, id, 4, LEASE)
        yield opened
    opened.close()


def want(ledger: DatabaseLedger, *runs: str, state: State = State.WANTED) -> None:
    for run in runs:
        with ledger.writing() as connection:
            tenures.add_tenure(connection, run, canonical({"run": run}), state, ledger.now(connection))


def take_next(ledger: DatabaseLedger, by: str) -> Taken | None:
    return next(iter(tenures.take_due(ledger, by, 1)), None)


def states(ledger: DatabaseLedger) -> dict[str, tuple[str, str | None, int]]:
    with ledger.reading() as connection:
        rows = connection.execute(tenures.tenure.select())
        return {row.run: (row.state, row.worker, row.fence) for row in rows}


def live(ledger: DatabaseLedger, id: str) -> bool:
    with ledger.writing() as connection:
        return workers.beat(connection, id, LEASE, ledger.now(connection))


def test_a_run_is_taken_once_oldest_first_and_carries_its_plan(ledger: DatabaseLedger, clock: FixedClock) -> None:
    want(ledger, "R1")
    clock.advance(1)
    want(ledger, "R2")
    first, second = take_next(ledger, "w1"), take_next(ledger, "w2")
    assert first is not None
    assert second is not None
    assert [(one.tenant.run, one.tenant.fence, one.worker) for one in (first, second)] == [("R1", 1, "w1"), ("R2", 1, "w2")]
    assert first.plan_sha256 == digest({"run": "R1"})
    assert take_next(ledger, "w1") is None
    assert tenures.driver_of(ledger, "R1") == "w1"


def test_several_are_taken_together_and_what_there_is_to_do_is_seen_without_taking(ledger: DatabaseLedger) -> None:
    assert tenures.look(ledger, "w1") == (False, False)
    want(ledger, "R1", "R2", "R3")
    assert tenures.look(ledger, "w1") == (True, False)
    assert [one.tenant.run for one in tenures.take_due(ledger, "w1", 2)] == ["R1", "R2"]
    assert [one.tenant.run for one in tenures.take_due(ledger, "w2", 2)] == ["R3"]
    tenures.wake(ledger, "R3")
    assert (tenures.look(ledger, "w1"), tenures.look(ledger, "w2")) == ((False, False), (False, True))


def test_many_that_take_at_once_share_the_runs(ledger: DatabaseLedger) -> None:
    want(ledger, *(f"R{number:02}" for number in range(12)))
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(take_next, [ledger] * 16, ["w1"] * 16))
    assert sorted(one.tenant.run for one in taken if one) == [f"R{number:02}" for number in range(12)]


def test_what_was_begun_is_taken_before_what_was_not(ledger: DatabaseLedger, clock: FixedClock) -> None:
    want(ledger, "R1", "R2")
    assert take_next(ledger, "w1") is not None
    clock.advance(20)
    live(ledger, "w2")
    workers.sweep(ledger)
    taken = take_next(ledger, "w2")
    assert taken is not None
    assert (taken.tenant.run, taken.tenant.fence) == ("R1", 2)


def test_a_worker_without_a_sign_of_life_loses_its_runs_and_can_write_nothing(ledger: DatabaseLedger, clock: FixedClock) -> None:
    want(ledger, "R1")
    stale = tenures.take(ledger, "R1", "w1")
    mine = ledger.guarded(tenures.guard_of(stale), stale.tenant.name)
    claim = mine.claim(note("k"), lease_seconds=900)
    clock.advance(15.1)
    assert live(ledger, "w2") is True
    assert [(one.run, one.worker, one.fence) for one in workers.sweep(ledger)] == [("R1", "w1", 1)]
    assert live(ledger, "w1") is False, "it learns that the others have given it up"
    before = ledger.entries()
    with pytest.raises(RunLeftError) as left:
        mine.settle(claim, outcome("k"), {}, [])
    assert isinstance(left.value.cause, LedgerError)
    for write in (lambda: mine.append(note()), lambda: mine.claim(note("k2"), lease_seconds=60)):
        with pytest.raises(RunLeftError):
            write()
    assert ledger.entries() == before
    fresh = tenures.take(ledger, "R1", "w2")
    with pytest.raises(RunLeftError):
        mine.append(note(), [hold()])
    owner = ledger.guarded(tenures.guard_of(fresh), fresh.tenant.name)
    again = owner.claim(note("k"), lease_seconds=900)
    assert (again.state, again.fence) == (ClaimState.TAKEN_OVER, 2), "without waiting for the end of its 15 minutes"
    owner.settle(again, outcome("k"), {"job": "J"}, [])
    assert [entry.action for entry in ledger.entries() if entry.event.value == "run"] == ["run.take", "run.orphan", "run.take"]


def hold() -> Hold:
    return Hold(
        id="HOLD-1", incident="I", subject="RP-1", subject_kind="restore_point", reason="r", placed_by="ana", placed_at=NOW
    )


def test_two_that_sweep_at_once_free_a_run_once(ledger: DatabaseLedger, clock: FixedClock) -> None:
    want(ledger, *(f"R{number}" for number in range(6)))
    for _ in range(6):
        take_next(ledger, "w1")
    clock.advance(20)
    with ThreadPoolExecutor(4) as pool:
        freed = [one for found in pool.map(workers.sweep, [ledger] * 8) for one in found]
    assert sorted(one.run for one in freed) == [f"R{number}" for number in range(6)]
    assert [entry.action for entry in ledger.entries()].count("run.orphan") == 6
    assert {line.state for line in workers.list_workers(ledger)} == {WorkerState.LOST.value}


def test_a_worker_that_lives_keeps_its_runs(ledger: DatabaseLedger, clock: FixedClock) -> None:
    want(ledger, "R1")
    take_next(ledger, "w1")
    for _ in range(4):
        clock.advance(14)
        assert live(ledger, "w1")
        assert workers.sweep(ledger) == [] or states(ledger)["R1"] == (State.DRIVEN.value, "w1", 1)
    assert states(ledger)["R1"] == (State.DRIVEN.value, "w1", 1)


def test_a_worker_that_is_overdue_or_stops_takes_nothing(ledger: DatabaseLedger, clock: FixedClock) -> None:
    want(ledger, "R1")
    workers.set_state(ledger, "w2", WorkerState.STOPPING)
    clock.advance(14)
    with pytest.raises(LedgerError, match="no longer driven by w2"):
        take_next(ledger, "w2")
    clock.advance(2)
    with pytest.raises(LedgerError, match="no longer driven by w1"):
        take_next(ledger, "w1")
    assert states(ledger)["R1"] == (State.WANTED.value, None, 0)


def test_a_run_that_a_living_worker_has_is_not_taken_by_name(ledger: DatabaseLedger) -> None:
    want(ledger, "R1")
    tenures.take(ledger, "R1", "w1")
    with pytest.raises(BusyError, match="being driven by the worker w1"):
        tenures.take(ledger, "R1", "w2")
    with pytest.raises(InputError, match="unknown to the workers"):
        tenures.take(ledger, "R9", "w2")


def test_a_waiting_run_is_taken_when_it_is_woken_or_when_its_time_comes(ledger: DatabaseLedger, clock: FixedClock) -> None:
    want(ledger, "R1", "R2")
    for run in ("R1", "R2"):
        taken = tenures.take(ledger, run, "w1")
        assert tenures.let_go(ledger, taken, State.WAITING, again_in=timedelta(seconds=10)) is True
        assert tenures.let_go(ledger, taken, State.ENDED) is False, "it is no longer this tenant's"
    assert take_next(ledger, "w1") is None
    tenures.wake(ledger, "R2")
    woken = take_next(ledger, "w1")
    assert woken is not None
    assert woken.tenant.run == "R2"
    clock.advance(10)
    due = take_next(ledger, "w1")
    assert due is not None
    assert due.tenant.run == "R1"


def test_a_call_that_comes_while_a_run_is_driven_is_not_lost(ledger: DatabaseLedger) -> None:
    want(ledger, "R1")
    taken = tenures.take(ledger, "R1", "w1")
    tenures.wake(ledger, "R1")
    tenures.let_go(ledger, taken, State.WAITING, again_in=timedelta(days=3))
    assert take_next(ledger, "w2") is not None
    tenures.wake(ledger, "R1")
    assert tenures.take_calls(ledger, "w2") == ["R1"]
    assert tenures.take_calls(ledger, "w2") == []


def test_what_a_person_left_is_taken_by_nobody_until_that_person_dies_or_resumes(ledger: DatabaseLedger) -> None:
    want(ledger, "R1", "R2", state=State.LEFT)
    assert take_next(ledger, "w1") is None
    assert tenures.count_waiting(ledger) == 0
    tenures.close_tenure(ledger, "R2")
    assert states(ledger)["R2"][0] == State.ENDED.value
    assert tenures.take(ledger, "R1", "w1").tenant.fence == 1


def test_a_worker_on_this_machine_whose_process_is_gone_loses_its_runs_at_once(tmp_path: Path, clock: FixedClock) -> None:
    ledger = DatabaseLedger(tmp_path / "ledger.sqlite", clock)
    want(ledger, "R1")
    with life_of(ledger, "w1"):
        workers.register(ledger, "w1", 4, LEASE)
        tenures.take(ledger, "R1", "w1")
        assert (tenures.driver_of(ledger, "R1"), workers.sweep(ledger)) == ("w1", [])
    assert (is_gone(ledger, "w1"), tenures.driver_of(ledger, "R1")) == (True, None)
    assert [(one.run, one.worker) for one in workers.sweep(ledger)] == [("R1", "w1")]
    assert states(ledger)["R1"] == (State.WANTED.value, None, 1)
    assert list((tmp_path / "runs").iterdir()) == [], "its lock is removed"
    ledger.close()


def test_the_plan_of_a_shared_run_is_found_and_others_have_none(ledger: DatabaseLedger) -> None:
    want(ledger, "R1")
    assert (tenures.is_shared(ledger, "R1"), tenures.stored_plan(ledger, "R1")) == (True, {"run": "R1"})
    assert (tenures.is_shared(ledger, "R2"), tenures.stored_plan(ledger, "R2")) == (False, None)


def test_no_two_workers_have_one_name() -> None:
    assert len({workers.name_worker() for _ in range(50)}) == 50
