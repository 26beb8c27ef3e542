"""The ledger in a database (a SQLite file or PostgreSQL): every state change and its entry are one transaction."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from pydantic import ValidationError

from snaphold.clock import Clock
from snaphold.config import Configuration
from snaphold.domain.value import Value
from snaphold.errors import InputError, LedgerError
from snaphold.ledger import claims, registers, schema
from snaphold.ledger.chain import Along, add_entry, plain
from snaphold.ledger.connection import BUSY_SECONDS, SqliteStore
from snaphold.ledger.entry import Entry, Event, NewEntry
from snaphold.ledger.ledger import Claim, ClaimState, Record
from snaphold.ledger.opening import Guard, Opening, look
from snaphold.ledger.store import Store

FILE_NAME = "ledger.sqlite"
_ROWS_AT_ONCE = 500
Also = Callable[[sa.Connection], None]
"""What a module of the ledger's own writes in the transaction of an entry."""


def ledger_path(configuration: Configuration) -> Path:
    """Return where the configuration's ledger is kept."""
    return configuration.state_folder / FILE_NAME


class DatabaseLedger:
    """The ledger of one configuration. Safe for several threads and processes; see the protocol in ledger.py."""

    def __init__(self, path: Path, clock: Clock, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> None:
        self._use(SqliteStore(path, read_only=read_only, busy_seconds=busy_seconds), clock)

    def _use(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self._process = os.getpid()
        # Threads of one process queue here: SQLite's own waiting sleeps in growing steps and is unfair, and threads that
        # wait for PostgreSQL's lock would take every connection of the process.
        self._turn = threading.RLock()
        self._guard: Guard | None = None
        self._owner = ""

    @classmethod
    def open(cls, configuration: Configuration, clock: Clock, *, read_only: bool = False) -> DatabaseLedger:
        """Return the configuration's ledger; a file is made when missing, unless `read_only`.

        Raises StorageError when the file system refuses, LedgerError when the database is damaged, newer, not a ledger, or
        cannot be reached.
        """
        if not configuration.database:
            return cls(ledger_path(configuration), clock, read_only=read_only)
        from snaphold.ledger.postgresql import PostgresStore

        return cls.on(PostgresStore(configuration.database_url(), read_only=read_only), clock)

    @classmethod
    def on(cls, store: Store, clock: Clock) -> DatabaseLedger:
        """Return the ledger in a database that is open."""
        ledger = cls.__new__(cls)
        ledger._use(store, clock)
        return ledger

    def guarded(self, guard: Guard | None, owner: str) -> DatabaseLedger:
        """Return this ledger for one owner: `guard` is asked at the start of every write, and refuses those that may not.

        `owner` stands in the claims that are made, in the place of this process.
        """
        ledger = DatabaseLedger.__new__(DatabaseLedger)
        vars(ledger).update(vars(self))
        ledger._guard, ledger._owner = guard, owner
        return ledger

    @property
    def path(self) -> Path:
        """The ledger's file. Raises LedgerError when it is not in a file."""
        if isinstance(self.store, SqliteStore):
            return self.store.path
        raise LedgerError(f"the ledger {self.store.place} is not a file")

    @property
    def shares_runs(self) -> bool:
        """Whether it says which worker drives which run. A file of an older version that may only be read does not."""
        return self.store.shares_runs

    def close(self) -> None:
        """Close the database."""
        self._own_store().close()

    def append(self, entry: NewEntry, records: list[Value] | None = None, *, also: Also | None = None) -> Entry:
        """Chain an entry and write the register records in the same transaction; return the entry.

        `also` is called in that transaction, for what the ledger's own modules write besides.
        """
        with self._opened() as (connection, opening):
            if also is not None:
                also(connection)
            # What is written besides may have its own entries, so the last one is looked up again then.
            return self._record(connection, opening, entry, records or [], after=None if also else opening.head)

    def amend(self, model: type[Record], id: str, change: Callable[[Record | None], tuple[NewEntry, Record] | None]) -> None:
        """Read a register record and write what `change` makes of it, with its entry, in one transaction.

        `change` is given None when there is no such record, and returns None when nothing is to be written.
        """
        with self._opened() as (connection, opening):
            made = change(registers.read_one(connection, model, id))
            if made is not None:
                self._record(connection, opening, made[0], [made[1]], after=opening.head)

    def claim(self, entry: NewEntry, *, lease_seconds: float, reopen_failed: bool = False) -> Claim:
        """Write the intent `entry` under `entry.key`, or say what is there already.

        A lease that ran out, or whose owner is a process of this machine that is gone, is taken over with the next
        fence. With `reopen_failed` a key that settled as failed (never unknown, partial or succeeded) is claimed anew.
        Raises BusyError while another owner's lease runs, InputError when the key was used with another input digest.
        """
        if not entry.key or not entry.inputs_digest:
            raise InputError("a claim needs a key and the digest of its input")
        with self._opened(entry.key) as (connection, opening):
            now, found = opening.now, opening.found
            lost = found is not None and claims.has_lost_its_owner(connection, found)
            step = claims.decide(found, entry.inputs_digest, _milliseconds(now), reopen_failed=reopen_failed, lost=lost)
            if found is not None and step is claims.Step.NOTHING:
                return Claim(entry.key, ClaimState.SETTLED, found.fence, found.result)
            fence = found.fence + 1 if found else 1
            until = _milliseconds(now) + _lease(lease_seconds)
            new = claims.fresh(entry.key, entry.inputs_digest, fence, until, self._owner)
            event = Event.TAKEN_OVER if step is claims.Step.TAKE_OVER else Event.INTENT
            intent, changed = entry.model_copy(update={"event": event}), [claims.change_name(new)]
            add_entry(connection, intent, changed, now, after=opening.head, along=claims.opening(found, new))
            return Claim(entry.key, claims.CLAIMED[step], fence)

    def renew(self, claim: Claim, *, lease_seconds: float) -> None:
        """Give the claim a full lease from now. Raises BusyError when another owner has taken over."""
        with self.writing() as connection:
            until = _milliseconds(self.now(connection)) + _lease(lease_seconds)
            claims.change(connection, claim, {"lease_until": until})

    def settle(self, claim: Claim, entry: NewEntry, result: dict[str, Any], records: list[Value]) -> Entry:
        """Write the outcome, the result and the register records in one transaction; return the entry.

        The state of the key becomes `entry.outcome`. Raises BusyError, writing nothing, when the fence is stale.
        """
        if not entry.outcome:
            raise InputError("a claim is settled with an outcome")
        with self._opened(claim.key) as (connection, opening):
            stored = cast("dict[str, Any]", plain(result))
            along, settled = claims.settling(opening.found, claim, entry.outcome, stored)
            changed = [claims.change_name(settled)]
            return self._record(connection, opening, entry, records, changed, after=opening.head, along=along)

    def find_claim(self, key: str) -> claims.Stored | None:
        """Return what stands under an idempotency key: its state and, once settled, its result. None: never claimed."""
        with self.looking() as connection:
            return claims.find(connection, key)

    def record(self, model: type[Record], id: str) -> Record | None:
        """Return one register record, or None."""
        with self.looking() as connection:
            return registers.read_one(connection, model, id)

    def records(self, model: type[Record], incident: str | None = None) -> list[Record]:
        """Return the register records of one kind, oldest first; of one incident when it is named."""
        with self.looking() as connection:
            return registers.read_all(connection, model, incident)

    def latest(self, model: type[Record], most: int, after: int = 0) -> tuple[list[Record], int]:
        """Return up to `most` records of one kind, the newest first, leaving out `after`; and how many there are."""
        with self.reading() as connection:
            return registers.read_latest(connection, model, most, after)

    def saying(self, model: type[Record], field: str, value: str | None) -> list[Record]:
        """Return the records of one kind, oldest first, in which a field has this value."""
        with self.looking() as connection:
            return registers.read_saying(connection, model, field, value)

    def some(self, model: type[Record], ids: Sequence[str]) -> dict[str, Record]:
        """Return the records of one kind that have these ids (some hundreds at most), by id."""
        with self.looking() as connection:
            return registers.read_some(connection, model, ids)

    def page(
        self,
        model: type[Record],
        incident: str | None,
        most: int,
        after: registers.Place | None = None,
        saying: tuple[str, str | None] | None = None,
    ) -> tuple[list[Record], registers.Place | None]:
        """Return up to `most` records of one kind, the newest first, after a place in the register; and the next place.

        `saying` is a field and the value that a record must have in it.
        """
        with self.looking() as connection:
            return registers.read_page(connection, model, incident, most, after, saying)

    def entries(self, incident: str | None = None, run: str | None = None) -> list[Entry]:
        """Return entries in order."""
        return list(self.each_entry(incident, run))

    def each_entry(self, incident: str | None = None, run: str | None = None) -> Iterator[Entry]:
        """Yield entries in order without holding them all in memory."""
        for fields in self.each_stored(incident, run):
            try:
                yield Entry.model_validate(fields)
            except ValidationError as error:
                raise _unreadable(fields.get("sequence")) from error

    def each_stored(self, incident: str | None = None, run: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the fields of entries exactly as they were hashed, and `hash`; one state of the ledger throughout.

        Raises LedgerError at an entry that is no JSON object.
        """
        columns = schema.entry.c
        wanted = sa.select(columns.sequence, columns.body, columns.hash).order_by(columns.sequence)
        if incident is not None:
            wanted = wanted.where(columns.incident == incident)
        if run is not None:
            wanted = wanted.where(columns.run == run)
        with self.reading() as connection:
            for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(wanted):
                try:
                    fields = {**json.loads(row.body), "hash": row.hash}
                except (ValueError, TypeError) as error:
                    raise _unreadable(row.sequence) from error
                yield fields

    @contextmanager
    def writing(self) -> Generator[sa.Connection, None, None]:
        """Open a transaction with the write lock; for the ledger's own modules."""
        store = self._own_store()
        with self._turn, store.writing() as connection:
            if self._guard is not None:
                self._look(connection)
            yield connection

    @contextmanager
    def _opened(self, key: str = "") -> Generator[tuple[sa.Connection, Opening], None, None]:
        """Open a transaction with the write lock, and what a write must know first."""
        store = self._own_store()
        with self._turn, store.writing() as connection:
            yield connection, self._look(connection, key)

    def _look(self, connection: sa.Connection, key: str = "") -> Opening:
        return look(connection, self.store.time_sql(self._clock), self._clock.now, self._guard, key)

    @contextmanager
    def reading(self) -> Generator[sa.Connection, None, None]:
        """Open a transaction of which every statement sees the same state; for the ledger's own modules."""
        with self._own_store().reading() as connection:
            yield connection

    @contextmanager
    def looking(self) -> Generator[sa.Connection, None, None]:
        """Open a connection on which each statement by itself sees one state; for the ledger's own modules."""
        with self._own_store().looking() as connection:
            yield connection

    @contextmanager
    def turn(self, path: Path) -> Generator[None, None, None]:
        """Hold a lock against every process on this ledger for the length of the block; waits for its turn."""
        with self._own_store().turn(path):
            yield

    def guard_faults(self, connection: sa.Connection) -> list[str]:
        """Return what is missing of that which makes the database itself refuse changes."""
        return self.store.guard_faults(connection)

    def now(self, connection: sa.Connection) -> datetime:
        """Return the ledger's time, which all its processes agree about."""
        return self.store.now(connection, self._clock)

    def _record(
        self,
        connection: sa.Connection,
        opening: Opening,
        entry: NewEntry,
        records: list[Value],
        changed: Sequence[str] = (),
        *,
        after: tuple[int, str] | None,
        along: Along | None = None,
    ) -> Entry:
        prepared = registers.prepare(records)
        told = [*changed, *registers.changes(prepared)]
        written = add_entry(connection, entry, told, opening.now, after=after, along=along)
        registers.write(connection, written.sequence, prepared)
        return written

    def _own_store(self) -> Store:
        """A connection must not cross a fork: a child process opens its own."""
        if self._process != os.getpid():
            self.store.after_fork()
            self._process = os.getpid()
            self._turn = threading.RLock()
        return self.store


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _lease(seconds: float) -> int:
    return round(seconds * 1000)


def _unreadable(sequence: object) -> LedgerError:
    return LedgerError(f"entry {sequence} of the ledger cannot be read", "it is damaged", "snaphold audit verify")
