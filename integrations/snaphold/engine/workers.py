"""The workers that share a ledger: they say that they live, and notice when another no longer does."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import sqlalchemy as sa

from snaphold.engine.local_workers import forget_lock, is_gone
from snaphold.engine.tenures import LIVE, WorkerState, milliseconds, note, orphan
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.schema import tenure, worker


@dataclass(frozen=True)
class WorkerLine:
    """A worker as the table has it; `runs` is how many it drives now."""

    id: str
    host: str
    process: int
    at_once: int
    state: str
    started_at: datetime
    alive_until: datetime
    runs: int


@dataclass(frozen=True)
class Orphan:
    """A run that was taken from a lost worker."""

    run: str
    worker: str
    fence: int


def name_worker() -> str:
    """Return an id that no other worker ever had: two processes with one id would do each other's work."""
    host = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname().partition(".")[0].lower())[:40]
    return f"{host or 'host'}-{os.getpid()}-{secrets.token_hex(4)}"


def register(ledger: DatabaseLedger, id: str, at_once: int, lease: timedelta) -> None:
    """Add a worker that lives for `lease` unless it says again that it does."""
    with ledger.writing() as connection:
        now = milliseconds(ledger.now(connection))
        connection.execute(
            sa.insert(worker),
            {"id": id, "host": socket.gethostname(), "process": os.getpid(), "at_once": at_once, "started_at": now,
             "state": WorkerState.RUNNING.value, "alive_until": now + _length(lease)},
        )  # fmt: skip


def beat(connection: sa.Connection, id: str, lease: timedelta, now: datetime) -> bool:
    """Say that a worker lives; return False when the others have given it up already. Needs no write lock."""
    mine = (worker.c.id == id, worker.c.state.in_(LIVE))
    return connection.execute(sa.update(worker).where(*mine).values(alive_until=milliseconds(now) + _length(lease))).rowcount == 1


def set_state(ledger: DatabaseLedger, id: str, state: WorkerState) -> None:
    """Change the state of a living worker."""
    with ledger.writing() as connection:
        connection.execute(sa.update(worker).where(worker.c.id == id, worker.c.state.in_(LIVE)).values(state=state.value))


def sweep(ledger: DatabaseLedger) -> list[Orphan]:
    """Give up every worker that is gone or did not say in time that it lives, and free its runs; return them.

    All of it is one transaction under the ledger's write lock: of two that sweep at once the second finds nothing.
    """
    with ledger.looking() as connection:
        if not _find_lost(ledger, connection, ledger.now(connection)):
            return []
    with ledger.writing() as connection:
        moment = ledger.now(connection)
        lost = _find_lost(ledger, connection, moment)
        connection.execute(sa.update(worker).where(worker.c.id.in_(lost)).values(state=WorkerState.LOST.value))
        freed = [Orphan(*found) for found in orphan(connection, lost, moment)]
        for one in freed:
            note(connection, one.run, "run.orphan", {"worker": one.worker, "fence": one.fence}, moment)
    for id in lost:
        forget_lock(ledger, id)
    return freed


def _find_lost(ledger: DatabaseLedger, connection: sa.Connection, now: datetime) -> list[str]:
    rows = connection.execute(sa.select(worker.c.id, worker.c.alive_until).where(worker.c.state.in_(LIVE))).all()
    return [row.id for row in rows if row.alive_until < milliseconds(now) or is_gone(ledger, row.id)]


def list_workers(ledger: DatabaseLedger) -> list[WorkerLine]:
    """Return every worker that was ever there, the newest last."""
    runs = sa.select(sa.func.count()).where(tenure.c.worker == worker.c.id).scalar_subquery()
    with ledger.looking() as connection:
        rows = connection.execute(sa.select(worker, runs.label("runs")).order_by(worker.c.started_at, worker.c.id))
        return [
            WorkerLine(
                row.id, row.host, row.process, row.at_once, row.state, _time(row.started_at), _time(row.alive_until), row.runs
            )
            for row in rows
        ]


def _length(lease: timedelta) -> int:
    return round(lease.total_seconds() * 1000)


def _time(number: int) -> datetime:
    return datetime.fromtimestamp(number / 1000, timezone.utc)
