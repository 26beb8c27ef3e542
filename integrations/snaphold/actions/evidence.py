"""Evidence: seal restore points into a package that a stranger can verify, verify it, compare two states."""

from __future__ import annotations

import hashlib
import tempfile
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from snaphold.action import Effect, Name, Names, Needs, Recovery, Request, Result, action
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Deletion, DeletionState
from snaphold.domain.stored_package import StoredPackage
from snaphold.errors import EvidenceError, InputError
from snaphold.providers.base import Support, Verb

if TYPE_CHECKING:
    from snaphold.evidence.metadata import InventoryCheck
    from snaphold.evidence.payload import PayloadSource

_LONGEST_INCIDENT = 100
_SHOWN_FAULTS = 200


class Content(str, Enum):
    """What a package keeps of a restore point."""

    FULL = "full"
    INVENTORY = "inventory"


class SealEvidence(Request):
    """What to seal."""

    restore_points: Names = Field(
        default=[], description="Ids of restore points; empty: all of the incident.", examples=[["RP-files-01-0a1b2c3d"]]
    )
    content: Content = Field(
        default=Content.FULL, description="full: the data; inventory: only the lists of files with digests.", examples=["full"]
    )


class SealedEvidence(Result):
    """The sealed package."""

    evidence: str = Field(default="", description="Id of the package.", examples=["EV-INC-2026-0042-0a1b2c3d"])
    path: str = Field(default="", description="Folder of the package.", examples=["/vault/EV-INC-2026-0042-0a1b2c3d"])
    vault: str = Field(
        default="", description="Address in the remote vault, if any.", examples=["s3://evidence/EV-INC-2026-0042-0a1b2c3d"]
    )
    manifest_sha256: str = Field(default="", description="SHA-256 of the tag manifest.", examples=["00" * 32])
    timestamped: bool = Field(default=False, description="Whether an authority time-stamped the signature.", examples=[True])


class VerifyEvidence(Request):
    """Which package to verify."""

    evidence: Name = Field(description="Id of the package.", examples=["EV-INC-2026-0042-0a1b2c3d"])


class EvidenceVerification(Result):
    """What the verification found."""

    status: Literal["verified", "failed", "incomplete", "unverifiable"] = Field(
        default="unverifiable", description="What the check came to.", examples=["verified"]
    )
    faults: list[str] = Field(default_factory=list, description="What is wrong, with file and line.", examples=[[]])


class CompareStates(Request):
    """Which two states to compare."""

    before: Name = Field(description="Id of the earlier restore point.", examples=["RP-files-01-0a1b2c3d"])
    after: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._@-]{0,127})?$",
        description="Id of a later restore point; empty: the source as it is now.",
        examples=["RP-files-01-9f8e7d6c"],
    )


class StateComparison(Result):
    """How the later state differs."""

    added: int = Field(default=0, ge=0, description="New paths.", examples=[3])
    removed: int = Field(default=0, ge=0, description="Paths that are gone.", examples=[0])
    modified: int = Field(default=0, ge=0, description="Paths with other content.", examples=[120])
    moved: int = Field(default=0, ge=0, description="Files with the same content under another path.", examples=[0])
    metadata_only: int = Field(default=0, ge=0, description="Paths of which only mode or time changed.", examples=[4])
    unreadable: int = Field(default=0, ge=0, description="Paths that could not be read: nothing is known of them.", examples=[0])
    patterns: list[str] = Field(
        default_factory=list, description="Attack patterns, with counts and samples.", examples=[["ransom note: 1 new file ..."]]
    )
    report: str = Field(default="", description="Path of the full report (JSON lines).", examples=["/state/comparisons/c.jsonl"])


@action("evidence.seal", title="Seal evidence", effect=Effect.WRITES, needs=Needs.PROVIDER, recovery=Recovery.IDEMPOTENT)
def seal(request: SealEvidence, context: Context) -> SealedEvidence:
    """Restore the incident's restore points, compare them with their source inventories, and seal them as evidence.

    The data is hashed while it is copied, read back, signed, time-stamped when an authority is configured, and put into
    the vault with a chain of custody. A restore point that differs from its inventory is not sealed: the action fails.
    What a backup product keeps and nobody can read as files is sealed as a record without its data: the outcome is partial.
    """
    from snaphold.evidence.package import build_package
    from snaphold.evidence.sealing import make_plan
    from snaphold.evidence.signature import load_signer
    from snaphold.evidence.timestamp import configured_stamp
    from snaphold.evidence.trust import write_trust
    from snaphold.vault.local import remove_tree, storage_errors
    from snaphold.vault.registry import lock_until, open_vault

    evidence_id = f"EV-{context.incident.id[:_LONGEST_INCIDENT]}-{hashlib.sha256(context.key.encode()).hexdigest()[:8]}"
    vault = open_vault(context.configuration, context.clock)
    done = vault.find(evidence_id)
    if done is not None:
        return _sealed_before(done, vault.stored(evidence_id), context)
    points, findings = _choose(request, context)
    signer = load_signer(context.configuration)
    write_trust(context.configuration, signer.public_key, context.clock.now())
    full = request.content is Content.FULL
    until = lock_until(context.configuration, [point.asset for point in points], context.clock.now())
    place = vault.place(evidence_id, until)
    scratch = context.configuration.state_folder / "scratch" / evidence_id
    try:
        with storage_errors(f"the scratch folder {scratch} cannot be made"):
            remove_tree(scratch)
            scratch.mkdir(parents=True, mode=0o700)
        pairs = [_gather(point, context, scratch, full=full) for point in points]
        sources, checks = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        plan = make_plan(evidence_id, points, sources, checks, context, place=place)
        staged = vault.stage(evidence_id)
        stamp = configured_stamp(context.configuration)
        sealed = build_package(staged, plan, signer=signer, clock=context.clock, stamp=stamp, progress=context.progress)
        context.progress(f"{evidence_id}: putting it into the vault")
        path = vault.commit(staged, evidence_id, retain_until=until)
    finally:
        remove_tree(scratch)
    findings += [f"{check.restore_point}: {finding}" for check in checks for finding in check.findings]
    partial = bool(findings) or any(point.outcome is not Outcome.SUCCEEDED for point in points)
    if not sealed.timestamped:
        findings.append(f"not time-stamped: {sealed.untimestamped_because}")
        partial = partial or stamp is not None
    record = EvidenceRecord(
        id=evidence_id,
        incident=context.incident.id,
        path=str(path),
        sealed_at=plan.metadata.sealed_at,
        tag_manifest_sha256=sealed.tag_manifest_sha256,
        signed_by=signer.identity,
        timestamped=sealed.timestamped,
        restore_points=tuple(point.id for point in points),
        payload_bytes=sealed.payload_bytes,
        vault=vault.stored(evidence_id),
    )
    return _result(record, Outcome.PARTIAL if partial else Outcome.SUCCEEDED, findings, context)


def _gather(point: RestorePoint, context: Context, scratch: Path, *, full: bool) -> tuple[PayloadSource, InventoryCheck]:
    """Return what is sealed of a restore point: its data, its inventory, or its record when the data cannot leave."""
    from snaphold.evidence.sealing import keep_inventory, keep_record, restore

    if not point.inventory:
        opening = context.provider(point.pool).describe().capabilities[Verb.OPEN_READ_ONLY]
        if opening.support is Support.UNSUPPORTED:
            return keep_record(point, opening.detail)
    return restore(point, context, scratch) if full else keep_inventory(point)


def _choose(request: SealEvidence, context: Context) -> tuple[list[RestorePoint], list[str]]:
    """Return the restore points to seal, and a finding for each that is left out because it holds nothing usable."""
    deleted = {item.id for item in context.ledger.records(Deletion, context.incident.id) if item.state is DeletionState.DELETED}
    points = context.ledger.records(RestorePoint, context.incident.id)
    known = {point.id: point for point in points if point.id not in deleted}
    for name in request.restore_points:
        if name not in known:
            raise InputError(f"there is no restore point {name!r} of incident {context.incident.id}", do="check the id")
    chosen = [known[name] for name in dict.fromkeys(request.restore_points)] or list(known.values())
    usable = [point for point in chosen if point.outcome in (Outcome.SUCCEEDED, Outcome.PARTIAL)]
    if not usable:
        raise InputError(
            f"incident {context.incident.id} has no restore point that could be sealed", None, "back up first, then seal"
        )
    left_out = [point for point in chosen if point not in usable]
    return usable, [f"{point.id} is left out: its backup ended as {point.outcome.value}" for point in left_out]


def _sealed_before(package: Path, stored: StoredPackage | None, context: Context) -> SealedEvidence:
    """Return the result for a package that an earlier attempt under the same key had finished."""
    from snaphold.evidence import layout
    from snaphold.evidence.hashing import hash_file
    from snaphold.evidence.metadata import EvidenceMetadata

    try:
        metadata = EvidenceMetadata.model_validate_json((package / layout.EVIDENCE_JSON).read_bytes())
        manifest = hash_file(package / layout.TAG_MANIFEST).sha256
    except (OSError, ValueError) as error:
        raise EvidenceError(
            f"{package} stands in the way and is not a sealed package", str(error).splitlines()[0], "look at it by hand"
        ) from error
    record = EvidenceRecord(
        id=metadata.evidence_id,
        incident=metadata.case.id,
        path=str(package),
        sealed_at=metadata.sealed_at,
        tag_manifest_sha256=manifest,
        signed_by=metadata.signed_by,
        timestamped=(package / layout.TIMESTAMP_REPLY).exists(),
        restore_points=tuple(point.id for point in metadata.restore_points),
        payload_bytes=sum(item.bytes for item in metadata.payload),
        vault=stored,
    )
    findings = [f"{check.restore_point}: {finding}" for check in metadata.inventories for finding in check.findings]
    return _result(record, Outcome.PARTIAL if findings else Outcome.SUCCEEDED, findings, context)


def _result(record: EvidenceRecord, outcome: Outcome, findings: list[str], context: Context) -> SealedEvidence:
    context.stage(record)
    return SealedEvidence(
        outcome=outcome,
        findings=findings,
        evidence=record.id,
        path=record.path,
        vault=record.vault.uri if record.vault else "",
        manifest_sha256=record.tag_manifest_sha256,
        timestamped=record.timestamped,
    )


@action("evidence.verify", title="Verify evidence", effect=Effect.READS)
def verify(request: VerifyEvidence, context: Context) -> EvidenceVerification:
    """Verify a sealed package: every digest, the signature, the time stamp and the chain of custody.

    A package in a remote vault is fetched from there, version by version, and its locks are looked at.
    The keys come from the trust folder of the configuration, the expected digest of the tag manifest from the register.
    """
    from snaphold.evidence import layout
    from snaphold.evidence.hashing import hash_file
    from snaphold.evidence.verify import Fault, Status, load_trust, verify_package
    from snaphold.vault.base import ReadBack
    from snaphold.vault.registry import open_vault

    settings = context.configuration.evidence
    record = context.ledger.record(EvidenceRecord, request.evidence)
    if record is None:
        known = ", ".join(item.id for item in context.ledger.records(EvidenceRecord, context.incident.id)) or "none"
        raise InputError(f"there is no evidence {request.evidence!r}", f"of this incident: {known}", "check the id")
    with tempfile.TemporaryDirectory(prefix="snaphold-verify-", dir=_scratch(context)) as folder:
        if record.vault is not None:
            # What counts is what the vault holds; the working copy is verified by `snaphold evidence verify`.
            back = open_vault(context.configuration, context.clock, holding=record.vault).read_back(
                record.id, Path(folder) / record.id, recorded=record.vault
            )
        else:
            back = ReadBack(Path(record.path))
        if not back.folder.is_dir():
            gone = list(back.faults) or [f"{back.folder}: the package is gone"]
            return EvidenceVerification(outcome=Outcome.FAILED, findings=gone, status=Status.FAILED.value, faults=gone)
        trust = load_trust(context.configuration.path(settings.trust))
        report = verify_package(back.folder, trust, identity=record.signed_by, clock=context.clock)
        manifest = back.folder / layout.TAG_MANIFEST
        if manifest.is_file() and hash_file(manifest).sha256 != record.tag_manifest_sha256:
            report.add(Status.FAILED, layout.TAG_MANIFEST, "is not the one that was sealed: the register has another digest")
    report.faults[:0] = [Fault(Status.FAILED, "vault", fault) for fault in back.faults]
    report.faults[:0] = [Fault(Status.UNVERIFIABLE, "vault", fault) for fault in back.unreadable]
    report.notes += [f"vault: {note}" for note in back.notes]
    faults = [str(fault) for fault in report.faults[:_SHOWN_FAULTS]]
    outcomes = {
        Status.VERIFIED: Outcome.SUCCEEDED,
        Status.FAILED: Outcome.FAILED,
        Status.INCOMPLETE: Outcome.PARTIAL,
        Status.UNVERIFIABLE: Outcome.UNKNOWN,
    }
    return EvidenceVerification(
        outcome=outcomes[report.status], findings=[*faults, *report.notes], status=report.status.value, faults=faults
    )


def _scratch(context: Context) -> Path:
    """Return the folder for what is fetched; made when it is missing."""
    from snaphold.vault.local import storage_errors

    folder = context.configuration.state_folder / "scratch"
    with storage_errors(f"the scratch folder {folder} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@action("evidence.compare", title="Compare two states", effect=Effect.READS)
def compare(request: CompareStates, context: Context) -> StateComparison:
    """Compare a restore point with a later one, or with the source as it is now, and name attack patterns.

    Works on the inventories, so nothing is restored. Every difference stands in the report.
    """
    from snaphold.evidence.compare import Category
    from snaphold.evidence.differences import compare_states, compare_with_live, write_report

    state = context.configuration.state_folder
    before = _inventory(request.before, context)
    if request.after:
        differences, notes = compare_states(before, _inventory(request.after, context), None), []
    else:
        with tempfile.TemporaryDirectory(prefix="snaphold-compare-") as folder:
            differences, notes = compare_with_live(before, Path(folder), state)
    report = state / "comparisons" / f"{request.before}--{request.after or f'live-{context.clock.now():%Y%m%dT%H%M%S}'}.jsonl"
    write_report(differences, report)
    counts = differences.comparison.counts()
    if counts[Category.UNREADABLE]:
        notes.append(f"{counts[Category.UNREADABLE]} paths could not be read: nothing is known of them")
    patterns = [str(pattern) for pattern in differences.patterns]
    return StateComparison(
        outcome=Outcome.PARTIAL if notes else Outcome.SUCCEEDED,
        findings=[*patterns, *notes],
        **{category.value: count for category, count in counts.items()},
        patterns=patterns,
        report=str(report),
    )


def _inventory(name: str, context: Context) -> Path:
    """Return the inventory of a restore point of this incident, checked against the register."""
    from snaphold.evidence.hashing import hash_file

    point = context.ledger.record(RestorePoint, name)
    if point is None or point.incident != context.incident.id:
        raise InputError(f"there is no restore point {name!r} of incident {context.incident.id}", do="check the id")
    path = Path(point.inventory)
    if not point.inventory or not path.is_file():
        raise InputError(f"{name} has no inventory", "its source was not listed while it was backed up")
    if hash_file(path).sha256 != point.inventory_sha256:
        raise EvidenceError(f"the inventory of {name} was changed since the backup", str(path), "look into the state folder")
    return path
