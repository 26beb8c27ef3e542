"""Verifies an evidence package. Status is verified, failed, incomplete or unverifiable, and every fault names its file.

Nothing in the package is believed before its signature is: the trust folder comes from elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from snaphold.clock import Clock, SystemClock
from snaphold.errors import EvidenceError, InputError, UnverifiedEvidenceError
from snaphold.evidence import layout
from snaphold.evidence.hashing import Digest, group, hash_file, map_in_order
from snaphold.evidence.metadata import EvidenceMetadata
from snaphold.evidence.signature import EVIDENCE_NAMESPACE, ExpiredKeyError, verify_signature

LARGEST_TAG_FILE = 64 * 1024 * 1024
_SHOWN = 5


class Status(str, Enum):
    """How a verification ended."""

    VERIFIED = "verified"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    UNVERIFIABLE = "unverifiable"


_FROM_WORST = (Status.FAILED, Status.INCOMPLETE, Status.UNVERIFIABLE)


@dataclass(frozen=True)
class Fault:
    """What is wrong, and with which file (and line)."""

    status: Status
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass
class Report:
    """What a verification found. `notes` are metadata findings: worth knowing, no reason to doubt the content."""

    faults: list[Fault] = field(default_factory=lambda: [])
    notes: list[str] = field(default_factory=lambda: [])
    evidence_id: str = ""
    case_id: str = ""
    signed_by: str = ""
    sealed_at: datetime | None = None
    timestamp: datetime | None = None
    payload_files: int = 0
    payload_bytes: int = 0
    custody_records: int = 0
    checkpoint: str = ""

    @property
    def status(self) -> Status:
        """The worst status of all faults; verified when there are none."""
        present = {fault.status for fault in self.faults}
        return next((status for status in _FROM_WORST if status in present), Status.VERIFIED)

    def add(self, status: Status, where: str, message: str) -> None:
        """Record a fault."""
        self.faults.append(Fault(status, where, message))


@dataclass(frozen=True)
class Trust:
    """What the verifier believes: allowed signers, revoked keys and the authority's certificates, where given."""

    allowed_signers: str | None = None
    revoked: bytes | None = None
    tsa_ca: bytes | None = None


def load_trust(folder: Path) -> Trust:
    """Return what a trust folder holds; a file that is missing makes what depends on it unverifiable."""

    def read(name: str) -> bytes | None:
        path = folder / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{path} cannot be read", error.strerror, "check the trust folder") from error

    signers = read(layout.ALLOWED_SIGNERS)
    text = signers.decode("utf-8", "replace") if signers is not None else None
    return Trust(text, read(layout.REVOKED_KEYS), read(layout.TSA_CA))


def find_trust(package: Path) -> Path:
    """Return the trust folder beside the package's store (`../../trust`) or beside the package (`../trust`)."""
    package = package.resolve()
    for candidate in (package.parent.parent / "trust", package.parent / "trust"):
        if candidate.is_dir():
            return candidate
    return package.parent.parent / "trust"


def verify_package(
    package: Path,
    trust: Trust,
    *,
    identity: str | None = None,
    anchor: str | None = None,
    at: datetime | None = None,
    clock: Clock | None = None,
) -> Report:
    """Return the report of a full verification; every byte of the package is read.

    `identity` is who must have signed (default: who the package says). `anchor` is the text of a checkpoint that was kept
    outside: the log must contain it. `at` is the time at which keys are judged; default the time stamp's, else now.
    Raises InputError when `package` is not a folder.
    """
    from snaphold.evidence.verify_custody import check_custody
    from snaphold.evidence.verify_timestamp import check_timestamp

    if not package.is_dir() or package.is_symlink():
        raise InputError(f"{package} is not an evidence package", "it is not a folder", "name the folder with bagit.txt in it")
    report = Report()
    present = _list_files(package, report)
    tags = _read_manifest(package, layout.TAG_MANIFEST, report)
    payload = _read_manifest(package, layout.MANIFEST, report)
    metadata = _read_metadata(package, report)
    report.signed_by = identity or (metadata.signed_by if metadata else "")
    report.timestamp = check_timestamp(package, trust, report)
    now = (clock or SystemClock()).now()
    _check_signature(package, trust, report, at or report.timestamp or now, known=bool(at or report.timestamp))
    _check_digests(package, {**payload, **tags}, report)
    _check_listing(present, tags, payload, report)
    _check_tags(package, tags, payload, metadata, report)
    _check_file_metadata(package, [*tags, *payload, layout.TAG_MANIFEST], metadata, report)
    report.payload_files = len(payload)
    check_custody(package, trust, report, metadata=metadata, anchor=anchor, at=at, now=now)
    return report


def _list_files(package: Path, report: Report) -> set[str]:
    """Return the regular files of the package; links and special files are faults, empty folders are notes."""
    present: set[str] = set()
    for here, folders, files in os.walk(package):
        base = Path(here).relative_to(package)
        if not folders and not files and base.as_posix() != layout.CUSTODY:
            report.notes.append(f"{base.as_posix()}: an empty folder that sealing does not make")
        for name in [*folders, *files]:
            path = (base / name).as_posix()
            mode = os.lstat(package / path).st_mode
            if stat.S_ISLNK(mode):
                report.add(Status.FAILED, shown(path), "is a symbolic link; a package holds plain files only")
            elif stat.S_ISREG(mode):
                present.add(path)
            elif not stat.S_ISDIR(mode):
                report.add(Status.FAILED, shown(path), "is not a plain file")
    return present


def _read_manifest(package: Path, name: str, report: Report) -> dict[str, str]:
    content = read_tag(package, name, report)
    if content is None:
        return {}
    digests: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n")[:-1], 1):
        match = layout.MANIFEST_LINE.fullmatch(line)
        if not match or not layout.SAFE_PATH.fullmatch(match[2]) or match[2] in digests:
            report.add(Status.FAILED, f"{name} line {number}", "is malformed, unsafe or double")
            continue
        digests[match[2]] = match[1]
    if layout.format_manifest(digests).encode() != content:
        report.add(Status.FAILED, name, "is not spelled as it was written")
    return digests


def read_tag(package: Path, name: str, report: Report, *, absent: Status | None = Status.INCOMPLETE) -> bytes | None:
    """Return the content of a file outside `data/`, or None with a fault (none when `absent` is None and it is missing)."""
    path = package / name
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > LARGEST_TAG_FILE:
            report.add(Status.UNVERIFIABLE, name, f"is larger than {LARGEST_TAG_FILE} bytes")
            return None
        return path.read_bytes()
    except FileNotFoundError:
        if absent is not None:
            report.add(absent, name, "is missing")
    except OSError as error:
        report.add(Status.UNVERIFIABLE, name, f"cannot be read: {error.strerror}")
    return None


def _read_metadata(package: Path, report: Report) -> EvidenceMetadata | None:
    content = read_tag(package, layout.EVIDENCE_JSON, report)
    if content is None:
        return None
    try:
        metadata = EvidenceMetadata.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        report.add(Status.FAILED, layout.EVIDENCE_JSON, f"is malformed: {where} {first['msg']}")
        return None
    report.evidence_id, report.case_id, report.sealed_at = metadata.evidence_id, metadata.case.id, metadata.sealed_at
    return metadata


def _check_signature(package: Path, trust: Trust, report: Report, at: datetime, *, known: bool) -> None:
    message = read_tag(package, layout.TAG_MANIFEST, report, absent=None)
    signature = read_tag(package, layout.SIGNATURE, report)
    if message is not None and signature is not None:
        names = f"{layout.SIGNATURE} over {layout.TAG_MANIFEST}"
        judge_signature(message, signature, trust, report, at, known=known, where=names)


def judge_signature(
    message: bytes, signature: bytes, trust: Trust, report: Report, at: datetime, *, known: bool, where: str
) -> bool:
    """Record what is wrong with a signature, and return whether nothing is.

    An expired key is a failure only when the time of signing is known.
    """
    if trust.allowed_signers is None:
        report.add(Status.UNVERIFIABLE, where, "there is no allowed_signers in the trust folder")
        return False
    if not report.signed_by:
        report.add(Status.UNVERIFIABLE, where, "it is not known who should have signed; name them with --identity")
        return False
    try:
        verify_signature(
            message,
            signature.decode("ascii", "replace"),
            namespace=EVIDENCE_NAMESPACE,
            identity=report.signed_by,
            allowed_signers=trust.allowed_signers,
            at=at,
            revoked=trust.revoked,
        )
    except ExpiredKeyError as error:
        report.add(Status.FAILED if known else Status.UNVERIFIABLE, where, f"{error.what}: {error.why}; {error.do}")
        return False
    except (EvidenceError, UnverifiedEvidenceError) as error:
        status = Status.FAILED if isinstance(error, EvidenceError) else Status.UNVERIFIABLE
        report.add(status, where, f"{error.what}: {error.why}")
        return False
    return True


def _check_digests(package: Path, wanted: dict[str, str], report: Report) -> None:
    sized: list[tuple[str, int]] = []
    for name in wanted:
        try:
            status = os.lstat(package / name)
        except OSError as error:
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            report.add(Status.FAILED, name, "is missing" if missing else f"cannot be looked at: {error.strerror}")
            continue
        if stat.S_ISREG(status.st_mode):
            sized.append((name, status.st_size))
            report.payload_bytes += status.st_size if name.startswith(layout.DATA + "/") else 0

    def digest_all(names: Sequence[str]) -> list[tuple[str, Digest | OSError]]:
        return [(name, _digest(package / name)) for name in names]

    for answers in map_in_order(digest_all, group(sized)):
        for name, found in answers:
            if isinstance(found, OSError):
                report.add(Status.UNVERIFIABLE, name, f"cannot be read: {found.strerror}")
            elif found.sha256 != wanted[name]:
                report.add(Status.FAILED, name, "was changed: its digest differs from the manifest's")


def _digest(path: Path) -> Digest | OSError:
    try:
        return hash_file(path)
    except OSError as error:
        return error


def _check_listing(present: set[str], tags: Iterable[str], payload: Iterable[str], report: Report) -> None:
    allowed = {*tags, *payload, layout.TAG_MANIFEST, layout.SIGNATURE, layout.TIMESTAMP_QUERY, layout.TIMESTAMP_REPLY}
    for name in sorted(present - allowed):
        if not name.startswith(layout.CUSTODY + "/"):
            report.add(Status.FAILED, shown(name), "is not listed in any manifest: it was added after sealing")


def _check_tags(
    package: Path, tags: dict[str, str], payload: dict[str, str], metadata: EvidenceMetadata | None, report: Report
) -> None:
    for name in (layout.BAGIT, layout.BAG_INFO, layout.MANIFEST, layout.EVIDENCE_JSON):
        if tags and name not in tags:
            report.add(Status.FAILED, layout.TAG_MANIFEST, f"does not list {name}")
    outside = [name for name in payload if not name.startswith(layout.DATA + "/")]
    if outside:
        report.add(Status.FAILED, layout.MANIFEST, f"lists {outside[0]}, which is not payload")
    info = read_tag(package, layout.BAG_INFO, report, absent=None)
    if info is not None:
        fields = dict(line.split(": ", 1) for line in info.decode("utf-8", "replace").splitlines() if ": " in line)
        stored = f"{report.payload_bytes}.{len(payload)}"
        if fields.get("Payload-Oxum") != stored:
            report.add(Status.FAILED, layout.BAG_INFO, f"says Payload-Oxum {fields.get('Payload-Oxum')}, the payload is {stored}")
        if metadata and fields.get("External-Identifier") != metadata.evidence_id:
            report.add(
                Status.FAILED, layout.BAG_INFO, f"is about {fields.get('External-Identifier')}, not {metadata.evidence_id}"
            )
    if metadata and {item.name: item.sha256 for item in metadata.payload} != payload:
        report.add(Status.FAILED, layout.EVIDENCE_JSON, f"lists other payload than {layout.MANIFEST}")


def _check_file_metadata(package: Path, names: Iterable[str], metadata: EvidenceMetadata | None, report: Report) -> None:
    modes: list[str] = []
    times: list[str] = []
    for name in names:
        try:
            status = os.lstat(package / name)
        except OSError:
            continue  # reported as missing already
        if stat.S_IMODE(status.st_mode) != layout.FILE_MODE:
            modes.append(name)
        if metadata and int(status.st_mtime) != int(metadata.sealed_at.timestamp()):
            times.append(name)
    if modes:
        report.notes.append(f"{_some(modes)}: the file mode is not the read-only one of sealing")
    if times:
        report.notes.append(f"{_some(times)}: the modification time is not the time of sealing")


def shown(path: str) -> str:
    """Return a path as it can be shown: undecodable bytes as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
