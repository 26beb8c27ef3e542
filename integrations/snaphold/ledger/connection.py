"""The ledger in a SQLite file: opens it, and turns what SQLite says into errors that a person can act on."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from snaphold.clock import Clock
from snaphold.errors import LedgerError, SnapholdError, StorageError
from snaphold.ledger.revisions import HEAD, VERSION_TABLE, check_known, read_revision
from snaphold.ledger.schema import APPLICATION_ID, SCHEMA_VERSION, TRIGGERS, cluster, metadata, tenure

BUSY_SECONDS = 30.0
"""How long a write waits for other writers; each holds the file for about a millisecond."""
_OPEN_PAUSE_SECONDS = 0.02
_WRITES, _LOOKS = "snaphold_writes", "snaphold_looks"


class SqliteStore:
    """A ledger in a file of this machine."""

    def __init__(self, path: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open the file; see `open_database`."""
        self.path = path
        self.place = str(path)
        self.engine = open_database(path, read_only=read_only, busy_seconds=busy_seconds)
        with self.reading() as connection:  # an older file that may only be read has no table for it
            self.shares_runs = sa.inspect(connection).has_table(tenure.name)

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """See `Store.writing`."""
        return writing(self.engine, self.path)

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """See `Store.reading`."""
        return reading(self.engine, self.path)

    def looking(self) -> AbstractContextManager[sa.Connection]:
        """See `Store.looking`."""
        return looking(self.engine, self.path)

    def turn(self, path: Path) -> AbstractContextManager[None]:
        """See `Store.turn`; the lock is the kernel's, on the file `path`."""
        from snaphold.engine.locks import exclusively

        return exclusively(path)

    def time_sql(self, clock: Clock) -> str:
        """See `Store.time_sql`."""
        return ""

    def now(self, connection: sa.Connection, clock: Clock) -> datetime:
        """See `Store.now`; all processes are on one machine, so its clock is everybody's."""
        return clock.now()

    def guard_faults(self, connection: sa.Connection) -> list[str]:
        """See `Store.guard_faults`."""
        rows = connection.exec_driver_sql("select name, sql from sqlite_master where type = 'trigger'")
        there = {row.name: row.sql for row in rows}
        return [f"the trigger {name}" for name, statement in TRIGGERS.items() if there.get(name) != statement]

    def after_fork(self) -> None:
        """See `Store.after_fork`."""
        self.engine.dispose(close=False)

    def close(self) -> None:
        """See `Store.close`."""
        self.engine.dispose()


def open_database(path: Path, *, read_only: bool, busy_seconds: float = BUSY_SECONDS) -> sa.Engine:
    """Return an engine on the ledger file; unless `read_only` it is made when missing (file 0600, folder 0700).

    Raises StorageError when the file system refuses and LedgerError when the file is not a ledger of this version.
    """
    if not read_only:
        _make_file(path)
    elif not path.is_file():
        raise LedgerError(f"there is no ledger {path}", "nothing was recorded yet, or the file was removed", "check --config")
    connect = _connector(path, read_only, busy_seconds)
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool, pool_timeout=busy_seconds)
    event.listen(engine, "begin", _begin)  # pyright: ignore[reportUnknownMemberType]
    with told(path):
        if not read_only:
            _prepare(engine, path, busy_seconds)
        _check_version(engine, path)
    return engine


@contextmanager
def writing(engine: sa.Engine, path: Path) -> Generator[sa.Connection, None, None]:
    """Open a transaction that has the write lock from its start: what it reads cannot change before it commits."""
    with told(path), engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: sa.Engine, path: Path) -> Generator[sa.Connection, None, None]:
    """Open a transaction that sees one state of the ledger and stops nobody from writing."""
    with told(path), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def looking(engine: sa.Engine, path: Path) -> Generator[sa.Connection, None, None]:
    """Open a connection without a transaction: each statement by itself sees one state."""
    with told(path), engine.connect().execution_options(**{_LOOKS: True}) as connection:
        yield connection


@contextmanager
def told(path: Path) -> Generator[None, None, None]:
    """Turn database errors into StorageError or LedgerError. Nothing of a failed transaction stays."""
    try:
        yield
    except DBAPIError as error:
        raise explain(path, str(error.orig)) from error
    except sqlite3.Error as error:
        raise explain(path, str(error)) from error
    except PoolTimeoutError as error:
        raise LedgerError(
            f"the ledger {path} cannot be used", "this process waited too long for a free connection",
            "look at what keeps this machine or its disk busy",
        ) from error  # fmt: skip


_EXPLANATIONS: tuple[tuple[tuple[str, ...], type[SnapholdError], str, str], ...] = (
    (("database or disk is full",), StorageError, "the file system is full", "make room; nothing was half-written"),
    (("readonly database",), StorageError, "the file or its folder is read-only", "check owner, permissions and mount"),
    (("unable to open",), StorageError, "it cannot be opened", "check that the folder exists and belongs to this user"),
    (("disk i/o error",), StorageError, "the file system reported an error", "check the disk and its free space"),
    (("database is locked", "database table is locked"), LedgerError,
     "another program held it for too long", "look for a hanging snaphold, or a tool that has the file open"),
    (("malformed", "not a database", "corrupt"), LedgerError,
     "it is damaged", "keep the file as it is, restore a copy, then run snaphold audit verify"),
    (("append-only",), LedgerError, "entries and checkpoints are never changed or removed", "append a correction instead"),
)  # fmt: skip


def explain(path: Path, message: str) -> SnapholdError:
    """Return the error that stands for a database message."""
    for signs, kind, why, do in _EXPLANATIONS:
        if any(sign in message.lower() for sign in signs):
            return kind(f"the ledger {path} cannot be used", f"{why} ({message})", do)
    return LedgerError(f"the ledger {path} cannot be used", message, "run snaphold audit verify")


def _make_file(path: Path) -> None:
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise StorageError(
            f"the ledger {path} cannot be used", error.strerror, "check owner and permissions of the state folder"
        ) from error


def _connector(path: Path, read_only: bool, busy_seconds: float) -> Any:
    def connect() -> sqlite3.Connection:
        # isolation_level None: this module says BEGIN itself, the driver adds nothing.
        connection = sqlite3.connect(
            path.absolute().as_uri() + _mode(path, read_only),
            uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        connection.execute("pragma foreign_keys=on")
        # FULL: every commit reaches the disk before the call goes on, so an intent survives a power cut and the effect
        # is looked up, not repeated. NORMAL would lose the last commits. It costs 0.2-0.3 ms a commit (bench/ledger_step.py).
        connection.execute("pragma synchronous=full")
        connection.execute("pragma trusted_schema=off")
        return connection

    return connect


def _mode(path: Path, read_only: bool) -> str:
    if not read_only:
        return "?mode=rw"
    # A copy on read-only media has no journal, and SQLite could not make one beside it.
    still = not path.with_name(path.name + "-wal").exists() and not os.access(path.parent, os.W_OK)
    return "?mode=ro&immutable=1" if still else "?mode=ro"


def _begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_LOOKS):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES) else "BEGIN")


def _prepare(engine: sa.Engine, path: Path, busy_seconds: float) -> None:
    _use_wal(engine, busy_seconds)
    with engine.connect() as connection, connection.begin():
        is_new = _pragma(connection, "user_version") == 0
        if not is_new and sa.inspect(connection).has_table(tenure.name):
            return
    with writing(engine, path) as connection:
        if _pragma(connection, "user_version") != 0:
            _add_workers(connection, path)
            return
        if connection.exec_driver_sql("select count(*) from sqlite_master").scalar_one():
            raise LedgerError(f"{path} is not a ledger", "it holds tables of another program", "set another state folder")
        metadata.create_all(connection)
        cluster.create_all(connection)
        for statement in TRIGGERS.values():
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"pragma application_id={APPLICATION_ID}")
        connection.exec_driver_sql(f"pragma user_version={SCHEMA_VERSION}")
        connection.exec_driver_sql(f"create table {VERSION_TABLE} (version_num varchar(32) not null primary key)")
        connection.exec_driver_sql(f"insert into {VERSION_TABLE} values (?)", (HEAD,))  # noqa: S608  a name of ours


def _add_workers(connection: sa.Connection, path: Path) -> None:
    """Bring an older file to this revision: `snaphold db upgrade` need not be said for a file."""
    if _pragma(connection, "application_id") != APPLICATION_ID:
        return  # not ours; the check that follows says so
    revision = read_revision(connection)
    check_known(revision or HEAD, f"the ledger {path}")
    cluster.create_all(connection)
    if revision is not None:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = ?", (HEAD,))  # noqa: S608  a name of ours


def _use_wal(engine: sa.Engine, busy_seconds: float) -> None:
    """Switch the file to a write-ahead log. SQLite does not wait for others here, so this does."""
    deadline = time.monotonic() + busy_seconds
    raw = engine.raw_connection()
    try:
        while True:
            try:
                raw.cursor().execute("pragma journal_mode=wal")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_OPEN_PAUSE_SECONDS)
    finally:
        raw.close()


def _check_version(engine: sa.Engine, path: Path) -> None:
    with engine.connect() as connection, connection.begin():
        version, application = _pragma(connection, "user_version"), _pragma(connection, "application_id")
        revision = read_revision(connection)
    if application != APPLICATION_ID or version < 1:
        raise LedgerError(f"{path} is not a ledger", "it was not made by snaphold", "set another state folder")
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger {path} is newer than this program",
            f"its schema is version {version}, this program knows {SCHEMA_VERSION}",
            "use the newer snaphold",
        )
    # Files from before there were revisions have none, and are as the first one made them; opening added what is new.
    if revision is not None:
        check_known(revision, f"the ledger {path}")


def _pragma(connection: sa.Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"pragma {name}").scalar_one())
