"""The ledger in PostgreSQL, for workers on many machines. Every writer takes one advisory lock, so the chain has one end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from snaphold.clock import Clock, SystemClock
from snaphold.errors import InputError, LedgerError, SnapholdError, StorageError
from snaphold.ledger.postgresql_guard import guard_faults
from snaphold.ledger.revisions import HEAD, check_known, read_revision

SCHEMA = "snaphold"
"""Our tables stand in a schema of their own, beside DBOS's."""
LOCK_SECONDS = 30
"""How long a write waits for other writers; each holds the lock for some milliseconds."""
STATEMENT_SECONDS = 60
CONNECT_SECONDS = 10
SILENCE_SECONDS = 20
"""A server that acknowledges nothing for so long is given up; a broken network shows no other sign."""
CONNECTIONS, TURNS = 6, 4
REST_SECONDS = 1.0
"""A connection that was idle for so long is asked whether it still works. No server restarts faster by much."""
_USED = "snaphold_used"
_WRITE_LOCK = "snaphold-ledger"


class PostgresStore:
    """A ledger in a PostgreSQL database that `snaphold db upgrade` has prepared."""

    shares_runs = True

    def __init__(self, url: str, *, read_only: bool = False, lock_seconds: float = LOCK_SECONDS) -> None:
        """Connect, and check the revision. Raises LedgerError when it cannot be used as it is."""
        self._url = parse_url(url)
        self._read_only = read_only
        self.place = self._url.render_as_string(hide_password=True)
        options: dict[str, Any] = {"lock_timeout": round(lock_seconds * 1000)}
        self.engine = connect_to(self._url, CONNECTIONS, **options)
        self._looks = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # Who holds a turn needs a second connection to write: the two must not wait for each other.
        self._turns = connect_to(self._url, TURNS, **options)
        with self.told(), self.engine.connect() as connection:
            self._check(connection)

    def _check(self, connection: sa.Connection) -> None:
        encoding = connection.exec_driver_sql("show server_encoding").scalar_one()
        if encoding != "UTF8":
            raise LedgerError(
                f"the database {self.place} cannot hold a ledger", f"its encoding is {encoding}", "create it with encoding UTF8"
            )
        revision = read_revision(connection)
        if revision is not None:
            check_known(revision, f"the ledger {self.place}")
        if revision != HEAD:
            raise LedgerError(
                f"the database {self.place} is not ready",
                f"its schema is at revision {revision or 'none'}, this program needs {HEAD}",
                "snaphold db upgrade",
            )

    @contextmanager
    def writing(self) -> Generator[sa.Connection, None, None]:
        """See `Store.writing`."""
        if self._read_only:
            raise explain(self.place, "25006", "it was opened for reading")
        with self.told(), self.engine.connect() as connection, connection.begin():
            # In READ COMMITTED each statement after the lock sees what the writers before it have committed.
            connection.exec_driver_sql("select pg_advisory_xact_lock(%s)", (lock_number(_WRITE_LOCK),))
            yield connection

    @contextmanager
    def reading(self) -> Generator[sa.Connection, None, None]:
        """See `Store.reading`."""
        one_state: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.told(), self.engine.connect().execution_options(**one_state) as connection, connection.begin():
            yield connection

    @contextmanager
    def looking(self) -> Generator[sa.Connection, None, None]:
        """See `Store.looking`."""
        with self.told(), self._looks.connect() as connection:
            yield connection

    @contextmanager
    def turn(self, path: Path) -> Generator[None, None, None]:
        """See `Store.turn`; PostgreSQL lets go of the lock when the holder's connection breaks."""
        with self.told(), self._turns.connect() as connection, connection.begin():
            connection.exec_driver_sql(
                "select pg_advisory_xact_lock(%s)", (lock_number(f"snaphold-turn:{path.parent.name}/{path.name}"),)
            )
            yield

    def time_sql(self, clock: Clock) -> str:
        """See `Store.time_sql`."""
        return "clock_timestamp()" if isinstance(clock, SystemClock) else ""

    def now(self, connection: sa.Connection, clock: Clock) -> datetime:
        """See `Store.now`: the clocks of several machines differ, so the database's own is everybody's."""
        if not isinstance(clock, SystemClock):
            return clock.now()
        moment: datetime = connection.exec_driver_sql("select clock_timestamp()").scalar_one()
        return moment.astimezone(timezone.utc)

    def guard_faults(self, connection: sa.Connection) -> list[str]:
        """See `Store.guard_faults`."""
        return guard_faults(connection)

    def after_fork(self) -> None:
        """See `Store.after_fork`."""
        for engine in (self.engine, self._turns):
            engine.dispose(close=False)

    def close(self) -> None:
        """See `Store.close`."""
        for engine in (self.engine, self._turns):
            engine.dispose()

    @contextmanager
    def told(self) -> Generator[None, None, None]:
        """Turn what PostgreSQL says into LedgerError or StorageError."""
        with told(self.place):
            yield


def parse_url(text: str) -> sa.URL:
    """Return the URL of a PostgreSQL database, with the driver that is used. Raises InputError for another one."""
    try:
        url = sa.make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise InputError("the database's address is not one of PostgreSQL", do="write postgresql://USER@HOST/DATABASE")
    if not url.database:
        raise InputError("the database's address names no database", do="write postgresql://USER@HOST/DATABASE")
    return url.set(drivername="postgresql+psycopg")


def connect_to(url: sa.URL, most: int, *, application_name: str = "snaphold", **settings: object) -> sa.Engine:
    """Return an engine with at most `most` connections, each with our time limits and further server settings."""
    milliseconds = {"statement_timeout": STATEMENT_SECONDS, "idle_in_transaction_session_timeout": STATEMENT_SECONDS}
    given = {"search_path": SCHEMA, **{name: seconds * 1000 for name, seconds in milliseconds.items()}, **settings}
    limits: dict[str, Any] = {
        "options": " ".join(f"-c {name}={value}" for name, value in given.items()),
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": SILENCE_SECONDS // 2,
        "keepalives_interval": SILENCE_SECONDS // 4,
        "keepalives_count": 2,
        "tcp_user_timeout": SILENCE_SECONDS * 1000,
        "application_name": application_name,
    }
    # The last one used is used next: few connections do most of the work, and have their statements prepared.
    engine = sa.create_engine(
        url, pool_size=most, max_overflow=0, pool_timeout=LOCK_SECONDS, pool_use_lifo=True, connect_args=limits
    )
    _ping_after_rest(engine)
    return engine


def _ping_after_rest(engine: sa.Engine) -> None:
    """Have a connection that was idle for a while asked whether it still works before it is used; a broken one is replaced.

    Asking each time would be a round trip for every statement. Nothing that was sent is ever sent again.
    """

    def used(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def check(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get(_USED, time.monotonic()) < REST_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            # The pool makes a new connection, and drops the others that are as old.
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", used)  # pyright: ignore[reportUnknownMemberType]
    event.listen(engine, "checkout", check)  # pyright: ignore[reportUnknownMemberType]


def lock_number(name: str) -> int:
    """Return the number of an advisory lock: the first eight bytes of the name's SHA-256, with a sign."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@contextmanager
def told(place: str) -> Generator[None, None, None]:
    """Turn database errors into StorageError or LedgerError. Nothing of a failed transaction stays."""
    try:
        yield
    except DBAPIError as error:
        raise explain(place, getattr(error.orig, "sqlstate", None), str(error.orig)) from error
    except PoolTimeoutError as error:
        raise LedgerError(
            f"the ledger {place} cannot be used", "this process waited too long for a free connection",
            "look at what keeps PostgreSQL busy",
        ) from error  # fmt: skip


_EXPLANATIONS: tuple[tuple[tuple[str, ...], type[SnapholdError], str, str], ...] = (
    (("53100", "58030"), StorageError, "its disk is full or fails", "make room on the server; nothing was half-written"),
    (("53300",), LedgerError, "it has too many connections", "raise max_connections, or run fewer workers"),
    (("28",), LedgerError, "it refuses the login", "check user, password and pg_hba.conf"),
    (("3D000",), LedgerError, "there is no such database", "create it, then run snaphold db upgrade"),
    (("42501",), LedgerError, "the user lacks a right", "have the owner run snaphold db upgrade, and grant the rights"),
    (("25006",), StorageError, "it can only be read", "name the primary server, not a standby"),
    (("55P03", "57014", "25P03"), LedgerError, "another program held it for too long", "look at pg_stat_activity and pg_locks"),
    (("42P01", "3F000", "42703"), LedgerError, "its tables are not those of this version", "snaphold db upgrade"),
    (("08", "57P", "XX000"), LedgerError, "it cannot be reached", "check the server and the network; nothing was half-written"),
)  # fmt: skip


# libpq gives no state for a connection that fails, only the server's words.
_SIGNS = (
    ("28000", ("authentication failed", "no pg_hba.conf entry", "no password supplied", "role ")),
    ("53300", ("too many clients", "too many connections", "connection slots")),
    ("3D000", ("database ",)),
)


def _state_of(message: str) -> str:
    refused = [line.partition("FATAL:")[2] for line in message.splitlines() if "FATAL:" in line]
    for state, signs in _SIGNS:
        if any(sign in line and ("does not exist" in line or state != "3D000") for line in refused for sign in signs):
            return state
    return "08000"


def explain(place: str, sqlstate: str | None, message: str) -> SnapholdError:
    """Return the error that stands for what PostgreSQL said. Without a state the connection itself failed."""
    state = sqlstate or _state_of(message)
    line = " ".join(message.split())
    what = f"the ledger {place} cannot be used"
    if "append-only" in line:
        return LedgerError(what, f"entries and checkpoints are never changed or removed ({line})", "append a correction instead")
    for states, kind, why, do in _EXPLANATIONS:
        if state.startswith(states):
            return kind(what, f"{why} ({line})", do)
    return LedgerError(what, line, "run snaphold audit verify")
