"""Alembic brings every ledger to this program's schema, and adopts those from before there were revisions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from snaphold.clock import FixedClock
from snaphold.engine.tenures import driver_of
from snaphold.errors import LedgerError
from snaphold.ledger import open_ledger, schema
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.postgresql import PostgresStore
from snaphold.ledger.revisions import HEAD, REVISIONS, VERSION_TABLE
from snaphold.ledger.upgrade import schema_status, upgrade_schema
from support.ledgers import NOW, configure, note
from support.postgres import Postgres


def test_the_revisions_are_those_of_the_scripts_in_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", "snaphold.ledger:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS
    assert scripts.get_heads() == [HEAD]


def test_the_scripts_make_exactly_the_tables_that_the_program_uses(postgres: Postgres) -> None:
    whole = sa.MetaData()
    for table in (*schema.metadata.sorted_tables, *schema.cluster.sorted_tables):
        table.to_metadata(whole)
    store = PostgresStore(postgres.url(postgres.create(postgres.prepared)))
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True, "version_table": VERSION_TABLE})
        assert compare_metadata(context, whole) == []
        assert store.guard_faults(connection) == []
    store.close()


def test_a_new_database_is_prepared_once_and_repeating_it_changes_nothing(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_URL", postgres.url(postgres.create()))
    configuration = configure(tmp_path, sign=False, database="env:LEDGER_URL")
    before, after = upgrade_schema(configuration)
    assert (before.exists, before.current, before.revision) == (False, False, "")
    assert (after.exists, after.current, after.revision) == (True, True, HEAD)
    open_ledger(configuration, FixedClock(NOW)).append(note())
    assert [one.revision for one in upgrade_schema(configuration)] == [HEAD, HEAD]
    assert len(open_ledger(configuration, FixedClock(NOW)).entries()) == 1


def test_an_older_schema_is_refused_until_it_is_upgraded(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgres.create(postgres.prepared)
    postgres.execute("drop table snaphold.worker, snaphold.tenure", name)
    postgres.execute("update snaphold.alembic_version set version_num = '0001'", name)
    monkeypatch.setenv("LEDGER_URL", postgres.url(name))
    configuration = configure(tmp_path, sign=False, database="env:LEDGER_URL")
    with pytest.raises(LedgerError, match="not ready"):
        open_ledger(configuration, FixedClock(NOW))
    assert schema_status(configuration).revision == "0001"
    upgrade_schema(configuration)
    open_ledger(configuration, FixedClock(NOW)).append(note())


def test_a_newer_schema_is_never_touched(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = postgres.create(postgres.prepared)
    postgres.execute("update snaphold.alembic_version set version_num = '9999'", name)
    monkeypatch.setenv("LEDGER_URL", postgres.url(name))
    configuration = configure(tmp_path, sign=False, database="env:LEDGER_URL")
    assert (schema_status(configuration).known, schema_status(configuration).current) == (False, False)
    with pytest.raises(LedgerError, match="newer than this program"):
        upgrade_schema(configuration)


def test_a_ledger_file_from_before_there_were_revisions_is_used_as_it_is_and_adopted(tmp_path: Path) -> None:
    configuration = configure(tmp_path, sign=False)
    ledger = open_ledger(configuration, FixedClock(NOW))
    ledger.append(note())
    ledger.close()
    with sqlite3.connect(ledger.path) as connection:
        connection.execute(f"drop table {VERSION_TABLE}")
    connection.close()
    status = schema_status(configuration)
    assert (status.revision, status.current, status.kind) == ("", True, "sqlite")
    assert len(open_ledger(configuration, FixedClock(NOW)).entries()) == 1
    before, after = upgrade_schema(configuration)
    assert (before.revision, after.revision, after.current) == ("", HEAD, True)
    assert len(open_ledger(configuration, FixedClock(NOW)).entries()) == 1


def test_a_ledger_file_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    configuration = configure(tmp_path, sign=False)
    ledger = open_ledger(configuration, FixedClock(NOW))
    ledger.close()
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    for attempt in (lambda: open_ledger(configuration, FixedClock(NOW)), lambda: upgrade_schema(configuration)):
        with pytest.raises(LedgerError, match="newer than this program"):
            attempt()


def test_there_is_nothing_before_the_first_use_and_an_upgrade_makes_the_file(tmp_path: Path) -> None:
    configuration = configure(tmp_path, sign=False)
    assert not schema_status(configuration).exists
    assert not (tmp_path / "state").exists()
    assert upgrade_schema(configuration)[1].current
    with sqlite3.connect(tmp_path / "state/ledger.sqlite") as connection:
        assert connection.execute("select version_num from alembic_version").fetchall() == [(HEAD,)]
    connection.close()


EVERY_TABLE = {*schema.metadata.tables, *schema.cluster.tables, VERSION_TABLE}


def tables_of(path: Path) -> set[str]:
    engine = sa.create_engine(f"sqlite:///{path}")
    found = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return found


def test_a_new_file_has_the_tables_of_the_ledger_and_of_its_workers(tmp_path: Path) -> None:
    open_ledger(configure(tmp_path, sign=False), FixedClock(NOW)).close()
    assert tables_of(tmp_path / "state/ledger.sqlite") == EVERY_TABLE


@pytest.mark.parametrize("opened", [True, False])
def test_a_file_from_before_it_could_share_runs_gets_the_tables_and_its_revision(tmp_path: Path, opened: bool) -> None:
    configuration = configure(tmp_path, sign=False)
    ledger = open_ledger(configuration, FixedClock(NOW))
    ledger.append(note())
    ledger.close()
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("drop table worker")
        connection.execute("drop table tenure")
        connection.execute("update alembic_version set version_num = '0002'")
    connection.close()
    copy = DatabaseLedger(ledger.path, FixedClock(NOW), read_only=True)
    assert (copy.shares_runs, driver_of(copy, "RUN-1"), len(copy.entries())) == (False, None, 1)
    copy.close()
    if opened:
        again = open_ledger(configuration, FixedClock(NOW))
        assert (again.shares_runs, len(again.entries())) == (True, 1)
        again.close()
    else:
        upgrade_schema(configuration)
    assert schema_status(configuration).revision == HEAD
    assert tables_of(ledger.path) == EVERY_TABLE
