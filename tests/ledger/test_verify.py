"""`verify_ledger` finds every change: edits, deletions, reordering, cut tails, records and checkpoints beside the chain."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snaphold.clock import FixedClock
from snaphold.config import Configuration
from snaphold.domain.authority import Hold
from snaphold.errors import LedgerError
from snaphold.evidence.signature import create_key, load_signer
from snaphold.ledger.chain import hash_body
from snaphold.ledger.checkpoint import (
    Checkpoint,
    checkpoint_text,
    load_checkpoint,
    make_checkpoint,
    save_checkpoint,
    signature_check,
    write_checkpoint,
)
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import GENESIS, canonical
from snaphold.ledger.verify import Report, Status, verify_ledger
from support.ledgers import NOW, actor, configure, copy_ledger, note, open_test_ledger, outcome, tamper

ENTRIES = 9
"""How many entries `filled` has; the checkpoint's own is the last."""


def hold(id: str, reason: str = "evidence") -> Hold:
    return Hold(
        id=id, incident="INC-1", subject="RP-1", subject_kind="restore_point", reason=reason, placed_by="ana", placed_at=NOW
    )


def fill(ledger: DatabaseLedger, configuration: Configuration) -> Checkpoint:
    """Write eight entries with claims and records, and a checkpoint."""
    for key in ("k1", "k2"):
        claim = ledger.claim(note(key), lease_seconds=60)
        ledger.settle(claim, outcome(key), {"job": key}, [hold(f"HOLD-{key}")])
    ledger.claim(note("open"), lease_seconds=60)
    ledger.append(note(incident="INC-2"), [hold("HOLD-k1", "another reason")])
    ledger.append(note(), [hold("HOLD-x"), hold("HOLD-y")])
    ledger.append(note(detail={"finding": "caf\u00e9"}))
    return make_checkpoint(ledger, configuration, actor(configuration))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Configuration, Path]:
    """A configuration and the file of a filled ledger; tests work on copies."""
    folder = tmp_path_factory.mktemp("filled")
    configuration = configure(folder)
    ledger = open_test_ledger(folder)
    fill(ledger, configuration)
    return configuration, copy_ledger(ledger, folder / "still")


def check(configuration: Configuration, path: Path, *kept: Checkpoint) -> Report:
    ledger = DatabaseLedger(path, FixedClock(NOW), read_only=True)
    try:
        return verify_ledger(ledger, signature_check(configuration), kept)
    finally:
        ledger.close()


def spoiled(filled: tuple[Configuration, Path], folder: Path, *statements: tuple[str, tuple[Any, ...]]) -> Report:
    configuration, original = filled
    path = folder / "ledger.sqlite"
    shutil.copy(original, path)
    tamper(path, *statements)
    return check(configuration, path)


def messages(report: Report) -> str:
    return "\n".join(fault.message for fault in report.faults)


def test_an_untouched_ledger_is_verified(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    report = spoiled(filled, tmp_path)
    assert (report.status, report.entries, report.checkpoints, report.after_checkpoint) == (Status.VERIFIED, ENTRIES, 1, 0)
    assert (report.faults, report.unchecked, report.first_bad) == ([], [], None)


def test_entries_after_the_last_checkpoint_are_counted(tmp_path: Path) -> None:
    configuration, ledger = configure(tmp_path), open_test_ledger(tmp_path)
    fill(ledger, configuration)
    ledger.append(note())
    ledger.append(note())
    report = verify_ledger(ledger, signature_check(configuration))
    assert (report.status, report.after_checkpoint) == (Status.VERIFIED, 2)


def test_without_a_checkpoint_it_cannot_be_told(tmp_path: Path) -> None:
    configuration, ledger = configure(tmp_path), open_test_ledger(tmp_path)
    ledger.append(note())
    report = verify_ledger(ledger, signature_check(configuration))
    assert report.status is Status.UNVERIFIABLE
    assert "no checkpoint" in report.unchecked[0]


def test_without_allowed_signers_it_cannot_be_told(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    configuration, path = filled
    report = check(configuration.placed_at(tmp_path), path)
    assert report.status is Status.UNVERIFIABLE
    assert "allowed_signers does not exist" in report.unchecked[0]
    assert report.after_checkpoint == ENTRIES


ROW_EDITS: tuple[tuple[str, str], ...] = (
    ("entry", "body"), ("entry", "hash"), ("entry", "incident"), ("entry", "run"), ("register", "body"),
    ("register", "incident"), ("register", "id"), ("register", "kind"), ("register", "created_by"),
    ("register", "updated_by"), ("claim", "key"), ("claim", "inputs_digest"), ("claim", "state"), ("claim", "fence"),
    ("claim", "result"), ("checkpoint", "text"), ("checkpoint", "signature"), ("checkpoint", "entries"),
)  # fmt: skip


def sql(template: str, table: str, column: str = "") -> str:
    """Return a statement on one of our own tables; names cannot be bound."""
    return template.replace("TABLE", table).replace("COLUMN", column)


def rows_of(path: Path, table: str) -> list[int]:
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute(sql("select rowid from TABLE order by rowid", table))]
    connection.close()
    return found


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_single_edit_of_any_row_is_found(filled: tuple[Configuration, Path], tmp_path: Path, data: st.DataObject) -> None:
    table, column = data.draw(st.sampled_from(ROW_EDITS))
    row = data.draw(st.sampled_from(rows_of(filled[1], table)))
    connection = sqlite3.connect(filled[1])
    old = connection.execute(sql("select COLUMN from TABLE where rowid = ?", table, column), (row,)).fetchone()[0]
    connection.close()
    if isinstance(old, int):
        new: Any = old + data.draw(st.integers(1, 50))
    elif not old:
        new = data.draw(st.sampled_from(['"x"', "{}", "[1]"]))
    else:
        place = data.draw(st.integers(0, len(old) - 1))
        letter = data.draw(st.sampled_from('0aZ{" \u00e9').filter(lambda found: found != old[place]))
        new = old[:place] + letter + old[place + 1 :]
    report = spoiled(filled, tmp_path, (sql("update TABLE set COLUMN = ? where rowid = ?", table, column), (new, row)))
    # A signature whose key looks like one of an unknown kind cannot be checked, which is not the same as wrong.
    allowed = {Status.FAILED, Status.UNVERIFIABLE} if column == "signature" else {Status.FAILED}
    assert report.status in allowed, (table, column, row, old, new)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_deleted_row_is_found(filled: tuple[Configuration, Path], tmp_path: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(["entry", "register", "claim", "checkpoint"]))
    row = data.draw(st.sampled_from(rows_of(filled[1], table)))
    report = spoiled(filled, tmp_path, (sql("delete from TABLE where rowid = ?", table), (row,)))
    assert report.status is Status.FAILED, (table, row)
    if table in ("entry", "checkpoint"):
        assert report.first_bad == row


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(first=st.integers(1, ENTRIES), second=st.integers(1, ENTRIES))
def test_any_two_exchanged_entries_are_found(filled: tuple[Configuration, Path], tmp_path: Path, first: int, second: int) -> None:
    swap = [(-1, first), (first, second), (second, -1)]
    report = spoiled(filled, tmp_path, *[("update entry set sequence = ? where sequence = ?", pair) for pair in swap])
    assert (report.status is Status.FAILED) == (first != second)
    assert report.first_bad == (min(first, second) if first != second else None)


def test_an_edited_entry_is_named(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    report = spoiled(filled, tmp_path, ("update entry set body = replace(body, 'ana', 'eve') where sequence = 4", ()))
    assert report.first_bad == 4
    assert "entry 4 was changed" in messages(report)


def test_an_entry_replaced_with_its_own_right_hash_breaks_the_link(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    connection = sqlite3.connect(filled[1])
    body = connection.execute("select body from entry where sequence = 8").fetchone()[0].replace('"ana"', '"eve"')
    connection.close()
    report = spoiled(filled, tmp_path, ("update entry set body = ?, hash = ? where sequence = 8", (body, hash_body(body))))
    assert report.first_bad == ENTRIES
    assert messages(report) == f"entry {ENTRIES} does not follow the entry before: one of the two was replaced"


def test_a_cut_tail_shows_against_the_checkpoint(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    report = spoiled(filled, tmp_path, ("delete from entry where sequence > 7", ()))
    assert report.first_bad is not None
    assert f"the tail was cut off: the checkpoint says {ENTRIES} entries, there are 7" in messages(report)


def rewrite(path: Path, change: dict[int, dict[str, Any]], keep: int) -> None:
    """Make the whole chain anew with some entries changed, as somebody could who owns the file but not the key."""
    connection = sqlite3.connect(path)
    previous, statements = GENESIS, list[tuple[str, tuple[Any, ...]]]()
    for sequence, body in connection.execute("select sequence, body from entry order by sequence").fetchall():
        if sequence > keep:
            statements.append(("delete from entry where sequence = ?", (sequence,)))
            continue
        text = canonical({**json.loads(body), **change.get(sequence, {}), "previous": previous})
        previous = hash_body(text)
        statements.append(("update entry set body = ?, hash = ? where sequence = ?", (text, previous, sequence)))
    connection.close()
    tamper(path, *statements)


def test_a_chain_made_anew_shows_against_the_signed_checkpoint(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(filled[1], tmp_path / "ledger.sqlite"))
    rewrite(path, {2: {"actor": "eve"}}, keep=ENTRIES)
    report = check(filled[0], path)
    assert report.status is Status.FAILED
    assert f"the checkpoint at entry {ENTRIES} signed another entry: the chain up to it was made anew" in messages(report)


def test_a_checkpoint_of_another_key_is_not_accepted(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    configuration, original = filled
    path = Path(shutil.copy(original, tmp_path / "ledger.sqlite"))
    create_key(tmp_path / "keys/custodian")
    ledger = DatabaseLedger(path, FixedClock(NOW))
    write_checkpoint(ledger, load_signer(configuration.placed_at(tmp_path)), actor(configuration))
    report = check(configuration, path)
    assert report.first_bad == ENTRIES + 1
    assert "not signed as it must be: the signing key is unknown" in messages(report)


def test_a_ledger_rolled_back_with_its_checkpoints_shows_against_a_kept_one(tmp_path: Path) -> None:
    configuration, ledger = configure(tmp_path), open_test_ledger(tmp_path)
    ledger.append(note())
    make_checkpoint(ledger, configuration, actor(configuration))
    earlier = copy_ledger(ledger, tmp_path / "earlier")
    fill(ledger, configuration)
    kept = load_checkpoint(save_checkpoint(make_checkpoint(ledger, configuration, actor(configuration)), tmp_path / "kept"))
    assert check(configuration, earlier).status is Status.VERIFIED, "nothing inside the file can show it"
    report = check(configuration, earlier, kept)
    assert report.status is Status.FAILED
    assert "the tail was cut off: a kept checkpoint says 12 entries, there are 2" in messages(report)
    assert check(configuration, copy_ledger(ledger, tmp_path / "now"), kept).status is Status.VERIFIED


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("update register set body = replace(body, 'evidence', 'whatever') where id = 'HOLD-x'", "hold/HOLD-x was changed"),
        ("delete from register where id = 'HOLD-y'", "hold/HOLD-y was removed beside the ledger: entry 7"),
        ("insert into register values ('hold', 'HOLD-z', 'INC-1', '{}', 1, 1)", "hold/HOLD-z was added beside the ledger"),
        ("update claim set result = '{\"job\":\"other\"}' where key = 'k1'", "the claim k1 was changed"),
        ("delete from claim where key = 'open'", "claim/open was removed beside the ledger: entry 5"),
        ("insert into claim values ('new', 'd', 'intent', 1, 'o', 0, null)", "the claim new was added"),
        ("delete from checkpoint", f"the checkpoint at entry {ENTRIES} was removed"),
    ],
)
def test_what_was_changed_beside_the_chain_is_named(
    filled: tuple[Configuration, Path], tmp_path: Path, statement: str, expected: str
) -> None:
    report = spoiled(filled, tmp_path, (statement, ()))
    assert report.status is Status.FAILED
    assert expected in messages(report)


def test_an_earlier_state_of_a_record_is_found(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    old = canonical(hold("HOLD-k1").model_dump(mode="json"))
    report = spoiled(filled, tmp_path, ("update register set body = ?, updated_by = 2 where id = 'HOLD-k1'", (old,)))
    assert "hold/HOLD-k1 was changed beside the ledger: entry 6" in messages(report)


def test_a_missing_trigger_is_named(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(filled[1], tmp_path / "ledger.sqlite"))
    with sqlite3.connect(path) as connection:
        connection.execute("drop trigger entry_refuses_update")
    connection.close()
    assert "the trigger entry_refuses_update is missing" in messages(check(filled[0], path))


def test_an_entry_that_is_no_json_is_a_fault_and_not_a_crash(filled: tuple[Configuration, Path], tmp_path: Path) -> None:
    for text in ("", "[]", "null", '{"at": 5}', '{"at":"2026-11-22T18:00:00Z","registers":5}'):
        report = spoiled(filled, tmp_path, ("update entry set body = ?, hash = ? where sequence = 3", (text, hash_body(text))))
        assert report.first_bad == 3
        assert "entry 3 is not an entry" in messages(report)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    good = checkpoint_text(3, "a" * 64)
    for text in ("", good[:-1], good + "\n", good.replace("\n", "\r\n"), good.replace("entries: 3", "entries: 03")):
        (tmp_path / "c").write_text(text, newline="")
        (tmp_path / "c.sig").write_text("x")
        with pytest.raises(LedgerError, match="not a ledger checkpoint"):
            load_checkpoint(tmp_path / "c")
    with pytest.raises(LedgerError, match="cannot be read"):
        load_checkpoint(tmp_path / "nothing")
