"""The ledger's promises: one transaction, idempotent claims, fences, registers, and errors that help."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from snaphold.clock import FixedClock
from snaphold.domain.authority import Hold, PromotionException
from snaphold.errors import BusyError, InputError, LedgerError, StorageError
from snaphold.ledger import open_ledger, schema
from snaphold.ledger.connection import explain
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import GENESIS, Event, hash_entry
from snaphold.ledger.ledger import ClaimState
from snaphold.ledger.owner import current_owner, is_provably_dead
from snaphold.ledger.postgresql import PostgresStore
from support.ledgers import INCIDENT, NOW, configure, copy_ledger, note, open_test_ledger, outcome
from support.postgres import Postgres

TESTS = Path(__file__).resolve().parents[1]
STRANGER = "another-machine 1 1"


def hold(id: str, incident: str = "INC-1", reason: str = "evidence") -> Hold:
    return Hold(
        id=id, incident=incident, subject="RP-1", subject_kind="restore_point", reason=reason, placed_by="ana", placed_at=NOW
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[DatabaseLedger]:
    """A ledger in each kind of database: both keep every promise."""
    if request.param == "sqlite":
        opened = open_test_ledger(tmp_path, clock)
    else:
        server: Postgres = request.getfixturevalue("postgres")
        opened = DatabaseLedger.on(PostgresStore(server.empty_ledger()), clock)
    yield opened
    opened.close()


@pytest.fixture
def file_ledger(tmp_path: Path, clock: FixedClock) -> DatabaseLedger:
    return open_test_ledger(tmp_path, clock)


def disown(ledger: DatabaseLedger) -> None:
    """Make every claim belong to a worker on another machine: whether it lives cannot be told."""
    with ledger.writing() as connection:
        connection.execute(sa.update(schema.claim).values(owner=STRANGER))


def test_the_first_entry_follows_genesis_and_each_other_the_one_before(ledger: DatabaseLedger) -> None:
    first, second = ledger.append(note("a")), ledger.append(note("b"))
    assert (first.sequence, first.previous) == (1, GENESIS)
    assert (second.sequence, second.previous) == (2, first.hash)
    assert hash_entry(second.model_dump(mode="json")) == second.hash
    assert ledger.entries() == [first, second]


def test_entries_are_found_by_incident_and_run(ledger: DatabaseLedger) -> None:
    for incident, run in (("INC-1", "R1"), ("INC-2", "R2"), ("INC-1", "R3")):
        ledger.append(note(incident=incident, run=run))
    assert [entry.run for entry in ledger.entries(incident="INC-1")] == ["R1", "R3"]
    assert [entry.sequence for entry in ledger.entries(run="R2")] == [2]


def test_text_that_is_not_utf8_is_kept_readable(ledger: DatabaseLedger) -> None:
    entry = ledger.append(note(detail={"name": "caf\udce9", "list": ["\udc80"]}))
    assert entry.detail == {"name": "caf\\udce9", "list": ["\\udc80"]}
    assert ledger.entries() == [entry]


def test_a_number_that_json_cannot_hold_is_kept_as_null(ledger: DatabaseLedger) -> None:
    claim = ledger.claim(note("k"), lease_seconds=60)
    ledger.settle(claim, outcome("k"), {"rate": float("nan"), "all": [float("inf"), 1.5]}, [])
    assert ledger.claim(note("k"), lease_seconds=60).result == {"rate": None, "all": [None, 1.5]}


def test_a_record_changes_with_its_entry_and_the_entry_names_its_digest(ledger: DatabaseLedger) -> None:
    ledger.append(note(), [hold("HOLD-2"), hold("HOLD-1")])
    changed = hold("HOLD-2", reason="a better reason")
    entry = ledger.append(note(), [changed])
    assert ledger.record(Hold, "HOLD-2") == changed
    assert [found.id for found in ledger.records(Hold, "INC-1")] == ["HOLD-1", "HOLD-2"]
    assert [name.rpartition("/")[0] for name in entry.registers] == ["hold/HOLD-2"]
    assert ledger.records(Hold, "INC-2") == []
    assert ledger.record(PromotionException, "HOLD-1") is None


def test_records_come_oldest_first_whatever_their_ids(ledger: DatabaseLedger) -> None:
    for id in ("HOLD-9", "HOLD-5", "HOLD-7"):
        ledger.append(note(), [hold(id)])
    ledger.append(note(), [hold("HOLD-9", reason="again")])
    assert [found.id for found in ledger.records(Hold)] == ["HOLD-9", "HOLD-5", "HOLD-7"]


def test_a_new_key_is_fresh_and_settles_once(ledger: DatabaseLedger) -> None:
    claim = ledger.claim(note("k"), lease_seconds=60)
    assert (claim.state, claim.fence) == (ClaimState.FRESH, 1)
    ledger.settle(claim, outcome("k"), {"job": "J"}, [hold("HOLD-1")])
    again = ledger.claim(note("k"), lease_seconds=60)
    assert (again.state, again.result) == (ClaimState.SETTLED, {"job": "J"})
    assert [entry.event for entry in ledger.entries()] == [Event.INTENT, Event.OUTCOME]
    assert ledger.record(Hold, "HOLD-1") is not None


def test_a_key_is_refused_for_another_request(ledger: DatabaseLedger) -> None:
    ledger.claim(note("k"), lease_seconds=60)
    with pytest.raises(InputError, match="another request"):
        ledger.claim(note("k", inputs_digest="d2"), lease_seconds=60)


def test_a_running_lease_keeps_others_out_until_it_ends(ledger: DatabaseLedger, clock: FixedClock) -> None:
    first = ledger.claim(note("k"), lease_seconds=60)
    with pytest.raises(BusyError, match="being worked on"):
        ledger.claim(note("k"), lease_seconds=60)
    disown(ledger)
    clock.advance(59)
    with pytest.raises(BusyError, match="being worked on"):
        ledger.claim(note("k"), lease_seconds=60)
    clock.advance(1)
    second = ledger.claim(note("k"), lease_seconds=60)
    assert (first.fence, second.fence, second.state) == (1, 2, ClaimState.TAKEN_OVER)
    assert ledger.entries()[-1].event is Event.TAKEN_OVER


def test_a_stale_owner_writes_nothing(ledger: DatabaseLedger, clock: FixedClock) -> None:
    stale = ledger.claim(note("k"), lease_seconds=1)
    clock.advance(2)
    owner = ledger.claim(note("k"), lease_seconds=60)
    before = ledger.entries()
    with pytest.raises(BusyError, match="no longer held"):
        ledger.settle(stale, outcome("k"), {}, [hold("HOLD-1")])
    with pytest.raises(BusyError, match="no longer held"):
        ledger.renew(stale, lease_seconds=60)
    assert ledger.entries() == before
    assert ledger.record(Hold, "HOLD-1") is None
    ledger.settle(owner, outcome("k"), {}, [])
    with pytest.raises(BusyError, match="no longer held"):
        ledger.settle(owner, outcome("k"), {}, [])


def test_a_renewed_lease_runs_its_full_length_again(ledger: DatabaseLedger, clock: FixedClock) -> None:
    claim = ledger.claim(note("k"), lease_seconds=60)
    clock.advance(59)
    ledger.renew(claim, lease_seconds=60)
    clock.advance(59)
    with pytest.raises(BusyError):
        ledger.claim(note("k"), lease_seconds=60)


@pytest.mark.parametrize("settled", ["succeeded", "partial", "unknown", "failed"])
def test_only_a_clean_failure_is_opened_again(ledger: DatabaseLedger, settled: str) -> None:
    claim = ledger.claim(note("k"), lease_seconds=60)
    ledger.settle(claim, outcome("k", settled), {"n": 1}, [])
    again = ledger.claim(note("k"), lease_seconds=60, reopen_failed=True)
    if settled == "failed":
        assert (again.state, again.fence, again.result) == (ClaimState.FRESH, 2, None)
    else:
        assert (again.state, again.fence, again.result) == (ClaimState.SETTLED, 1, {"n": 1})
    assert ledger.claim(note("k2"), lease_seconds=60, reopen_failed=True).state is ClaimState.FRESH


FORKED = """
import os, sys
from pathlib import Path
from snaphold.clock import FixedClock
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.postgresql import PostgresStore
from support.ledgers import NOW, note

place, clock = sys.argv[1], FixedClock(NOW)
is_url = place.startswith("postgresql://")
ledger = DatabaseLedger.on(PostgresStore(place), clock) if is_url else DatabaseLedger(Path(place), clock)
child = os.fork()
if child == 0:
    try:
        ledger.claim(note("k"), lease_seconds=900)
    finally:
        os._exit(0)
os.waitpid(child, 0)
print(ledger.entries()[-1].event.value, ledger.claim(note("k"), lease_seconds=900).state.value)
"""
"""A child has the ledger of its parent, claims and ends. A program of its own: in this process other threads may hold locks
at the moment of a fork, and nobody would let go of them in the child."""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_lease_of_a_process_that_is_gone_is_taken_over_at_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = str(tmp_path / "ledger.sqlite") if kind == "sqlite" else request.getfixturevalue("postgres").empty_ledger()
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent / "integrations")))
    done = subprocess.run(
        [sys.executable, "-c", FORKED, place], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [Event.INTENT.value, ClaimState.TAKEN_OVER.value]


def test_only_a_process_that_is_provably_gone_counts_as_dead() -> None:
    mine = current_owner()
    machine, number, started = mine.split(" ")
    assert not is_provably_dead(mine)
    assert is_provably_dead(f"{machine} {number} {int(started) - 1}"), "the number was given to a later process"
    assert not is_provably_dead(f"another {number} 1")
    assert not is_provably_dead(f"- {number} 1")
    assert not is_provably_dead(f"{machine} {number} 0")
    assert not is_provably_dead("nonsense")


def test_a_claim_without_key_or_digest_is_refused(ledger: DatabaseLedger) -> None:
    with pytest.raises(InputError):
        ledger.claim(note(""), lease_seconds=60)
    with pytest.raises(InputError):
        ledger.settle(ledger.claim(note("k"), lease_seconds=60), note("k"), {}, [])


def test_a_failed_transaction_leaves_nothing(ledger: DatabaseLedger) -> None:
    claim = ledger.claim(note("k"), lease_seconds=60)
    with pytest.raises(KeyError, match="incident"):
        ledger.settle(claim, outcome("k"), {}, [hold("HOLD-1"), INCIDENT])
    assert len(ledger.entries()) == 1
    assert ledger.record(Hold, "HOLD-1") is None
    ledger.settle(claim, outcome("k"), {}, [])


@pytest.mark.parametrize(
    "statement",
    ["update entry set hash = 'x'", "delete from entry", "delete from checkpoint", "update checkpoint set text = 'x'",
     "delete from claim", "delete from register"],
)  # fmt: skip
def test_the_database_itself_refuses_changes(ledger: DatabaseLedger, statement: str) -> None:
    claim = ledger.claim(note("k"), lease_seconds=60)
    ledger.settle(claim, outcome("k"), {}, [hold("HOLD-1")])
    with ledger.writing() as connection:
        connection.exec_driver_sql("insert into checkpoint values (1, 'text', 'signature')")
    with pytest.raises(LedgerError) as caught, ledger.writing() as connection:
        connection.exec_driver_sql(statement)
    assert "never changed or removed" in str(caught.value)


def test_the_file_is_private_and_synced_at_every_commit(tmp_path: Path, clock: FixedClock) -> None:
    configuration = configure(tmp_path, sign=False)
    ledger = open_ledger(configuration, clock)
    ledger.append(note())
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700
    for suffix in ("", "-wal", "-shm"):
        assert stat.S_IMODE(Path(str(ledger.path) + suffix).stat().st_mode) == 0o600
    with ledger.reading() as connection:
        assert connection.exec_driver_sql("pragma synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("pragma journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("pragma foreign_keys").scalar_one() == 1


def test_a_ledger_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    open_test_ledger(tmp_path).close()
    (tmp_path / "ledger.sqlite").chmod(0o644)
    open_test_ledger(tmp_path).close()
    assert stat.S_IMODE((tmp_path / "ledger.sqlite").stat().st_mode) == 0o600


def test_a_newer_schema_is_refused(file_ledger: DatabaseLedger) -> None:
    with sqlite3.connect(file_ledger.path) as connection:
        connection.execute("pragma user_version=99")
    connection.close()
    with pytest.raises(LedgerError, match="newer than this program"):
        open_test_ledger(file_ledger.path.parent)


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("create table theirs (x)")
    connection.close()
    with pytest.raises(LedgerError, match="not a ledger"):
        open_test_ledger(tmp_path)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all, certainly not" * 50)
    with pytest.raises(LedgerError, match="cannot be used") as caught:
        open_test_ledger(tmp_path)
    assert "damaged" in str(caught.value)


def test_a_damaged_page_is_named_and_the_original_error_kept(file_ledger: DatabaseLedger, tmp_path: Path) -> None:
    for number in range(40):
        file_ledger.append(note(f"k{number}", detail={"text": "x" * 800}))
    file_ledger.close()
    data = bytearray(file_ledger.path.read_bytes())
    data[4096:] = random.Random(20261122).randbytes(len(data) - 4096)  # noqa: S311  the same damage every time
    file_ledger.path.write_bytes(bytes(data))
    with pytest.raises(LedgerError):
        open_test_ledger(tmp_path).entries()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match="cannot be used"):
        open_test_ledger(tmp_path / "state")


def test_a_ledger_that_is_not_there_is_not_made_for_readers(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        DatabaseLedger(tmp_path / "ledger.sqlite", FixedClock(NOW), read_only=True)
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_reader_cannot_write(file_ledger: DatabaseLedger) -> None:
    file_ledger.append(note())
    reader = DatabaseLedger(file_ledger.path, FixedClock(NOW), read_only=True)
    assert len(reader.entries()) == 1
    with pytest.raises(StorageError, match="cannot be used"):
        reader.append(note())


def test_a_process_that_waits_too_long_for_a_connection_is_told_so(file_ledger: DatabaseLedger) -> None:
    impatient = DatabaseLedger(file_ledger.path, FixedClock(NOW), busy_seconds=0.05)
    with ExitStack() as held:
        for _ in range(5 + 10):  # as many as the pool has
            held.enter_context(impatient.store.looking())
        with pytest.raises(LedgerError, match="waited too long for a free connection"):
            impatient.append(note())
    assert impatient.append(note()).sequence == 1, "they are free again"


def no_access(path: Path, mode: int) -> bool:
    """Say no, also to root."""
    return False


def test_a_copy_on_read_only_media_can_be_read(
    file_ledger: DatabaseLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_ledger.append(note())
    copy = copy_ledger(file_ledger, tmp_path / "media")
    monkeypatch.setattr("snaphold.ledger.connection.os.access", no_access)
    assert len(DatabaseLedger(copy, FixedClock(NOW), read_only=True).entries()) == 1
    assert [path.name for path in copy.parent.iterdir()] == ["ledger.sqlite"], "nothing was written beside it"


def test_a_full_disk_is_told_and_nothing_is_half_written(file_ledger: DatabaseLedger) -> None:
    file_ledger.append(note())
    with file_ledger.reading() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar_one()
    small = DatabaseLedger(file_ledger.path, FixedClock(NOW))
    with small.reading() as connection:
        connection.exec_driver_sql(f"pragma max_page_count={pages}")

    def fill() -> None:
        for number in range(50):
            small.append(note(detail={"text": "x" * 4000}), [hold(f"HOLD-{number}")])

    with pytest.raises(StorageError, match="cannot be used") as caught:
        fill()
    assert "full" in str(caught.value)
    assert len(file_ledger.records(Hold)) == len(file_ledger.entries()) - 1


def test_a_database_that_stays_locked_is_told(file_ledger: DatabaseLedger) -> None:
    impatient = DatabaseLedger(file_ledger.path, FixedClock(NOW), busy_seconds=0.05)
    with file_ledger.writing(), pytest.raises(LedgerError, match="cannot be used") as caught:
        impatient.append(note())
    assert "held it for too long" in str(caught.value)


@pytest.mark.parametrize(
    ("message", "kind", "word"),
    [
        ("database or disk is full", StorageError, "full"),
        ("attempt to write a readonly database", StorageError, "read-only"),
        ("unable to open database file", StorageError, "opened"),
        ("disk I/O error", StorageError, "error"),
        ("database disk image is malformed", LedgerError, "damaged"),
        ("something new", LedgerError, "something new"),
    ],
)
def test_every_database_error_says_what_to_do(message: str, kind: type[Exception], word: str) -> None:
    error = explain(Path("ledger.sqlite"), message)
    assert type(error) is kind
    assert word in str(error.why)
    assert error.do


def test_time_comes_from_the_clock(ledger: DatabaseLedger, clock: FixedClock) -> None:
    first = ledger.append(note())
    clock.advance(1.5)
    assert ledger.append(note()).at - first.at == timedelta(seconds=1.5)


def test_threads_that_write_together_lose_nothing(ledger: DatabaseLedger) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ledger.append, [note(f"k{number}") for number in range(80)]))
    entries = ledger.entries()
    assert [entry.sequence for entry in entries] == list(range(1, 81))
    assert [entry.previous for entry in entries[1:]] == [entry.hash for entry in entries[:-1]]
