"""Checks the whole ledger: every link, every register record and claim, every checkpoint, every trigger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from snaphold.clock import parse_time
from snaphold.errors import EvidenceError, LedgerError, UnverifiedEvidenceError
from snaphold.ledger import schema
from snaphold.ledger.chain import hash_body
from snaphold.ledger.checkpoint import Checkpoint, CheckSignature, read_checkpoint, stored_checkpoints
from snaphold.ledger.claims import CLAIM_KIND, claim_digest
from snaphold.ledger.entry import GENESIS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snaphold.ledger.database import DatabaseLedger

FAULTS_SHOWN = 50
_ROWS_AT_ONCE = 500


class Status(str, Enum):
    """verified: all of it fits and is signed; failed: something was changed; unverifiable: it cannot be told."""

    VERIFIED = "verified"
    FAILED = "failed"
    UNVERIFIABLE = "unverifiable"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong; `sequence` is the entry where it shows, when it shows at one."""

    message: str
    sequence: int | None = None


@dataclass
class Report:
    """What a check of the ledger found. `faults` holds at most FAULTS_SHOWN of them."""

    entries: int = 0
    head: str = GENESIS
    checkpoints: int = 0
    covered: int = 0
    """Entries up to the last checkpoint whose signature is good."""
    faults: list[Fault] = field(default_factory=lambda: [])
    unchecked: list[str] = field(default_factory=lambda: [])

    @property
    def status(self) -> Status:
        """Return the verdict. What could not be checked never counts as right."""
        if self.faults:
            return Status.FAILED
        return Status.UNVERIFIABLE if self.unchecked else Status.VERIFIED

    @property
    def first_bad(self) -> int | None:
        """Return the lowest sequence at which a fault shows, or None."""
        return min((fault.sequence for fault in self.faults if fault.sequence is not None), default=None)

    @property
    def after_checkpoint(self) -> int:
        """Return how many entries came after the last good checkpoint: only their chain protects them, no signature."""
        return self.entries - self.covered

    def add(self, message: str, sequence: int | None = None) -> None:
        """Note a fault, up to the limit."""
        if len(self.faults) < FAULTS_SHOWN:
            self.faults.append(Fault(message, sequence))


@dataclass
class _Seen:
    """What the chain says: when each record was first and last changed and to what; and the signed heads."""

    records: dict[str, tuple[int, int, str]] = field(default_factory=lambda: {})
    wanted: set[int] = field(default_factory=set[int])
    heads: dict[int, tuple[str, str]] = field(default_factory=lambda: {})
    checkpoint_entries: list[int] = field(default_factory=lambda: [])


def verify_ledger(ledger: DatabaseLedger, check: CheckSignature, kept: Sequence[Checkpoint] = ()) -> Report:
    """Return what a check of one state of the ledger found; `kept` are checkpoints that were stored elsewhere."""
    report, seen = Report(), _Seen()
    with ledger.reading() as connection:
        stored = stored_checkpoints(connection)
        seen.wanted = {entries for entries, _, _ in stored} | {checkpoint.entries for checkpoint in kept}
        _check_entries(connection, report, seen)
        _check_registers(connection, report, seen)
        _check_guards(ledger, connection, report)
    _check_stored(stored, report, seen, check)
    for checkpoint in kept:
        _check_checkpoint(checkpoint, report, seen, check, "a kept checkpoint")
    if not stored and not kept:
        report.unchecked.append("there is no checkpoint: a tail that was cut off, or a chain made anew, would not show")
    return report


def _check_entries(connection: sa.Connection, report: Report, seen: _Seen) -> None:
    columns = schema.entry.c
    wanted = sa.select(columns.sequence, columns.incident, columns.run, columns.body, columns.hash).order_by(columns.sequence)
    expected, previous = 1, GENESIS
    for sequence, incident, run, body, hash in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(wanted):
        if sequence != expected:
            report.add(f"{_span(expected, sequence - 1)} missing", expected)
        fields = _fields(body)
        if hash_body(body) != hash:
            report.add(f"entry {sequence} was changed: its hash does not fit its content", sequence)
        elif fields is None:
            report.add(f"entry {sequence} is not an entry", sequence)
        elif (fields.get("sequence"), fields.get("incident"), fields.get("run")) != (sequence, incident, run):
            report.add(f"entry {sequence} stands in another place than it was written", sequence)
        elif fields.get("previous") != previous:
            report.add(f"entry {sequence} does not follow the entry before: one of the two was replaced", sequence)
        if fields is not None:
            _remember(sequence, hash, fields, seen)
        expected, previous = sequence + 1, hash
        report.entries, report.head = sequence, hash


def _span(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _fields(body: str) -> dict[str, Any] | None:
    """Return an entry's fields, or None when this is not an entry."""
    try:
        fields = json.loads(body)
    except (ValueError, TypeError):
        return None
    if not isinstance(fields, dict):
        return None
    found = cast("dict[str, Any]", fields)
    return found if isinstance(found.get("at"), str) and isinstance(found.get("registers"), list) else None


def _remember(sequence: int, hash: str, fields: dict[str, Any], seen: _Seen) -> None:
    for name in fields["registers"]:
        record, _, sha256 = str(name).rpartition("/")
        first = seen.records[record][0] if record in seen.records else sequence
        seen.records[record] = (first, sequence, sha256)
    if fields.get("event") == "checkpoint":
        seen.checkpoint_entries.append(sequence)
    if sequence in seen.wanted:
        seen.heads[sequence] = (hash, fields["at"])


def _check_registers(connection: sa.Connection, report: Report, seen: _Seen) -> None:
    left = dict(seen.records)
    # With a broken chain it cannot be told which entry wrote a record last: only the chain's own faults are placed.
    placed = not report.faults

    def add(name: str, deed: str, writer: int) -> None:
        report.add(f"{name} was {deed} beside the ledger: entry {writer} wrote it otherwise", writer if placed else None)

    for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(sa.select(schema.register)):
        name = f"{row.kind}/{row.id}"
        said = left.pop(name, None)
        if said is None:
            report.add(f"the record {name} was added beside the ledger: no entry wrote it")
        elif said != (row.created_by, row.updated_by, _record_facts(row)):
            add(f"the record {name}", "changed", said[1])
    for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(sa.select(schema.claim)):
        said = left.pop(f"{CLAIM_KIND}/{row.key}", None)
        if said is None:
            report.add(f"the claim {row.key} was added beside the ledger: no entry wrote it")
        elif said[2] != _claim_facts(row):
            add(f"the claim {row.key}", "changed", said[1])
    for name, (_, last, _) in left.items():
        add(f"the record {name}", "removed", last)


def _record_facts(row: Any) -> str | None:
    """Return the digest of a register row, or None when its columns disagree with its body."""
    try:
        fields = json.loads(row.body)
        agree = (fields["id"], fields["incident"]) == (row.id, row.incident)
    except (ValueError, KeyError, TypeError):
        return None
    return hash_body(row.body) if agree else None


def _claim_facts(row: Any) -> str | None:
    try:
        result = None if row.result is None else json.loads(row.result)
        return claim_digest(row.inputs_digest, row.state, row.fence, result)
    except (ValueError, TypeError):
        return None


def _check_guards(ledger: DatabaseLedger, connection: sa.Connection, report: Report) -> None:
    for guard in ledger.guard_faults(connection):
        report.add(f"{guard} is missing or changed: something prepared to edit the ledger")


def _check_stored(stored: list[tuple[int, str, str]], report: Report, seen: _Seen, check: CheckSignature) -> None:
    for entries, text, signature in stored:
        report.checkpoints += 1
        try:
            checkpoint = read_checkpoint(text, signature)
        except LedgerError:
            report.add(f"the checkpoint at entry {entries} was changed: it is not a checkpoint any more", entries)
            continue
        if checkpoint.entries != entries:
            report.add(f"the checkpoint at entry {entries} was changed: it speaks of {checkpoint.entries} entries", entries)
            continue
        _check_checkpoint(checkpoint, report, seen, check, "the checkpoint")
    known = {entries for entries, _, _ in stored}
    for sequence in seen.checkpoint_entries:
        if sequence not in known:
            report.add(f"the checkpoint at entry {sequence} was removed", sequence)


def _check_checkpoint(checkpoint: Checkpoint, report: Report, seen: _Seen, check: CheckSignature, which: str) -> None:
    at_entry = f"{which} at entry {checkpoint.entries}"
    found = seen.heads.get(checkpoint.entries)
    if checkpoint.entries > report.entries:
        report.add(
            f"the tail was cut off: {which} says {checkpoint.entries} entries, there are {report.entries}", report.entries + 1
        )
        return
    if found is None:
        report.add(f"{at_entry} signed an entry that cannot be read", checkpoint.entries)
        return
    if found[0] != checkpoint.head:
        report.add(f"{at_entry} signed another entry: the chain up to it was made anew", checkpoint.entries)
        return
    try:
        check(checkpoint.text.encode(), checkpoint.signature, parse_time(found[1]))
    except ValueError:
        report.add(f"{at_entry} signed an entry without a time", checkpoint.entries)
    except EvidenceError as error:
        report.add(
            f"{at_entry} is not signed as it must be: {error.what}" + (f" ({error.why})" if error.why else ""), checkpoint.entries
        )
    except UnverifiedEvidenceError as error:
        report.unchecked.append(f"{at_entry}: {error.what}" + (f" ({error.why})" if error.why else ""))
    else:
        report.covered = max(report.covered, checkpoint.entries)
