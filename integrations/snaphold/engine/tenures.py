"""Who drives which run that workers share. The table `tenure` is the truth; DBOS's own rows follow it.

Every take counts the fence up. Whoever holds an older fence can write nothing to the ledger any more, and every change
here is made under the ledger's write lock, so that each write was made either wholly before the change or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import sqlalchemy as sa

from snaphold.engine.leaving import RunLeftError
from snaphold.engine.local_workers import is_gone
from snaphold.errors import BusyError, InputError, LedgerError
from snaphold.ledger.chain import add_entry
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event, NewEntry, digest
from snaphold.ledger.opening import Guard
from snaphold.ledger.owner import Tenant
from snaphold.ledger.schema import tenure, worker


class State(str, Enum):
    """wanted: any worker may take it; driven: a worker has it; waiting: taken again when woken, or at a time.

    left: a person let go of it and takes it up again; ended: nothing more happens.
    """

    WANTED = "wanted"
    DRIVEN = "driven"
    WAITING = "waiting"
    LEFT = "left"
    ENDED = "ended"


class WorkerState(str, Enum):
    """running takes runs; stopping takes no more; stopped ended in order; lost did not say in time that it lives."""

    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"


LIVE = (WorkerState.RUNNING.value, WorkerState.STOPPING.value)


@dataclass(frozen=True)
class Taken:
    """A run that a worker has taken: its plan, and the tenant whose fence its writes carry."""

    tenant: Tenant
    worker: str
    plan: dict[str, Any]

    @property
    def plan_sha256(self) -> str:
        """The SHA-256 of the plan as it is stored, to be held against the run's record."""
        return digest(self.plan)


# Statements that are asked again and again are built once: to build one takes longer than to carry it out.
_WHAT_IS_TAKEN = sa.select(tenure.c.run, tenure.c.worker, tenure.c.fence, tenure.c.plan)
_IS_WOKEN = sa.or_(tenure.c.woken, tenure.c.wake_at <= sa.bindparam("now"))
_IS_DUE = sa.or_(tenure.c.state == State.WANTED.value, sa.and_(tenure.c.state == State.WAITING.value, _IS_WOKEN))
_IS_CALLED = sa.and_(tenure.c.worker == sa.bindparam("by"), tenure.c.woken)
_NEWS = sa.select(sa.exists().where(_IS_DUE).label("due"), sa.exists().where(_IS_CALLED).label("called"))
# What was begun comes before what was not: a run that lost its worker is in the middle of an incident.
_NEXT = (
    _WHAT_IS_TAKEN.where(_IS_DUE)
    .order_by(tenure.c.fence == 0, tenure.c.changed_at, tenure.c.run)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_IS_ALIVE = sa.select(worker.c.id).where(
    worker.c.id == sa.bindparam("by"), worker.c.state == WorkerState.RUNNING.value, worker.c.alive_until > sa.bindparam("now")
)
_TAKE = sa.update(tenure).where(tenure.c.run == sa.bindparam("its_run")).values(
    state=State.DRIVEN.value, worker=sa.bindparam("by"), wake_at=None, woken=False, changed_at=sa.bindparam("now"),
    fence=sa.bindparam("its_fence"),
)  # fmt: skip
_IS_MINE = sa.and_(
    tenure.c.run == sa.bindparam("its_run"), tenure.c.fence == sa.bindparam("its_fence"), tenure.c.worker == sa.bindparam("by")
)
_LET_GO = sa.update(tenure).where(_IS_MINE).values(
    state=sa.bindparam("its_state"), worker=None, wake_at=sa.bindparam("its_wake_at"), changed_at=sa.bindparam("now")
)  # fmt: skip
_PLAN = sa.select(tenure.c.plan).where(tenure.c.run == sa.bindparam("its_run"))


@dataclass(frozen=True)
class Ended:
    """A run that its tenant gives back; `again_in`: a waiting run is taken again after that time at the latest."""

    taken: Taken
    state: State
    again_in: timedelta | None = None


def milliseconds(moment: datetime) -> int:
    """Return a time as the tables hold it."""
    return round(moment.timestamp() * 1000)


def add_tenure(connection: sa.Connection, run: str, plan: str, state: State, now: datetime) -> None:
    """Make a run known to the workers, in the transaction that registers it; `plan` is canonical JSON."""
    values = {"run": run, "state": state.value, "worker": None, "fence": 0, "woken": False, "plan": plan}
    connection.execute(sa.insert(tenure), {**values, "changed_at": milliseconds(now)})


def look(ledger: DatabaseLedger, by: str) -> tuple[bool, bool]:
    """Return whether there is a run to be taken, and whether one of this worker's was woken. It needs no write lock."""
    with ledger.looking() as connection:
        given = {"now": milliseconds(ledger.now(connection)), "by": by}
        found = connection.execute(_NEWS, given).one()
    return bool(found.due), bool(found.called)


def take_due(ledger: DatabaseLedger, by: str, most: int) -> list[Taken]:
    """Take up to `most` runs for the living worker `by`, those first that were begun before, then the oldest.

    All are taken in one transaction: every writer waits for its turn, and a worker with many runs would wait for each.
    """

    with ledger.writing() as connection:
        moment = ledger.now(connection)
        found = connection.execute(_NEXT, {"now": milliseconds(moment), "most": most}).all()
        return _take(connection, found, by, moment)


def take(ledger: DatabaseLedger, run: str, by: str) -> Taken:
    """Take one run, whatever its state, as long as no living worker drives it. Raises BusyError when one does."""
    with ledger.writing() as connection:
        found = connection.execute(_WHAT_IS_TAKEN.where(tenure.c.run == run)).first()
        if found is None:
            raise InputError(f"{run} is unknown to the workers", "it was started with another database")
        if found.worker is not None and found.worker != by:
            raise BusyError(
                f"{run} is being driven by the worker {found.worker}", "only one drives a run", "wait for it, or stop that worker"
            )
        return _take(connection, [found], by, ledger.now(connection))[0]


def _take(connection: sa.Connection, found: Sequence[Any], by: str, now: datetime) -> list[Taken]:
    """Take what was found under the write lock, so that it cannot have changed. RHEL 9's SQLite knows no RETURNING."""
    if not found:
        return []
    given = {"by": by, "now": milliseconds(now)}
    if connection.execute(_IS_ALIVE, given).first() is None:
        raise _lost(found[0].run, by)
    taken = [Taken(Tenant(row.run, row.fence + 1), by, json.loads(row.plan)) for row in found]
    connection.execute(_TAKE, [{**given, "its_run": one.tenant.run, "its_fence": one.tenant.fence} for one in taken])
    for one in taken:
        note(connection, one.tenant.run, "run.take", {"worker": by, "fence": one.tenant.fence}, now)
    return taken


def hand_to_workers(ledger: DatabaseLedger, run: str) -> bool:
    """Have any worker take a run that a person let go of, or that waits; return whether there was anything to do."""
    idle = (State.LEFT.value, State.WAITING.value)
    with ledger.writing() as connection:
        now = milliseconds(ledger.now(connection))
        values = {"state": State.WANTED.value, "wake_at": None, "woken": False, "changed_at": now}
        change = sa.update(tenure).where(tenure.c.run == run, tenure.c.worker.is_(None), tenure.c.state.in_(idle))
        return connection.execute(change.values(**values)).rowcount == 1


_MINE = "exists (select 1 from tenure where run = :tenure_run and fence = :tenure_fence and worker = :tenure_worker)"


def guard_of(taken: Taken) -> Guard:
    """Return the check that stands before every write of a run: it leaves the run when another worker has taken it."""
    values = {"tenure_run": taken.tenant.run, "tenure_fence": taken.tenant.fence, "tenure_worker": taken.worker}
    return Guard(_MINE, values, lambda: RunLeftError(cause=_lost(taken.tenant.run, taken.worker)))


def _mine(taken: Taken) -> dict[str, Any]:
    return {"its_run": taken.tenant.run, "its_fence": taken.tenant.fence, "by": taken.worker}


def taken_by(ledger: DatabaseLedger, by: str) -> list[Taken]:
    """Return the runs that a worker has according to the table, without their plans."""
    with ledger.looking() as connection:
        rows = connection.execute(sa.select(tenure.c.run, tenure.c.fence).where(tenure.c.worker == by))
        return [Taken(Tenant(row.run, row.fence), by, {}) for row in rows]


def let_go(ledger: DatabaseLedger, taken: Taken, state: State, *, again_in: timedelta | None = None) -> bool:
    """Give a run back; return whether it was still this tenant's. What woke it meanwhile counts.

    `again_in`: a waiting run is taken again after that time at the latest.
    """
    return let_go_all(ledger, [Ended(taken, state, again_in)]) == 1


def let_go_all(ledger: DatabaseLedger, ended: Sequence[Ended]) -> int:
    """Give runs back in one transaction, as `let_go` does; return how many were still those of their tenants."""
    with ledger.writing() as connection:
        now, count = milliseconds(ledger.now(connection)), 0
        for one in ended:
            wake_at = None if one.again_in is None else now + round(one.again_in.total_seconds() * 1000)
            given = {**_mine(one.taken), "its_state": one.state.value, "its_wake_at": wake_at, "now": now}
            count += connection.execute(_LET_GO, given).rowcount
        return count


def wake(ledger: DatabaseLedger, run: str) -> None:
    """Have whoever drives the run look at the register now, or have a waiting one taken again."""
    with ledger.writing() as connection:
        connection.execute(sa.update(tenure).where(tenure.c.run == run).values(woken=True))


def take_calls(ledger: DatabaseLedger, by: str) -> list[str]:
    """Return the runs of a worker that were woken since it asked last."""
    mine = (tenure.c.worker == by, tenure.c.woken)
    with ledger.writing() as connection:
        called = list(connection.execute(sa.select(tenure.c.run).where(*mine)).scalars())
        connection.execute(sa.update(tenure).where(*mine).values(woken=False))
        return called


def close_tenure(ledger: DatabaseLedger, run: str) -> None:
    """Have no worker take a run that was ended by a person while nobody drove it."""
    with ledger.writing() as connection:
        mine = (tenure.c.run == run, tenure.c.worker.is_(None))
        connection.execute(sa.update(tenure).where(*mine).values(state=State.ENDED.value))


def driver_of(ledger: DatabaseLedger, run: str) -> str | None:
    """Return the living worker that drives a run, or None."""
    if not ledger.shares_runs:
        return None
    joined = sa.select(tenure.c.worker).join(worker, worker.c.id == tenure.c.worker)
    with ledger.looking() as connection:
        now = milliseconds(ledger.now(connection))
        alive = (worker.c.state.in_(LIVE), worker.c.alive_until > now)
        found = connection.execute(joined.where(tenure.c.run == run, *alive)).scalar_one_or_none()
    return None if found is None or is_gone(ledger, found) else found


def is_shared(ledger: DatabaseLedger, run: str) -> bool:
    """Return whether workers drive this run. In a file there are also runs that have a process of their own."""
    return stored_plan(ledger, run) is not None


def stored_plan(ledger: DatabaseLedger, run: str) -> dict[str, Any] | None:
    """Return the plan of a run that workers share, as it is stored; None when they do not share it."""
    if not ledger.shares_runs:
        return None
    with ledger.looking() as connection:
        found = connection.execute(_PLAN, {"its_run": run}).scalar_one_or_none()
    return None if found is None else json.loads(found)


def count_waiting(ledger: DatabaseLedger) -> int:
    """Return how many runs stand ready for a worker and nobody has taken them."""
    wanted = sa.select(sa.func.count()).select_from(tenure).where(tenure.c.state == State.WANTED.value)
    with ledger.looking() as connection:
        return int(connection.execute(wanted).scalar_one())


def orphan(connection: sa.Connection, workers: Sequence[str], now: datetime) -> list[tuple[str, str, int]]:
    """Take every run from lost workers, so that others may have them; return run, worker and fence of each."""
    columns = tenure.c
    found = connection.execute(
        sa.select(columns.run, columns.worker, columns.fence).where(columns.worker.in_(workers)).order_by(columns.run)
    ).all()
    values = {"state": State.WANTED.value, "worker": None, "wake_at": None, "changed_at": milliseconds(now)}
    connection.execute(sa.update(tenure).where(columns.worker.in_(workers)).values(**values))
    return [(row.run, row.worker, row.fence) for row in found]


def note(connection: sa.Connection, run: str, action: str, detail: dict[str, Any], now: datetime) -> None:
    """Record in the audit trail what became of a run's driver."""
    entry = NewEntry(event=Event.RUN, actor="snaphold", incident="", run=run, action=action, detail=detail)
    add_entry(connection, entry, [], now)


def _lost(run: str, by: str) -> LedgerError:
    return LedgerError(
        f"{run} is no longer driven by {by}",
        "that worker did not say in time that it lives, so another may have taken the run",
        "nothing: what it did last is looked up before anything is done again",
    )
