"""What is special about the ledger in PostgreSQL: addresses, revisions, guards, time, turns, and errors that help."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from snaphold.clock import FixedClock, SystemClock
from snaphold.errors import BusyError, InputError, LedgerError, SnapholdError, StorageError
from snaphold.ledger import open_ledger, postgresql, schema
from snaphold.ledger.checkpoint import make_checkpoint, signature_check
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.ledger import ClaimState
from snaphold.ledger.owner import Tenant, read_tenant
from snaphold.ledger.postgresql import PostgresStore, explain
from snaphold.ledger.verify import Status, verify_ledger
from support.ledgers import NOW, actor, configure, note, outcome
from support.postgres import PASSWORD, Postgres


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.empty_ledger()


@pytest.fixture
def ledger(url: str) -> Iterator[DatabaseLedger]:
    opened = DatabaseLedger.on(PostgresStore(url), FixedClock(NOW))
    yield opened
    opened.close()


def tamper(url: str, *statements: str) -> None:
    """Run SQL as the owner of the tables, past the triggers."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set search_path = snaphold")
        connection.execute("set session_replication_role = replica")
        for statement in statements:
            connection.execute(statement.encode())


def test_the_configuration_names_the_database_by_reference(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_URL", postgres.empty_ledger())
    configuration = configure(tmp_path, sign=False, database="env:LEDGER_URL")
    ledger = open_ledger(configuration, SystemClock())
    ledger.append(note())
    assert len(open_ledger(configuration, SystemClock(), read_only=True).entries()) == 1
    assert not (tmp_path / "state").exists(), "nothing of the ledger is in files"
    with pytest.raises(LedgerError, match="not a file") as caught:
        _ = ledger.path
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("address", ["postgresql://ana:hunter2@db/x", "postgresql://db/x?password=hunter2", "mysql://db/x", "db"])
def test_a_password_or_another_kind_of_database_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ValidationError) as caught:
        configure(tmp_path, sign=False, database=address)
    assert "hunter2" not in str(caught.value.errors(include_input=False))
    with pytest.raises(InputError) as refused:
        configure(tmp_path, sign=False).with_database(address)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["postgresql://host", "sqlite:///x", "nonsense"])
def test_an_address_that_names_no_database_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="address"):
        PostgresStore(text)


def test_a_reader_cannot_write(url: str, ledger: DatabaseLedger) -> None:
    ledger.append(note())
    reader = DatabaseLedger.on(PostgresStore(url, read_only=True), FixedClock(NOW))
    assert len(reader.entries()) == 1
    with pytest.raises(StorageError, match="cannot be used"):
        reader.append(note())
    reader.close()


def test_writers_that_are_kept_waiting_too_long_are_told(url: str, ledger: DatabaseLedger) -> None:
    impatient = DatabaseLedger.on(PostgresStore(url, lock_seconds=0.05), FixedClock(NOW))
    with ledger.writing(), pytest.raises(LedgerError, match="cannot be used") as caught:
        impatient.append(note())
    assert "held it for too long" in str(caught.value)
    impatient.close()


def append_twenty(ledger: DatabaseLedger) -> None:
    for _ in range(20):
        ledger.append(note())


def test_two_ledgers_that_write_together_make_one_chain(url: str, ledger: DatabaseLedger) -> None:
    other = DatabaseLedger.on(PostgresStore(url), FixedClock(NOW))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(append_twenty, (ledger, other)))
    entries = ledger.entries()
    assert [entry.sequence for entry in entries] == list(range(1, 41))
    assert [entry.previous for entry in entries[1:]] == [entry.hash for entry in entries[:-1]]
    other.close()


def test_a_turn_keeps_the_other_process_out(url: str, ledger: DatabaseLedger, tmp_path: Path) -> None:
    impatient = DatabaseLedger.on(PostgresStore(url, lock_seconds=0.05), FixedClock(NOW))
    with ledger.turn(tmp_path / "a.lock"):
        ledger.append(note())
        with impatient.turn(tmp_path / "b.lock"):
            pass
        with pytest.raises(LedgerError, match="cannot be used"), impatient.turn(tmp_path / "a.lock"):
            pass
    with impatient.turn(tmp_path / "a.lock"):
        pass
    impatient.close()


def test_time_is_the_databases_unless_a_test_holds_the_clock(url: str) -> None:
    ledger = DatabaseLedger.on(PostgresStore(url), SystemClock())
    entry = ledger.append(note())
    with ledger.reading() as connection:
        now = connection.exec_driver_sql("select clock_timestamp()").scalar_one()
    assert timedelta(0) <= now - entry.at < timedelta(minutes=10)
    ledger.close()


def test_every_change_beside_the_ledger_is_found(url: str, ledger: DatabaseLedger, tmp_path: Path) -> None:
    configuration = configure(tmp_path)
    claim = ledger.claim(note("k"), lease_seconds=60)
    ledger.settle(claim, outcome("k"), {"job": "J"}, [])
    make_checkpoint(ledger, configuration, actor(configuration))
    assert verify_ledger(ledger, signature_check(configuration)).status is Status.VERIFIED
    tamper(url, "update entry set body = replace(body, 'ana', 'eve') where sequence = 1", "update claim set state = 'failed'")
    faults = [fault.message for fault in verify_ledger(ledger, signature_check(configuration)).faults]
    assert any("entry 1 was changed" in fault for fault in faults)
    assert any("the claim k was changed" in fault for fault in faults)


@pytest.mark.parametrize(
    "statement",
    ["drop trigger entry_refuses_update on snaphold.entry", "alter table snaphold.entry disable trigger entry_refuses_update",
     "create or replace function snaphold.refuse_change() returns trigger language plpgsql as 'begin return new; end'"],
)  # fmt: skip
def test_a_guard_that_is_taken_away_is_found(postgres: Postgres, statement: str) -> None:
    name = postgres.create(postgres.prepared)
    ledger = DatabaseLedger.on(PostgresStore(postgres.url(name)), FixedClock(NOW))
    with ledger.reading() as connection:
        assert ledger.guard_faults(connection) == []
    postgres.execute(statement, name)
    with ledger.reading() as connection:
        assert "the trigger entry_refuses_update" in ledger.guard_faults(connection)
    ledger.close()


@pytest.mark.parametrize("table", ["entry", "checkpoint", "claim", "register"])
def test_no_table_of_the_trail_can_be_emptied(ledger: DatabaseLedger, table: str) -> None:
    with pytest.raises(LedgerError, match="cannot be used"), ledger.writing() as connection:
        connection.exec_driver_sql(f"truncate {table} cascade")


def test_a_database_that_nobody_prepared_is_refused(postgres: Postgres) -> None:
    name = postgres.create()
    with pytest.raises(LedgerError, match="not ready") as caught:
        PostgresStore(postgres.url(name))
    assert caught.value.do == "snaphold db upgrade"


def test_a_newer_schema_is_refused(postgres: Postgres) -> None:
    name = postgres.create(postgres.prepared)
    postgres.execute("update snaphold.alembic_version set version_num = '9999'", name)
    with pytest.raises(LedgerError, match="newer than this program"):
        PostgresStore(postgres.url(name))


def test_a_server_that_is_not_there_a_wrong_password_and_a_missing_database_are_told_apart(postgres: Postgres) -> None:
    cases = {
        "cannot be reached": f"postgresql://snaphold@127.0.0.1:1/{postgres.prepared}",
        "refuses the login": postgres.url(postgres.prepared, password="wrong"),
        "no such database": postgres.url("nowhere"),
    }
    for why, url in cases.items():
        with pytest.raises(LedgerError) as caught:
            PostgresStore(url)
        assert why in str(caught.value)
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("state", "kind", "word"),
    [("53100", StorageError, "full"), ("53300", LedgerError, "connections"), ("42501", LedgerError, "right"),
     ("25006", StorageError, "read"), ("42P01", LedgerError, "tables"), ("57P01", LedgerError, "reached"),
     (None, LedgerError, "reached"), ("22000", LedgerError, "something new")],
)  # fmt: skip
def test_every_database_error_says_what_to_do(state: str | None, kind: type[SnapholdError], word: str) -> None:
    error = explain("postgresql://db/x", state, "something new")
    assert type(error) is kind
    assert word in str(error.why)
    assert error.do


def _drive(url: str, **values: Any) -> None:
    fields = {"run": "R", "state": "driven", "worker": "w1", "fence": 1, "woken": False, "changed_at": 0, "plan": "{}", **values}
    engine = PostgresStore(url).engine
    with engine.begin() as connection:
        connection.execute(sa.delete(schema.tenure))
        connection.execute(sa.insert(schema.tenure), fields)
    engine.dispose()


def test_a_claim_of_a_run_is_taken_over_as_soon_as_another_worker_has_the_run(url: str, ledger: DatabaseLedger) -> None:
    first = ledger.guarded(None, Tenant("R", 1).name)
    _drive(url)
    first.claim(note("k"), lease_seconds=900)
    with pytest.raises(BusyError, match="being worked on"):
        ledger.claim(note("k"), lease_seconds=900)
    _drive(url, fence=2, worker="w2")
    second = ledger.guarded(None, Tenant("R", 2).name)
    assert second.claim(note("k"), lease_seconds=900).state is ClaimState.TAKEN_OVER
    _drive(url, fence=2, worker=None, state="ended")
    with pytest.raises(BusyError, match="being worked on"):
        ledger.claim(note("k"), lease_seconds=900)
    _drive(url, fence=2, worker=None, state="wanted")
    assert ledger.claim(note("k"), lease_seconds=900).state is ClaimState.TAKEN_OVER


def test_an_owner_is_a_run_or_a_process() -> None:
    assert read_tenant(Tenant("RUN-INC-1-abc", 3).name) == Tenant("RUN-INC-1-abc", 3)
    assert read_tenant("boot/pid:[1] 12 34") is None
    assert read_tenant("run x y") is None


def _cut(postgres: Postgres, url: str) -> None:
    """End every connection of a database, as a restart of the server does."""
    name = url.rpartition("/")[2]
    others = f"datname = '{name}' and pid <> pg_backend_pid()"
    postgres.execute(f"select pg_terminate_backend(pid, 240000) from pg_stat_activity where {others}")  # noqa: S608  a name of ours


def test_a_connection_that_broke_while_it_rested_is_replaced(
    url: str, ledger: DatabaseLedger, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(note())
    _cut(postgres, url)
    monkeypatch.setattr(postgresql, "REST_SECONDS", 0.0)
    ledger.append(note())
    assert len(ledger.entries()) == 2


def test_what_was_sent_over_a_connection_that_broke_is_never_sent_again(
    url: str, ledger: DatabaseLedger, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "REST_SECONDS", 3600.0)
    ledger.append(note())
    _cut(postgres, url)
    with pytest.raises(LedgerError, match="cannot be used"):
        ledger.append(note())
    assert len(ledger.entries()) == 1
    ledger.append(note())
    assert [entry.sequence for entry in ledger.entries()] == [1, 2]
