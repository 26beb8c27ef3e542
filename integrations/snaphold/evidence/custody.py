"""The chain of custody: one JSON object a line, each with the digest of the line before, and signed checkpoints.

The first record is chained to the tag manifest, so that a log cannot be moved to another package. A checkpoint states how
many records and bytes there are and their digest; `head -c` and `sha256sum` prove with it that the log only grew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from snaphold.clock import Clock
from snaphold.errors import EvidenceError
from snaphold.evidence import layout
from snaphold.evidence.custody_record import CustodyNote, CustodyRecord
from snaphold.ledger.entry import canonical
from snaphold.vault.local import flush, storage_errors

if TYPE_CHECKING:
    from snaphold.evidence.signature import Signer

_CHECKPOINT = re.compile(
    r"snaphold custody checkpoint v1\n"
    r"log: (?P<log>[^\n]{1,300})\n"
    r"records: (?P<records>[0-9]{1,12})\n"
    r"bytes: (?P<bytes>[0-9]{1,15})\n"
    r"sha256: (?P<sha256>[0-9a-f]{64})\n"
)


@dataclass(frozen=True)
class Checkpoint:
    """How much of a custody log there was: records, bytes, and the SHA-256 of those bytes."""

    log: str
    records: int
    bytes: int
    sha256: str

    def text(self) -> str:
        """Return the five lines that are signed."""
        return (
            f"snaphold custody checkpoint v1\nlog: {self.log}\nrecords: {self.records}\n"
            f"bytes: {self.bytes}\nsha256: {self.sha256}\n"
        )


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that a text states. Raises EvidenceError when it is not one."""
    match = _CHECKPOINT.fullmatch(text)
    if not match:
        raise EvidenceError("the checkpoint is malformed", "it does not have the five lines of a custody checkpoint")
    checkpoint = Checkpoint(match["log"], int(match["records"]), int(match["bytes"]), match["sha256"])
    if checkpoint.text() != text:
        raise EvidenceError("the checkpoint is malformed", "its numbers are not in their shortest form")
    return checkpoint


def append_record(package: Path, note: CustodyNote, clock: Clock, signer: Signer | None) -> CustodyRecord:
    """Append a record to a package's custody log and, with a signer, checkpoint it; return the record.

    The log is replaced whole by a copy with one more line, so a crash leaves the old log or the new one. Writers are kept
    apart by a lock on the folder. Raises StorageError (full, read-only) with the log as it was, EvidenceError when the
    log does not parse.
    """
    folder = package / layout.CUSTODY
    with storage_errors(f"the custody log of {package.name} cannot be extended"), _locked(folder):
        log = package / layout.CUSTODY_LOG
        content = log.read_bytes() if log.exists() else b""
        previous = (package / layout.TAG_MANIFEST).read_bytes()
        sequence = 0
        if content:
            lines = split_lines(content)
            previous = lines[-1]
            sequence = parse_record(lines[-1], len(lines)).seq
        record = CustodyRecord(
            **dict(note),
            event_id=str(uuid.uuid4()),
            seq=sequence + 1,
            prev=hashlib.sha256(previous).hexdigest(),
            time_utc=clock.now(),
        )
        _replace(log, package / layout.CUSTODY_PARTIAL, content + format_record(record))
        if signer:
            _write_checkpoint(package, log_name(record), signer)
    return record


def has_record(package: Path, note: CustodyNote) -> bool:
    """Return whether the log has a record of the same event, under the same key and about the same holds already.

    An attempt that was lost after it wrote must not write twice. Raises StorageError, EvidenceError.
    """
    log = package / layout.CUSTODY_LOG
    with storage_errors(f"the custody log of {package.name} cannot be read"):
        lines = split_lines(log.read_bytes())
    records = (parse_record(line, number) for number, line in enumerate(lines, 1))
    return any(
        (record.event, record.notes, record.legal_holds) == (note.event, note.notes, note.legal_holds) for record in records
    )


def format_record(record: CustodyRecord) -> bytes:
    """Return a record's line: sorted keys, compact, without the fields that are empty."""
    return (canonical(record.model_dump(mode="json", exclude_defaults=True)) + "\n").encode()


def parse_record(line: bytes, number: int) -> CustodyRecord:
    """Return the record of line `number`. Raises EvidenceError when it is malformed or not in its one exact spelling."""
    try:
        record = CustodyRecord.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EvidenceError(f"line {number} of the custody log is malformed", f"{where}: {first['msg']}".lstrip(": ")) from error
    if format_record(record) != line:
        raise EvidenceError(f"line {number} of the custody log was changed", "it is not spelled as it was written")
    return record


def split_lines(content: bytes) -> list[bytes]:
    """Return the lines of a log with their ends; a last line that was cut off keeps none."""
    *whole, rest = content.split(b"\n")
    return [*(line + b"\n" for line in whole), *([rest] if rest else [])]


def log_name(record: CustodyRecord) -> str:
    """Return how checkpoints name the log that a record stands in."""
    return f"{record.case_id}/{record.evidence_id}"


def write_checkpoint(package: Path, signer: Signer) -> Checkpoint:
    """Sign the custody log as it stands and return the checkpoint. Raises StorageError, EvidenceError."""
    with storage_errors(f"the custody log of {package.name} cannot be checkpointed"), _locked(package / layout.CUSTODY):
        lines = split_lines((package / layout.CUSTODY_LOG).read_bytes())
        return _write_checkpoint(package, log_name(parse_record(lines[0], 1)), signer)


def _write_checkpoint(package: Path, name: str, signer: Signer) -> Checkpoint:
    from snaphold.evidence.signature import EVIDENCE_NAMESPACE

    content = (package / layout.CUSTODY_LOG).read_bytes()
    checkpoint = Checkpoint(name, content.count(b"\n"), len(content), hashlib.sha256(content).hexdigest())
    text = checkpoint.text().encode()
    path = package / layout.CUSTODY / layout.checkpoint_name(checkpoint.records)
    partial = package / layout.CUSTODY_PARTIAL
    _replace(path.with_name(path.name + ".sig"), partial, signer.sign(text, EVIDENCE_NAMESPACE).encode())
    _replace(path, partial, text)
    return checkpoint


def _replace(path: Path, partial: Path, content: bytes) -> None:
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    flush(path.parent)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
