"""The custody log: chained, appended whole or not at all, checkpointed."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from snaphold.clock import FixedClock
from snaphold.errors import EvidenceError, StorageError
from snaphold.evidence.custody import Checkpoint, append_record, parse_checkpoint, parse_record
from snaphold.evidence.custody_record import CustodyEvent, CustodyNote
from snaphold.evidence.package import party
from snaphold.evidence.verify import Status, verify_package
from support.evidence_packages import ANA, SEALED_AT, Sealed, seal

CLOCK = FixedClock(SEALED_AT)


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return seal(tmp_path)


def note(**changes: object) -> CustodyNote:
    given: dict[str, object] = {
        "case_id": "INC-1",
        "evidence_id": "EV-INC-1-0a1b2c3d",
        "event": "checked_out",
        "received_by": party(ANA),
        **changes,
    }
    return CustodyNote.model_validate(given)


def lines(sealed: Sealed) -> list[bytes]:
    return (sealed.package / "custody/custody.jsonl").read_bytes().splitlines(keepends=True)


def test_records_are_chained_to_each_other(sealed: Sealed) -> None:
    for _ in range(3):
        append_record(sealed.package, note(), CLOCK, sealed.signer)
    records = lines(sealed)
    assert len(records) == 5
    for before, after in itertools.pairwise(records):
        assert json.loads(after)["prev"] == hashlib.sha256(before).hexdigest()
    assert [json.loads(line)["seq"] for line in records] == [1, 2, 3, 4, 5]
    assert verify_package(sealed.package, sealed.trust, clock=CLOCK).status is Status.VERIFIED


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ValidationError):
        note(event="borrowed")
    with pytest.raises(ValidationError):
        note(something_else="x")


def test_a_line_has_one_spelling(sealed: Sealed) -> None:
    line = lines(sealed)[0]
    assert parse_record(line, 1).event is CustodyEvent.ACQUIRED
    with pytest.raises(EvidenceError, match="line 1"):
        parse_record(line.replace(b'":', b'": ', 1), 1)
    with pytest.raises(EvidenceError, match="line 7"):
        parse_record(line.replace(b"acquired", b"required"), 7)


@pytest.mark.parametrize("code", [28, 30])
def test_a_full_disk_or_read_only_store_leaves_the_log_as_it_was(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    before = lines(sealed)

    def refuse(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError):
        append_record(sealed.package, note(), CLOCK, sealed.signer)
    monkeypatch.undo()
    assert lines(sealed) == before
    assert verify_package(sealed.package, sealed.trust, clock=CLOCK).faults == []


def test_nothing_is_appended_to_a_log_that_does_not_parse(sealed: Sealed) -> None:
    log = sealed.package / "custody/custody.jsonl"
    log.write_bytes(log.read_bytes()[:-10])
    before = log.read_bytes()
    with pytest.raises(EvidenceError, match="line 2"):
        append_record(sealed.package, note(), CLOCK, sealed.signer)
    assert log.read_bytes() == before


def test_a_checkpoint_says_what_it_was_made_of() -> None:
    checkpoint = Checkpoint("INC-1/EV-1", 5, 851, "0" * 64)
    assert checkpoint.text().splitlines() == [
        "snaphold custody checkpoint v1",
        "log: INC-1/EV-1",
        "records: 5",
        "bytes: 851",
        f"sha256: {'0' * 64}",
    ]
    assert parse_checkpoint(checkpoint.text()) == checkpoint
    for changed in (checkpoint.text() + "\n", checkpoint.text().replace("5", "05", 1), "", checkpoint.text()[:-1]):
        with pytest.raises(EvidenceError):
            parse_checkpoint(changed)


WRITER = """
import sys
from pathlib import Path
from snaphold.clock import SystemClock
from snaphold.evidence.custody import append_record
from snaphold.evidence.custody_record import CustodyNote
for _ in range(10):
    note = CustodyNote(case_id="INC-1", evidence_id="EV-INC-1-0a1b2c3d", event="accessed")
    append_record(Path(sys.argv[1]), note, SystemClock(), None)
"""


@pytest.mark.slow
def test_writers_at_the_same_time_lose_no_record(sealed: Sealed) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(sealed.package)]) for _ in range(3)]
    assert [writer.wait(240) for writer in writers] == [0, 0, 0]
    records = lines(sealed)
    assert [json.loads(line)["seq"] for line in records] == list(range(1, 33))
    append_record(sealed.package, note(), CLOCK, sealed.signer)
    assert verify_package(sealed.package, sealed.trust, clock=CLOCK).faults == []
