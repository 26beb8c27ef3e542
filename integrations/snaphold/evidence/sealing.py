"""Gathers what is sealed for an incident: restored data, inventories, ledger entries, approvals, freeze/thaw logs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from snaphold.context import Context
from snaphold.domain.authority import Approval, ApprovalState, Grant, Hold, PromotionException
from snaphold.domain.change import CoveringChange
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.stored_package import RestingPlace
from snaphold.errors import EvidenceError, StorageError
from snaphold.evidence.custody_record import Place
from snaphold.evidence.hashing import hash_file
from snaphold.evidence.inventory import inventory_roots, read_inventory
from snaphold.evidence.metadata import EvidenceMetadata, InventoryCheck, ProviderRecord, Tool
from snaphold.evidence.package import PackagePlan
from snaphold.evidence.payload import PayloadSource, StoredPayload, StreamSource, TreeSource
from snaphold.ledger.entry import canonical
from snaphold.providers.proof import Proof, compare_with_source

_CHUNK = 1024 * 1024


def restore(point: RestorePoint, context: Context, scratch: Path) -> tuple[PayloadSource, InventoryCheck]:
    """Return the restored tree of a restore point as payload, and how it compares with its source inventory.

    Raises EvidenceError when what was restored is not what was backed up.
    """
    context.progress(f"{point.id}: restoring into scratch")
    folder = scratch / point.id
    work = scratch / f"{point.id}.work"
    for path in (folder, work):
        path.mkdir(parents=True, mode=0o700)
    root = context.provider(point.pool).open_read_only(point, folder)
    proof = Proof()
    compare_with_source(point, root, work, proof)
    if proof.failed:
        raise EvidenceError(
            f"{point.id} was not sealed: the restored data is not what was backed up",
            "; ".join(proof.failed),
            "keep the repository as it is, take a new backup, and look into the storage",
        )
    source = TreeSource(f"restore point {point.id} as a tar archive", root, point.id, _names(point))
    return source, _check(point, compared=True, findings=proof.gaps)


def keep_inventory(point: RestorePoint) -> tuple[PayloadSource, InventoryCheck]:
    """Return a restore point's source inventory as payload. Raises EvidenceError when it is missing or was changed."""
    path = Path(point.inventory)
    if not point.inventory or not path.is_file():
        raise EvidenceError(f"{point.id} has no source inventory", "there is nothing to keep of it", "seal with content=full")
    if hash_file(path).sha256 != point.inventory_sha256:
        raise EvidenceError(
            f"the source inventory of {point.id} was changed since the backup", str(path), "look into the storage"
        )
    source = StreamSource(f"source inventory of restore point {point.id}", _pieces(path), "jsonl", point.id, _names(point))
    return source, _check(point, compared=False, findings=())


def keep_record(point: RestorePoint, why: str) -> tuple[PayloadSource, InventoryCheck]:
    """Return the registered facts of a restore point as payload, when its data cannot leave the product that keeps it.

    They name the product's own id, the log of freeze and thaw, and what the product told; the check says what is not here.
    """
    finding = f"its data are not in this package, they stay in {point.provider} as {point.reference}: {why}"
    facts = _lines([point.model_dump(mode="json")])
    source = StreamSource(f"record of restore point {point.id}, without its data", facts, "jsonl", point.id)
    return source, _check(point, compared=False, findings=[finding])


def make_plan(
    evidence_id: str,
    points: Sequence[RestorePoint],
    sources: Sequence[PayloadSource],
    checks: Sequence[InventoryCheck],
    context: Context,
    *,
    place: RestingPlace,
) -> PackagePlan:
    """Return the plan of a package for these restore points."""
    ledger, incident = context.ledger, context.incident
    approvals = ledger.records(Approval, incident.id)
    given = [approval for approval in approvals if approval.state is ApprovalState.APPROVED]
    votes = sorted({vote.by for approval in given for vote in approval.votes})
    organisation = context.configuration.organisation
    metadata = EvidenceMetadata(
        evidence_id=evidence_id,
        case=incident,
        sealed_at=context.clock.now(),
        sealed_by=context.actor,
        signed_by=context.configuration.evidence.identity,
        organisation=organisation.name,
        justification=context.justification,
        key=context.key,
        content=_content(points, sources),
        tool=Tool(name="snaphold", version=""),
        restore_points=tuple(points),
        providers=_providers(points, context),
        inventories=tuple(checks),
        approvals=tuple(approval.id for approval in approvals),
    )
    registers = {
        "approvals": approvals,
        "grants": ledger.records(Grant, incident.id),
        "changes": ledger.records(CoveringChange, incident.id),
        "exceptions": ledger.records(PromotionException, incident.id),
        "holds": ledger.records(Hold, incident.id),
    }
    rights = {name: [record.model_dump(mode="json") for record in records] for name, records in registers.items()}
    # Read anew for each file, up to what is there now: an incident of thousands of assets has more than memory should hold.
    newest = max((entry.sequence for entry in ledger.each_entry(incident.id)), default=0)
    by_id = {point.id: point for point in points}
    files: dict[str, Callable[[Sequence[StoredPayload]], Iterable[bytes]]] = {
        "files.jsonl": lambda stored: _files(stored, by_id),
        "timeline.jsonl": lambda _: _in_order(timeline(context, points, _entries(context, newest))),
        "approvals.json": lambda _: [(json.dumps(rights, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()],
        "ledger.jsonl": lambda _: _lines(_entries(context, newest)),
        "quiesce.jsonl": lambda _: _lines(_quiesce(points)),
    }
    return PackagePlan(
        metadata,
        sources,
        files,
        contact=organisation.contact,
        asset_names=tuple(sorted({point.asset for point in points})),
        approvers=tuple(votes),
        quiesce="; ".join(sorted({f"{point.asset}: {point.consistency}" for point in points})),
        place=Place(system=platform.node(), **dict(place)),
    )


def _content(points: Sequence[RestorePoint], sources: Sequence[PayloadSource]) -> Literal["full", "inventory", "record"]:
    """Return the most that the payload holds of any restore point; the checks say of each what is not there."""
    if any(isinstance(source, TreeSource) for source in sources):
        return "full"
    return "inventory" if any(point.inventory for point in points) else "record"


def timeline(context: Context, points: Sequence[RestorePoint], entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the incident's events as Timesketch reads them (`timestamp` in microseconds), not in order of time."""
    incident = context.incident
    yield _event(incident.declared_at, "Incident declared", f"{incident.id}: {incident.title}", "incident")
    for point in points:
        message = f"{point.id} of {point.asset} taken by {point.engine}: {point.outcome.value}"
        yield _event(point.taken_at, "Restore point taken", message, "backup")
        for line in point.quiesce_log:
            yield _event(line.at, "Quiesce", f"{point.asset}: {line.event} {line.detail}".rstrip(), "quiesce")
    for entry in entries:
        message = " ".join(str(entry[name]) for name in ("actor", "action", "event", "outcome") if entry.get(name))
        moment = datetime.fromisoformat(str(entry["at"]).replace("Z", "+00:00"))
        yield _event(moment, "Audit entry", message, "ledger")


def _in_order(events: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the lines of events in order of time. Lines take a fraction of the memory of what they say."""
    lines = [(int(event["timestamp"]), line) for event in events for line in _lines([event])]
    lines.sort(key=lambda item: item[0])
    return (line for _, line in lines)


def _entries(context: Context, newest: int) -> Iterator[dict[str, Any]]:
    for entry in context.ledger.each_entry(context.incident.id):
        if entry.sequence > newest:
            return
        yield entry.model_dump(mode="json")


def _event(at: datetime, kind: str, message: str, source: str) -> dict[str, Any]:
    return {
        "message": message,
        "datetime": at.isoformat(),
        "timestamp": round(at.timestamp() * 1_000_000),
        "timestamp_desc": kind,
        "data_source": source,
    }


def _quiesce(points: Sequence[RestorePoint]) -> Iterator[dict[str, Any]]:
    for point in points:
        for line in point.quiesce_log:
            yield {"restore_point": point.id, "asset": point.asset, **line.model_dump(mode="json")}


def _files(stored: Sequence[StoredPayload], points: dict[str, RestorePoint]) -> Iterator[bytes]:
    for item in stored:
        point = points.get(item.source.restore_point)
        if point and point.inventory and Path(point.inventory).is_file():
            yield from _lines({"payload": item.name, **entry} for entry in read_inventory(Path(point.inventory)))


def _providers(points: Sequence[RestorePoint], context: Context) -> tuple[ProviderRecord, ...]:
    found: dict[tuple[str, str], ProviderRecord] = {}
    for point in points:
        if (point.pool, point.encryption) not in found:
            description = context.provider(point.pool).describe()
            found[point.pool, point.encryption] = ProviderRecord(
                pool=point.pool,
                provider=description.provider,
                engine=description.engine,
                encryption=point.encryption,
                proved_on=description.proved_on,
            )
    return tuple(found.values())


def _check(point: RestorePoint, *, compared: bool, findings: Sequence[str]) -> InventoryCheck:
    return InventoryCheck(
        restore_point=point.id,
        compared=compared,
        files=point.files,
        bytes=point.size,
        inventory_sha256=point.inventory_sha256,
        findings=tuple(findings),
    )


def _names(point: RestorePoint) -> tuple[str, ...]:
    path = Path(point.inventory)
    if not point.inventory or not path.is_file():
        return ()
    return tuple(root.decode("utf-8", "backslashreplace") for root in inventory_roots(path))


def _lines(documents: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for document in documents:
        yield (canonical(document) + "\n").encode()


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece
    except OSError as error:
        raise StorageError(f"{os.fspath(path)} cannot be read", error.strerror, "check the state folder") from error
