"""The port to the database that holds a ledger. Adapters: connection.py (a SQLite file) and postgresql.py."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from snaphold.clock import Clock


class Store(Protocol):
    """One database with one ledger. What the database says comes back as LedgerError or StorageError."""

    place: str
    """Where it is, for people; without a password."""
    shares_runs: bool
    """Whether it has the tables that say which worker drives which run."""

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that has the write lock from its start: what it reads cannot change before it commits."""
        ...

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that sees one state of the ledger and stops nobody from writing."""
        ...

    def turn(self, path: Path) -> AbstractContextManager[None]:
        """Hold the lock of this name against every other process on this ledger; waits for its turn."""
        ...

    def looking(self) -> AbstractContextManager[sa.Connection]:
        """Open a connection on which each statement by itself sees one state; cheaper than `reading` for one statement."""
        ...

    def time_sql(self, clock: Clock) -> str:
        """Return the SQL of what `now` says; empty when it needs no database."""
        ...

    def now(self, connection: sa.Connection, clock: Clock) -> datetime:
        """Return the time that all processes on this ledger agree about. A clock that a test moves is followed."""
        ...

    def guard_faults(self, connection: sa.Connection) -> list[str]:
        """Return what is missing or changed of that which makes the database itself refuse changes."""
        ...

    def after_fork(self) -> None:
        """Forget the connections of the parent without closing them."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
