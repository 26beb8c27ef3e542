"""Brings the database of a configuration to this program's schema: our tables with Alembic, and DBOS's beside them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from snaphold.config import Configuration
from snaphold.errors import LedgerError, MissingToolError
from snaphold.ledger.connection import SqliteStore
from snaphold.ledger.connection import told as told_by_sqlite
from snaphold.ledger.connection import writing as writing_sqlite
from snaphold.ledger.database import ledger_path
from snaphold.ledger.postgresql import SCHEMA, connect_to, lock_number, parse_url, told
from snaphold.ledger.revisions import HEAD, check_known, read_revision

_UPGRADE_LOCK = "snaphold-upgrade"


@dataclass(frozen=True)
class SchemaStatus:
    """Where the database is. `revision` is empty when none was noted, and `exists` says whether there is a ledger at all."""

    place: str
    kind: str
    exists: bool
    revision: str
    head: str = HEAD
    known: bool = True

    @property
    def current(self) -> bool:
        """Whether this program can use it as it is. A SQLite ledger without a revision can be."""
        return self.exists and self.known and (self.revision == self.head or self.kind == "sqlite")


def schema_status(configuration: Configuration) -> SchemaStatus:
    """Return where the configuration's database is, without changing it. Raises LedgerError when it cannot be reached."""
    if configuration.database:
        with _postgres(configuration.database_url()) as (connection, place):
            revision = read_revision(connection)
        return _status(place, "postgresql", exists=revision is not None, revision=revision)
    path = ledger_path(configuration)
    if not path.is_file():
        return SchemaStatus(str(path), "sqlite", exists=False, revision="")
    engine = sa.create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    try:
        with told_by_sqlite(path), engine.connect() as connection:
            revision = read_revision(connection)
    finally:
        engine.dispose()
    return _status(str(path), "sqlite", exists=True, revision=revision)


def _status(place: str, kind: str, *, exists: bool, revision: str | None) -> SchemaStatus:
    try:
        check_known(revision or HEAD, place)
    except LedgerError:
        return SchemaStatus(place, kind, exists, revision or "", known=False)
    return SchemaStatus(place, kind, exists, revision or "")


def upgrade_schema(configuration: Configuration) -> tuple[SchemaStatus, SchemaStatus]:
    """Bring the database to this program's schema and return where it was and where it is. Repeating it changes nothing.

    Several that run at once wait for each other. Raises LedgerError when the schema is newer than this program, and
    MissingToolError without Alembic.
    """
    before = schema_status(configuration)
    check_known(before.revision or HEAD, f"the ledger {before.place}")
    if configuration.database:
        upgrade_postgres(configuration.database_url())
    else:
        path = ledger_path(configuration)
        store = SqliteStore(path)
        try:
            with writing_sqlite(store.engine, path) as connection:
                _run_scripts(connection)
        finally:
            store.close()
    return before, schema_status(configuration)


def upgrade_postgres(url: str) -> None:
    """Bring a PostgreSQL database to this program's schema."""
    with _postgres(url) as (connection, _), connection.begin():
        connection.exec_driver_sql("select pg_advisory_xact_lock(%s)", (lock_number(_UPGRADE_LOCK),))
        connection.exec_driver_sql(f"create schema if not exists {SCHEMA}")
        _run_scripts(connection)
    _upgrade_dbos(url)


@contextmanager
def _postgres(url: str) -> Generator[tuple[sa.Connection, str], None, None]:
    parsed = parse_url(url)
    place = parsed.render_as_string(hide_password=True)
    engine = connect_to(parsed, 1)
    try:
        with told(place), engine.connect() as connection:
            yield connection, place
    finally:
        engine.dispose()


def _run_scripts(connection: sa.Connection) -> None:
    try:
        from alembic import command
        from alembic.config import Config
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed",
            "the schema needs it",
            "pip install 'snaphold[service]'",
        ) from error
    config = Config()
    config.set_main_option("script_location", "snaphold.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _upgrade_dbos(url: str) -> None:
    from snaphold.engine.durable import prepare_database

    prepare_database(url)
