"""The custody part of a verification: every record, the chain, every checkpoint, and the anchor from outside."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snaphold.errors import EvidenceError
from snaphold.evidence import layout
from snaphold.evidence.custody import Checkpoint, log_name, parse_checkpoint, parse_record, split_lines
from snaphold.evidence.custody_record import CustodyEvent, CustodyRecord
from snaphold.evidence.metadata import EvidenceMetadata
from snaphold.evidence.verify import Report, Status, Trust, judge_signature, read_tag, shown

_BOUND_FILES = (layout.MANIFEST, layout.TAG_MANIFEST, layout.SIGNATURE, layout.TIMESTAMP_QUERY, layout.TIMESTAMP_REPLY)


@dataclass(frozen=True)
class _Log:
    content: bytes
    lines: Sequence[bytes]
    records: Sequence[CustodyRecord | None]


def check_custody(
    package: Path,
    trust: Trust,
    report: Report,
    *,
    metadata: EvidenceMetadata | None,
    anchor: str | None,
    at: datetime | None,
    now: datetime,
) -> None:
    """Add what is wrong with the custody log, its checkpoints and its relation to the package and the anchor."""
    content = read_tag(package, layout.CUSTODY_LOG, report)
    if content is None:
        return
    lines = split_lines(content)
    log = _Log(content, lines, [_parse(line, number, report) for number, line in enumerate(lines, 1)])
    report.custody_records = len(lines)
    if not lines:
        report.add(Status.FAILED, layout.CUSTODY_LOG, "is empty")
    _check_chain(package, log, metadata, report)
    _check_bound_files(package, log, report)
    _check_checkpoints(package, log, trust, report, at, now)
    if anchor is not None:
        _check_anchor(log, anchor, report)


def _parse(line: bytes, number: int, report: Report) -> CustodyRecord | None:
    try:
        return parse_record(line, number)
    except EvidenceError as error:
        report.add(Status.FAILED, f"{layout.CUSTODY_LOG} line {number}", f"{error.what}: {error.why}")
        return None


def _check_chain(package: Path, log: _Log, metadata: EvidenceMetadata | None, report: Report) -> None:
    manifest = read_tag(package, layout.TAG_MANIFEST, report, absent=None)
    previous, sequence = manifest, 0
    for number, (line, record) in enumerate(zip(log.lines, log.records, strict=True), 1):
        where = f"{layout.CUSTODY_LOG} line {number}"
        if record is not None:
            if previous is not None and record.prev != hashlib.sha256(previous).hexdigest():
                before = f"line {number - 1}" if number > 1 else layout.TAG_MANIFEST
                report.add(Status.FAILED, where, f"is not chained to {before}: one of the two was changed or removed")
            if record.seq <= sequence:
                report.add(Status.FAILED, where, f"has the number {record.seq} after {sequence}")
            if metadata and (record.case_id, record.evidence_id) != (metadata.case.id, metadata.evidence_id):
                report.add(Status.FAILED, where, f"is about {log_name(record)}")
            sequence = record.seq
        previous = line


def _check_bound_files(package: Path, log: _Log, report: Report) -> None:
    """Compare manifests, signature and time stamp with the newest digests that the log records for them."""
    recorded: dict[str, str] = {}
    for record in log.records:
        for digest in record.digests if record else ():
            if digest.of in _BOUND_FILES and digest.alg == "sha256" and digest.after:
                recorded[digest.of] = digest.after
    for name in _BOUND_FILES:
        content = read_tag(package, name, report, absent=None)
        if content is None and name in recorded:
            report.add(Status.FAILED, name, "is missing, but the custody log records it")
        elif content is not None and name not in recorded:
            report.add(Status.INCOMPLETE, name, "is not recorded in the custody log")
        elif content is not None and hashlib.sha256(content).hexdigest() != recorded[name]:
            report.add(Status.FAILED, name, "was changed: its digest differs from the one in the custody log")
    if log.records and not any(record and record.event is CustodyEvent.SEALED for record in log.records):
        report.add(Status.INCOMPLETE, layout.CUSTODY_LOG, "has no record of the sealing")


def _check_checkpoints(package: Path, log: _Log, trust: Trust, report: Report, at: datetime | None, now: datetime) -> None:
    names = sorted(os.listdir(package / layout.CUSTODY))
    expected = {Path(layout.CUSTODY_LOG).name}
    newest: Checkpoint | None = None
    for name in names:
        if not layout.CHECKPOINT_NAME.fullmatch(name):
            continue
        expected |= {name, name + ".sig"}
        checkpoint = _check_checkpoint(package, name, log, trust, report, at, now)
        if checkpoint and (newest is None or checkpoint.records > newest.records):
            newest = checkpoint
    for name in names:
        where = shown(f"{layout.CUSTODY}/{name}")
        if where == layout.CUSTODY_PARTIAL:
            report.add(Status.INCOMPLETE, where, "an append was interrupted; the next one removes this file")
        elif name.endswith(".sig") and layout.CHECKPOINT_NAME.fullmatch(name[:-4]) and name not in expected:
            report.add(Status.INCOMPLETE, f"{layout.CUSTODY}/{name[:-4]}", "is missing, its signature is there")
        elif name not in expected:
            report.add(Status.FAILED, where, "does not belong in a custody log")
    if newest is None:
        # A signature that is bad or cannot be judged has its own fault; this one is for logs without any.
        if not any(
            f.where.startswith(f"{layout.CUSTODY}/checkpoint") and f.status is not Status.INCOMPLETE for f in report.faults
        ):
            report.add(Status.INCOMPLETE, layout.CUSTODY_LOG, "has no checkpoint that can be relied on")
        return
    report.checkpoint = newest.sha256
    later = len(log.lines) - newest.records
    if later > 0:
        report.add(
            Status.INCOMPLETE, layout.CUSTODY_LOG, f"{later} records after the last checkpoint, from line {newest.records + 1}"
        )


def _check_checkpoint(
    package: Path, name: str, log: _Log, trust: Trust, report: Report, at: datetime | None, now: datetime
) -> Checkpoint | None:
    """Return the checkpoint when its signature holds; the log's faults against it are added either way."""
    path = f"{layout.CUSTODY}/{name}"
    text = read_tag(package, path, report)
    signature = read_tag(package, f"{path}.sig", report)
    if text is None or signature is None:
        return None
    try:
        checkpoint = parse_checkpoint(text.decode("utf-8", "replace"))
    except EvidenceError as error:
        report.add(Status.FAILED, path, f"{error.what}: {error.why}")
        return None
    # The checkpoint of the sealing is as old as the time stamp; a later one can only be judged now.
    last = log.records[checkpoint.records - 1] if 0 < checkpoint.records <= len(log.records) else None
    of_sealing = last is not None and last.event is CustodyEvent.SEALED
    when = at or (report.timestamp if of_sealing else None)
    if not judge_signature(text, signature, trust, report, when or now, known=when is not None, where=f"{path} or {path}.sig"):
        return None
    if layout.checkpoint_name(checkpoint.records) != name:
        report.add(Status.FAILED, path, f"has the name of another checkpoint than one of {checkpoint.records} records")
    first = log.records[0] if log.records else None
    if first and checkpoint.log != log_name(first):
        report.add(Status.FAILED, path, f"is about the log {checkpoint.log}")
    for problem in _against(checkpoint, log):
        report.add(Status.FAILED, problem[0], f"{problem[1]} ({path})")
    return checkpoint


def _against(checkpoint: Checkpoint, log: _Log) -> list[tuple[str, str]]:
    """Return (where, what) of every way in which the log does not contain the checkpoint."""
    if len(log.lines) < checkpoint.records or len(log.content) < checkpoint.bytes:
        where = f"{layout.CUSTODY_LOG} line {len(log.lines) + 1}"
        return [(where, f"is missing: the log ends after {len(log.lines)} of {checkpoint.records} records")]
    prefix = log.content[: checkpoint.bytes]
    if hashlib.sha256(prefix).hexdigest() != checkpoint.sha256 or prefix.count(b"\n") != checkpoint.records:
        where = f"{layout.CUSTODY_LOG} up to line {checkpoint.records}"
        return [(where, "was changed: it differs from its checkpoint")]
    return []


def _check_anchor(log: _Log, anchor: str, report: Report) -> None:
    try:
        checkpoint = parse_checkpoint(anchor)
    except EvidenceError as error:
        report.add(Status.UNVERIFIABLE, "the anchor", f"{error.what}: {error.why}")
        return
    first = log.records[0] if log.records else None
    if first and checkpoint.log != log_name(first):
        report.add(Status.UNVERIFIABLE, "the anchor", f"is about the log {checkpoint.log}")
        return
    for where, message in _against(checkpoint, log):
        report.add(Status.FAILED, where, f"{message}; it was rolled back or rewritten since the anchor was made")
