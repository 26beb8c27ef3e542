"""Builds an evidence package in a staged folder: payload, metadata, manifests, signature, time stamp, custody log."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snaphold import __version__
from snaphold.clock import Clock
from snaphold.domain.people import Actor
from snaphold.errors import EvidenceError, SnapholdError
from snaphold.evidence import layout
from snaphold.evidence.custody import append_record, write_checkpoint
from snaphold.evidence.custody_record import CustodyDigest, CustodyEvent, CustodyNote, Method, Party, Place, Source
from snaphold.evidence.hashing import hash_file
from snaphold.evidence.metadata import EvidenceMetadata, PayloadRecord, Tool
from snaphold.evidence.payload import PayloadSource, StoredPayload, store_payload
from snaphold.evidence.signature import EVIDENCE_NAMESPACE, Signer
from snaphold.evidence.timestamp import TimeStamp
from snaphold.vault.local import storage_errors

Stamp = Callable[[bytes], TimeStamp]
"""Asks a time-stamping authority about bytes."""


def _silent(_text: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class PackagePlan:
    """What a package will hold. `metadata` lacks what is only known afterwards (payload, tool).

    `files` are further metadata files by name, e.g. `timeline.jsonl`; each is called with the stored payload and gives
    its bytes in pieces.
    """

    metadata: EvidenceMetadata
    sources: Sequence[PayloadSource]
    files: Mapping[str, Callable[[Sequence[StoredPayload]], Iterable[bytes]]] = field(default_factory=lambda: {})
    contact: str = ""
    asset_names: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    quiesce: str = ""
    place: Place = field(default_factory=Place)


@dataclass(frozen=True)
class SealedPackage:
    """A finished package: SHA-256 of its tag manifest, bytes of payload, and why it has no time stamp (if so)."""

    folder: Path
    tag_manifest_sha256: str
    payload_bytes: int
    timestamped: bool
    untimestamped_because: str = ""


def build_package(
    folder: Path,
    plan: PackagePlan,
    *,
    signer: Signer,
    clock: Clock,
    stamp: Stamp | None = None,
    progress: Callable[[str], None] = _silent,
) -> SealedPackage:
    """Build the package in an empty folder and return what was sealed. The caller commits the folder to a vault.

    A time-stamping authority that does not answer leaves the package untimestamped, which is recorded. Raises
    EvidenceError when stored bytes differ from what was written, StorageError when the storage refuses.
    """
    with storage_errors(f"the package {plan.metadata.evidence_id} cannot be written"):
        for name in (layout.DATA, layout.METADATA, layout.CUSTODY):
            (folder / name).mkdir()
        stored: list[StoredPayload] = []
        for number, source in enumerate(plan.sources, 1):
            progress(f"sealing {source.description}")
            stored.append(store_payload(folder, number, source, progress))
        _write_metadata(folder, plan, stored)
        _write_tags(folder, plan, stored)
        tag_manifest = (folder / layout.TAG_MANIFEST).read_bytes()
        signature = signer.sign(tag_manifest, EVIDENCE_NAMESPACE).encode()
        _write(folder / layout.SIGNATURE, [signature])
        stamped, why = _stamp(folder, signature, stamp)
        _set_times(folder, int(plan.metadata.sealed_at.timestamp()))
        _open_custody(folder, plan, stored, signer, clock, "" if stamped else f"not time-stamped: {why}")
    return SealedPackage(
        folder,
        hash_file(folder / layout.TAG_MANIFEST).sha256,
        sum(item.bytes for item in stored),
        stamped,
        "" if stamped else why,
    )


def add_timestamp(package: Path, *, actor: Actor, signer: Signer | None, clock: Clock, stamp: Stamp) -> TimeStamp:
    """Time-stamp a sealed package that has no time stamp yet and record it in its custody log.

    Raises EvidenceError when the package has one already, and what the authority's answer causes.
    """
    if (package / layout.TIMESTAMP_REPLY).exists():
        raise EvidenceError("the package is time-stamped already", do="verify it with: snaphold evidence verify")
    with storage_errors(f"the package {package} cannot be time-stamped"):
        metadata = EvidenceMetadata.model_validate_json((package / layout.EVIDENCE_JSON).read_bytes())
        made = stamp((package / layout.SIGNATURE).read_bytes())
        mode = package.stat().st_mode
        package.chmod(mode | 0o200)
        try:
            _write(package / layout.TIMESTAMP_QUERY, [made.request])
            _write(package / layout.TIMESTAMP_REPLY, [made.reply])
            for name in (layout.TIMESTAMP_QUERY, layout.TIMESTAMP_REPLY):
                (package / name).chmod(layout.FILE_MODE)
        finally:
            package.chmod(mode)
    note = CustodyNote(
        case_id=metadata.case.id,
        evidence_id=metadata.evidence_id,
        event=CustodyEvent.TIMESTAMPED,
        purpose="proof of the time of sealing",
        released_by=party(actor),
        received_by=party(actor),
        method=Method(tool="snaphold", version=__version__),
        digests=_digests(package, (layout.TIMESTAMP_QUERY, layout.TIMESTAMP_REPLY)),
    )
    append_record(package, note, clock, signer)
    return made


def party(actor: Actor) -> Party:
    """Return an actor as a party of a custody record."""
    return Party(id=actor.id, name=actor.name, title=actor.title, org=actor.organisation, contact=actor.contact)


def _write_metadata(folder: Path, plan: PackagePlan, stored: Sequence[StoredPayload]) -> None:
    tool = Tool(name="snaphold", version=__version__, python=platform.python_version(), host=platform.node())
    payload = tuple(
        PayloadRecord(
            name=item.name,
            description=item.source.description,
            bytes=item.bytes,
            sha256=item.sha256,
            sha256_read_back=item.sha256_read_back,
            restore_point=item.source.restore_point,
            original_names=item.source.original_names,
        )
        for item in stored
    )
    complete = plan.metadata.model_copy(update={"tool": tool, "payload": payload})
    text = complete.model_dump_json(indent=1) + "\n"
    _write(folder / layout.EVIDENCE_JSON, [text.encode()])
    for name, pieces in plan.files.items():
        _write(folder / layout.METADATA / name, pieces(stored))


def _write_tags(folder: Path, plan: PackagePlan, stored: Sequence[StoredPayload]) -> None:
    info = {
        "Source-Organization": plan.metadata.organisation,
        "Contact-Name": plan.contact or plan.metadata.sealed_by.name,
        "External-Identifier": plan.metadata.evidence_id,
        "Bagging-Date": f"{plan.metadata.sealed_at:%Y-%m-%d}",
        "Payload-Oxum": f"{sum(item.bytes for item in stored)}.{len(stored)}",
        "Bag-Software-Agent": f"snaphold {__version__}",
    }
    lines = "".join(f"{label}: {' '.join(value.split())}\n" for label, value in info.items() if value.strip())
    _write(folder / layout.BAGIT, [layout.BAGIT_TEXT.encode()])
    _write(folder / layout.BAG_INFO, [lines.encode()])
    _write(folder / layout.MANIFEST, [layout.format_manifest({item.name: item.sha256 for item in stored}).encode()])
    tags = [layout.BAGIT, layout.BAG_INFO, layout.MANIFEST]
    tags += [f"{layout.METADATA}/{path.name}" for path in (folder / layout.METADATA).iterdir()]
    digests = {name: hash_file(folder / name).sha256 for name in tags}
    _write(folder / layout.TAG_MANIFEST, [layout.format_manifest(digests).encode()])


def _stamp(folder: Path, signature: bytes, stamp: Stamp | None) -> tuple[bool, str]:
    """Time-stamp the signature; return whether that worked and, when not, why."""
    if stamp is None:
        return False, "no time-stamping authority is configured"
    try:
        made = stamp(signature)
    except SnapholdError as error:
        return False, f"{error.what} ({error.why})" if error.why else error.what
    _write(folder / layout.TIMESTAMP_QUERY, [made.request])
    _write(folder / layout.TIMESTAMP_REPLY, [made.reply])
    return True, ""


def _open_custody(
    folder: Path, plan: PackagePlan, stored: Sequence[StoredPayload], signer: Signer, clock: Clock, notes: str
) -> None:
    metadata = plan.metadata
    who = party(metadata.sealed_by)
    common = CustodyNote(
        case_id=metadata.case.id,
        evidence_id=metadata.evidence_id,
        event=CustodyEvent.ACQUIRED,
        purpose=f"incident {metadata.case.id}: {metadata.case.category}",
        reason=metadata.justification,
        approval_id=",".join(metadata.approvals),
        approvers=plan.approvers,
        received_by=who,
        source=Source(
            asset=",".join(plan.asset_names),
            snapshot_id=",".join(point.reference for point in metadata.restore_points),
            backup_job=",".join(point.id for point in metadata.restore_points),
        ),
        method=Method(tool="snaphold", version=__version__, quiesce=plan.quiesce),
        kms_key_id=",".join(sorted({point.encryption for point in metadata.restore_points})),
        digests=tuple(
            CustodyDigest(
                of=item.name,
                before=item.sha256,
                before_bytes=item.bytes,
                after=item.sha256_read_back,
                after_bytes=item.bytes,
                match=item.sha256 == item.sha256_read_back,
            )
            for item in stored
        ),
    )
    append_record(folder, common, clock, None)
    files = [layout.MANIFEST, layout.TAG_MANIFEST, layout.SIGNATURE]
    files += [name for name in (layout.TIMESTAMP_QUERY, layout.TIMESTAMP_REPLY) if (folder / name).exists()]
    sealed = common.model_copy(
        update={
            "event": CustodyEvent.SEALED,
            "released_by": who,
            "digests": _digests(folder, files),
            "place": plan.place,
            "notes": notes,
        }
    )
    append_record(folder, sealed, clock, None)
    write_checkpoint(folder, signer)


def _digests(package: Path, names: Iterable[str]) -> tuple[CustodyDigest, ...]:
    found = ((name, hash_file(package / name)) for name in names)
    return tuple(CustodyDigest(of=name, after=digest.sha256, after_bytes=digest.bytes) for name, digest in found)


def _set_times(folder: Path, seconds: int) -> None:
    """Give every file the time of sealing, so that a later change of it can be seen."""
    for here, _, files in os.walk(folder):
        for name in files:
            os.utime(Path(here) / name, (seconds, seconds))


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
