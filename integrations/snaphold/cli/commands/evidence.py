"""`snaphold evidence verify|timestamp|compare`: for those who receive evidence as well as for those who keep it."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.cli.options import add_actor_option, add_config_option, sentence
from snaphold.cli.output import Writer
from snaphold.errors import EXIT_DONE, EXIT_FAILED, EXIT_FINDINGS, InputError

if TYPE_CHECKING:
    from snaphold.evidence.differences import Differences
    from snaphold.evidence.verify import Fault, Report

_SHOWN_FAULTS = 10
_SHOWN_PACKAGES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `verify`, `timestamp` and `compare`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands", required=True)
    text = "verify a package; needs the trust folder, no configuration"
    verify = subparsers.add_parser("verify", help=text, description=sentence(text))
    verify.add_argument("package", type=Path, metavar="DIR", help="the package: the folder that holds bagit.txt")
    verify.add_argument("--trust", type=Path, metavar="DIR", help="the trust folder (else DIR/../../trust, DIR/../trust)")
    verify.add_argument("--identity", metavar="ID", help="who must have signed (else who the package says)")
    verify.add_argument("--anchor", type=Path, metavar="FILE", help="a custody checkpoint that was kept elsewhere")
    verify.add_argument("--at", metavar="TIME", help="judge keys at this time (RFC 3339), for packages older than their key")
    text = "time-stamp a package that has no time stamp yet"
    timestamp = subparsers.add_parser("timestamp", help=text, description=sentence(text))
    timestamp.add_argument("package", type=Path, metavar="DIR", help="the package")
    add_config_option(timestamp)
    add_actor_option(timestamp)
    text = "compare two inventories (.jsonl) or two folders and name attack patterns"
    compare = subparsers.add_parser("compare", help=text, description=sentence(text))
    compare.add_argument("before", type=Path, metavar="BEFORE", help="the earlier inventory or folder")
    compare.add_argument("after", type=Path, metavar="AFTER", help="the later inventory or folder")
    compare.add_argument("--report", type=Path, metavar="FILE", help="also write every difference there, as JSON lines")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run one of the parts.

    `verify` returns 0 verified, 1 failed, 3 incomplete or unverifiable; `compare` 0, or 3 when it names a pattern.
    """
    parts = {"verify": _verify, "timestamp": _timestamp, "compare": _compare}
    return parts[arguments.part](arguments, writer)


def _verify(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.clock import parse_time
    from snaphold.documents import read_text
    from snaphold.evidence.verify import Status, find_trust, load_trust, verify_package

    try:
        at = parse_time(arguments.at) if arguments.at else None
    except ValueError as error:
        raise InputError(f"{arguments.at} is not a time", str(error), "write it like 2026-11-22T18:00:00Z") from error
    anchor = read_text(arguments.anchor, "anchor") if arguments.anchor else None
    _require_package(arguments.package)
    folder = arguments.trust or find_trust(arguments.package)
    if arguments.trust and not folder.is_dir():
        raise InputError(f"the trust folder {folder} does not exist", do="get it from the custodian, apart from the package")
    report = verify_package(arguments.package, load_trust(folder), identity=arguments.identity, anchor=anchor, at=at)
    writer.document(_report_document(report, folder), _report_text(report, folder, writer))
    return {Status.VERIFIED: EXIT_DONE, Status.FAILED: EXIT_FAILED}.get(report.status, EXIT_FINDINGS)


def _require_package(folder: Path) -> None:
    """Raise InputError for a folder that holds nothing of a package; when its children do, they are named."""
    from snaphold.evidence import layout

    def is_part(name: str) -> bool:
        return os.path.lexists(folder / name)

    parts = (layout.BAGIT, layout.TAG_MANIFEST, layout.MANIFEST, layout.EVIDENCE_JSON, layout.SIGNATURE, layout.CUSTODY)
    if not folder.is_dir() or any(map(is_part, parts)):
        return
    inside = sorted(str(path.parent) for path in folder.glob(f"*/{layout.BAGIT}"))
    found = f"packages in it: {_name_some(inside)}" if inside else "name the folder with bagit.txt in it"
    raise InputError(f"{folder} is not an evidence package", f"{', '.join(parts[:3])} and the other parts are missing", found)


def _name_some(names: Sequence[str]) -> str:
    """Return the first names, and how many there are besides."""
    more = f" and {len(names) - _SHOWN_PACKAGES} more" if len(names) > _SHOWN_PACKAGES else ""
    return ", ".join(names[:_SHOWN_PACKAGES]) + more


def _report_document(report: Report, trust: Path) -> dict[str, object]:
    from snaphold.clock import format_time

    return {
        "status": report.status.value,
        "evidence": report.evidence_id,
        "incident": report.case_id,
        "signed_by": report.signed_by,
        "sealed_at": format_time(report.sealed_at) if report.sealed_at else None,
        "timestamp": format_time(report.timestamp) if report.timestamp else None,
        "payload_files": report.payload_files,
        "payload_bytes": report.payload_bytes,
        "custody_records": report.custody_records,
        "checkpoint_sha256": report.checkpoint,
        "trust": str(trust),
        "faults": [{"status": fault.status.value, "where": fault.where, "message": fault.message} for fault in report.faults],
        "notes": report.notes,
    }


def _report_text(report: Report, trust: Path, writer: Writer) -> str:
    from snaphold.clock import format_time

    lines = [f"{report.evidence_id or 'package'}: {writer.mark(report.status.value)}"]
    lines += _fault_lines(report.faults)
    lines += [f"  note: {note}" for note in report.notes]
    if report.sealed_at:
        lines.append(f"  sealed     {format_time(report.sealed_at)} by {report.signed_by or 'nobody known'}")
    if report.timestamp:
        lines.append(f"  time stamp {format_time(report.timestamp)}")
    lines.append(f"  payload    {report.payload_files} files, {report.payload_bytes} bytes")
    lines.append(f"  custody    {report.custody_records} records")
    lines.append(f"  trust      {trust}")
    return "\n".join(lines)


def _fault_lines(faults: Sequence[Fault]) -> list[str]:
    """Return a line for each fault; of many that say the same about other files, the first ones and their number."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.status.value, fault.message), []).append(fault)
    lines: list[str] = []
    for (status, message), group in groups.items():
        lines += [f"  {status}: {fault}" for fault in group[:_SHOWN_FAULTS]]
        if len(group) > _SHOWN_FAULTS:
            lines.append(f"  {status}: {len(group) - _SHOWN_FAULTS} more files: {message} (--json names all)")
    return lines


def _timestamp(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.clock import SystemClock, format_time
    from snaphold.config import load_configuration
    from snaphold.evidence.package import add_timestamp
    from snaphold.evidence.signature import load_signer
    from snaphold.evidence.timestamp import configured_stamp
    from snaphold.identity import resolve_actor
    from snaphold.vault.registry import open_vault

    configuration = load_configuration(arguments.config)
    actor = resolve_actor(configuration, arguments.acting_as)
    stamp = configured_stamp(configuration)
    if stamp is None:
        raise InputError("no time-stamping authority is configured", do="set evidence.time_stamping in snaphold.yaml")
    if not (arguments.package / "bagit.txt").is_file():
        raise InputError(f"{arguments.package} is not an evidence package", do="name the folder with bagit.txt in it")
    made = add_timestamp(arguments.package, actor=actor, signer=load_signer(configuration), clock=SystemClock(), stamp=stamp)
    vault = open_vault(configuration, SystemClock())
    if configuration.evidence.vault.kind == "s3" and vault.find(arguments.package.name) == arguments.package.resolve():
        vault.mirror_custody(arguments.package.name)
    text = format_time(made.at)
    writer.document({"package": str(arguments.package), "timestamp": text}, f"{arguments.package}: time-stamped at {text}")
    return EXIT_DONE


def _compare(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.evidence.differences import compare_folders, compare_states, summarise, write_report

    before, after = arguments.before, arguments.after
    for path in (before, after):
        if not path.exists():
            raise InputError(f"{path} does not exist", do="name two inventories or two folders")
    if before.is_dir() != after.is_dir():
        raise InputError("a folder cannot be compared with an inventory", do="name two inventories or two folders")
    if before.is_dir():
        with tempfile.TemporaryDirectory(prefix="snaphold-compare-") as scratch:
            differences = compare_folders(before, after, Path(scratch))
    else:
        differences = compare_states(before, after, None)
    if arguments.report:
        write_report(differences, arguments.report)
    writer.document(summarise(differences), _compare_text(differences))
    return EXIT_FINDINGS if differences.patterns else EXIT_DONE


def _compare_text(differences: Differences) -> str:
    counts = differences.comparison.counts()
    told = ", ".join(f"{count} {category.value.replace('_', '-')}" for category, count in counts.items() if count)
    lines = [f"{differences.comparison.before} entries before, {differences.comparison.after} after: {told or 'no difference'}"]
    lines += [f"  {pattern}" for pattern in differences.patterns]
    return "\n".join(lines)
