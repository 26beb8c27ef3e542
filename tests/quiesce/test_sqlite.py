from __future__ import annotations

import random
import shutil
import sqlite3
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from snaphold.clock import SystemClock
from snaphold.quiesce import sqlite, sqlite_file, sqlite_proof
from snaphold.quiesce.base import FreezeError
from snaphold.quiesce.sqlite import open_adapter
from support import bank_writer
from support.quiesce_rigs import bank_application, live_bank


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A database in WAL mode that nobody has open."""
    live = tmp_path / "live"
    live.mkdir()
    bank_writer.create(live / "bank.db", "wal")
    return live / "bank.db"


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def transfers(path: Path, mode: str) -> int:
    connection = sqlite3.connect(f"file:{path}?{mode}", uri=True)
    try:
        return int(connection.execute("SELECT transfers FROM progress").fetchone()[0])
    finally:
        connection.close()


def test_a_plain_copy_is_stale_and_the_backup_interface_is_not(tmp_path: Path, staging: Path) -> None:
    with live_bank(tmp_path, checkpoint_pages=1_000_000) as database:
        before = transfers(database, "mode=ro")
        plain = Path(shutil.copy2(database, tmp_path / "plain.db"))
        adapter = open_adapter(SystemClock())
        token = adapter.freeze(bank_application(), tmp_path, staging)
        assert adapter.thaw(token).valid
    assert before > 0
    assert transfers(plain, "mode=ro&immutable=1") == 0, "the plain copy has nothing of the write-ahead log"
    assert transfers(staging / "bank.db", "mode=ro&immutable=1") >= before
    assert adapter.verify(bank_application(), staging / "bank.db").consistent


def wait_for_a_checkpoint(database: Path) -> None:
    """Wait until the application has written into the database's own file."""
    before, until = database.stat().st_mtime_ns, time.monotonic() + 240
    while database.stat().st_mtime_ns == before:
        assert time.monotonic() < until, "the writer does not write"
        time.sleep(0.001)


@pytest.mark.slow
def test_a_slow_plain_copy_is_torn_and_the_backup_interface_is_exact(tmp_path: Path, staging: Path) -> None:
    adapter = open_adapter(SystemClock())
    with live_bank(tmp_path, checkpoint_pages=20) as database:
        torn = 0
        for attempt in range(10):
            plain = tmp_path / f"plain-{attempt}.db"
            with database.open("rb") as source, plain.open("wb") as target:
                for block in iter(lambda: source.read(64 * 1024), b""):
                    target.write(block)
                    wait_for_a_checkpoint(database)
            torn += not adapter.verify(bank_application(), plain).consistent
            folder = staging / str(attempt)
            folder.mkdir()
            token = adapter.freeze(bank_application(), tmp_path, folder)
            assert adapter.thaw(token).valid
            report = adapter.verify(bank_application(), folder)
            assert report.consistent, report.reasons
    assert torn, "none of ten plain copies was torn: the writer did not write"


@pytest.mark.parametrize("journal_mode", ["delete", "truncate", "persist"])
def test_databases_without_a_write_ahead_log_are_copied_exactly(journal_mode: str, tmp_path: Path, staging: Path) -> None:
    bank_writer.create(tmp_path / "bank.db", journal_mode)
    adapter = open_adapter(SystemClock())
    token = adapter.freeze(bank_application(), tmp_path, staging)
    assert adapter.thaw(token).valid
    assert adapter.verify(bank_application(), staging).consistent


def test_a_writer_is_not_held_up_while_a_copy_stands_still(bank: Path, staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = sqlite3.connect(bank, isolation_level=None, timeout=0, check_same_thread=False)
    writer.execute("UPDATE account SET balance = balance")
    monkeypatch.setattr(sqlite, "PAGES_PER_STEP", 1)
    done = threading.Event()
    written: list[int] = []

    def now() -> float:
        """Return the time once somebody wrote since the last look, so that each step of the copy meets a writer."""
        before, until = len(written), time.monotonic() + 240
        while len(written) == before and time.monotonic() < until:
            time.sleep(0.0005)
        return time.monotonic()

    monkeypatch.setattr(sqlite, "time", SimpleNamespace(monotonic=now))

    def write() -> None:
        while not done.is_set():
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE account SET balance = balance + 5 WHERE id = 3")
            writer.execute("UPDATE account SET balance = balance - 5 WHERE id = 1990")
            writer.execute("COMMIT")
            written.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        adapter = open_adapter(SystemClock())
        token = adapter.freeze(bank_application(), bank.parent, staging)
    finally:
        done.set()
        thread.join()
        writer.close()
    end = next(event for event in adapter.evidence(token) if event.event == "copy_end")
    assert written
    assert "others wrote meanwhile" in end.detail
    assert adapter.verify(bank_application(), staging).consistent


def test_the_log_gives_journal_mode_pages_and_counters(tmp_path: Path, staging: Path) -> None:
    with live_bank(tmp_path):
        adapter = open_adapter(SystemClock())
        token = adapter.freeze(bank_application(), tmp_path, staging)
    details = {event.event: event.detail for event in adapter.evidence(token)}
    assert details["frozen_at"].startswith("journal mode wal, data_version ")
    assert "write-ahead log " in details["frozen_at"]
    assert "change counter " in details["copy_end"]
    pages = (staging / "bank.db").stat().st_size // 4096
    assert details["copy_begin"] == f"{pages} pages of 4096 bytes"
    assert details["copy_end"].startswith(f"{pages} pages, ")


def test_a_database_at_rest_gets_no_new_files_beside_it(bank: Path, staging: Path) -> None:
    adapter = open_adapter(SystemClock())
    assert adapter.check(bank_application(), bank.parent).ready
    token = adapter.freeze(bank_application(), bank.parent, staging)
    assert adapter.evidence(token)[1].detail.startswith("at rest")
    assert [path.name for path in bank.parent.iterdir()] == ["bank.db"]
    assert [path.name for path in staging.iterdir()] == ["bank.db"]


def test_a_database_that_is_opened_during_a_copy_at_rest_is_copied_again(
    bank: Path, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities = iter([(1, 1, 1, 1), (1, 1, 2, 2)])

    def changing(_path: Path) -> tuple[int, int, int, int]:
        return next(identities)

    monkeypatch.setattr(sqlite, "identity", changing)
    adapter = open_adapter(SystemClock())
    token = adapter.freeze(bank_application(), bank.parent, staging)
    assert [event.event for event in adapter.evidence(token)].count("copy_end") == 2
    assert "copy_discarded" in [event.event for event in adapter.evidence(token)]
    assert adapter.verify(bank_application(), staging).consistent


def test_the_copy_is_private(bank: Path, staging: Path) -> None:
    token = open_adapter(SystemClock()).freeze(bank_application(), bank.parent, staging)
    assert Path(token.copy_paths[0]).stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_database_is_named_and_nothing_is_left(tmp_path: Path, staging: Path) -> None:
    (tmp_path / "bank.db").write_bytes(b"this was encrypted by somebody" * 100)
    adapter = open_adapter(SystemClock())
    assert "header is missing or damaged" in adapter.check(bank_application(), tmp_path).reasons[0]
    with pytest.raises(FreezeError, match="could not be copied consistently") as caught:
        adapter.freeze(bank_application(), tmp_path, staging)
    assert "header is missing or damaged" in str(caught.value)
    assert not list(staging.iterdir())


def test_a_damaged_page_size_and_a_cut_off_file_are_named(bank: Path) -> None:
    content = bank.read_bytes()
    bank.write_bytes(content[:16] + b"\x00\x03" + content[18:])
    assert "damaged header: page size 3" in open_adapter(SystemClock()).check(bank_application(), bank.parent).reasons[0]
    bank.write_bytes(content[:-100])
    assert "is cut off" in open_adapter(SystemClock()).check(bank_application(), bank.parent).reasons[0]


def test_a_damaged_schema_is_found_before_the_backup(bank: Path) -> None:
    content = bank.read_bytes()
    noise = random.Random(7).randbytes(3996)  # noqa: S311  no secret: the same damage every time
    bank.write_bytes(content[:100] + noise + content[4096:])
    check = open_adapter(SystemClock()).check(bank_application(), bank.parent)
    assert not check.ready
    assert "does not answer" in check.reasons[0]


def test_a_full_disk_is_refused_with_both_numbers(bank: Path, staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nearly_full(_path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=4096)

    monkeypatch.setattr(sqlite_file.shutil, "disk_usage", nearly_full)
    adapter = open_adapter(SystemClock())
    assert "4096 free" in adapter.check(bank_application(), bank.parent).reasons[0]
    with pytest.raises(FreezeError, match="4096 free"):
        adapter.freeze(bank_application(), bank.parent, staging)


def test_a_busy_database_ends_at_the_deadline(tmp_path: Path, staging: Path) -> None:
    bank_writer.create(tmp_path / "bank.db", "delete")
    holder = sqlite3.connect(tmp_path / "bank.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    application = bank_application(freeze_deadline=timedelta(seconds=1))
    started = time.monotonic()
    try:
        with pytest.raises(FreezeError) as caught:
            open_adapter(SystemClock()).freeze(application, tmp_path, staging)
    finally:
        holder.close()
    assert 0.5 < time.monotonic() - started < 60, "at the deadline of a second, not after the minutes that SQLite would wait"
    assert "locked" in str(caught.value)
    assert not list(staging.iterdir())


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM account",
        "UPDATE account SET balance = 0 RETURNING 1",
        "INSERT INTO progress VALUES (1)",
        "ATTACH DATABASE '{folder}/other.db' AS other",
        "PRAGMA journal_mode = delete",
        "CREATE TABLE mine (a)",
        "VACUUM INTO '{folder}/elsewhere.db'",
        "BEGIN",
    ],
)
def test_a_consistency_query_may_only_read(query: str, bank: Path, tmp_path: Path) -> None:
    before = bank.read_bytes()
    application = bank_application(consistency_query=query.replace("{folder}", str(tmp_path)))
    report = open_adapter(SystemClock()).verify(application, bank)
    assert not report.consistent
    assert report.reasons == ("the consistency query was refused: it may only read",)
    assert bank.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["live"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT id FROM account", "must answer with one row; it gave more"),
        ("SELECT id FROM account WHERE id < 0", "must answer with one row; it gave none"),
        ("SELECT id FROM nowhere", "the consistency query failed: no such table: nowhere"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT NULL", "answered 'NULL'"),
    ],
)
def test_a_consistency_query_that_proves_nothing_says_why(query: str, reason: str, bank: Path) -> None:
    report = open_adapter(SystemClock()).verify(bank_application(consistency_query=query), bank)
    assert not report.consistent
    assert reason in report.reasons[0]


def test_an_endless_consistency_query_is_ended(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_proof, "QUERY_SECONDS", 0.2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    report = open_adapter(SystemClock()).verify(bank_application(consistency_query=endless), bank)
    assert report.reasons == ("the consistency query did not end within 0.2 s",)


def test_columns_are_joined_with_a_bar_and_values_are_exact(bank: Path) -> None:
    query = "SELECT 1, NULL, 'text', 1.5, x'00ff', (SELECT count(*) FROM account)"
    application = bank_application(consistency_query=query, expected="1|NULL|text|1.5|00ff|2000")
    assert open_adapter(SystemClock()).verify(application, bank).consistent


def test_a_write_ahead_log_beside_a_copy_gives_a_plain_copy_away(bank: Path) -> None:
    bank.with_name("bank.db-wal").write_bytes(b"frames")
    report = open_adapter(SystemClock()).verify(bank_application(), bank)
    assert not report.consistent
    assert "plain file copy" in report.reasons[0]


def test_a_missing_copy_and_an_odd_name_are_handled(bank: Path, tmp_path: Path) -> None:
    adapter = open_adapter(SystemClock())
    assert "does not exist" in adapter.verify(bank_application(), tmp_path / "gone.db").reasons[0]
    odd = tmp_path / "50% of #1?mode=rwc.db"
    shutil.copy2(bank, odd)
    assert adapter.verify(bank_application(), odd).consistent
