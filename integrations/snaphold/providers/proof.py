"""Proves a restore point: read back, restored into scratch, compared with its inventory, asked its consistency query."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from snaphold.domain.asset import Application
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import SnapholdError, StorageError
from snaphold.evidence.compare import Category, Change, compare_inventories
from snaphold.evidence.hashing import hash_file
from snaphold.evidence.inventory import inventory_roots, take_inventory
from snaphold.providers.base import Provider, Support, Verb
from snaphold.providers.job_folder import CHANGED
from snaphold.providers.source import name_paths
from snaphold.quiesce.registry import open_quiescer

COPY_PATHS_EVENT = "copy_begin"
CRASH_CONSISTENT = "crash-consistent"


@dataclass
class Proof:
    """What was checked. `verified` only when something was, and nothing failed; `gaps` are what nothing could check.

    Neither verified nor failed is what a product keeps that lets nobody read its copies back.
    """

    passed: list[str] = field(default_factory=lambda: [])
    failed: list[str] = field(default_factory=lambda: [])
    gaps: list[str] = field(default_factory=lambda: [])

    @property
    def verified(self) -> bool:
        """Whether all checks that apply passed."""
        return bool(self.passed) and not self.failed


def prove(
    provider: Provider,
    point: RestorePoint,
    application: Application | None,
    scratch: Path,
    progress: Callable[[str], None],
) -> Proof:
    """Return what the checks of a restore point found. `scratch` is an empty folder that the caller removes.

    A check that the engine has and that cannot be made counts as failed. What a product has no check for is a gap.
    Raises MissingToolError and what else keeps the provider from answering at all.
    """
    proof = Proof()
    capabilities = provider.describe().capabilities
    opening = capabilities[Verb.OPEN_READ_ONLY]
    restorable = opening.support is not Support.UNSUPPORTED
    if capabilities[Verb.VERIFY].support is Support.UNSUPPORTED:
        proof.gaps.append(f"it was not read back: {capabilities[Verb.VERIFY].detail}")
    else:
        progress(f"{point.id}: reading back")
        _read_back(provider, point, proof, restorable=restorable)
    if not restorable:
        proof.gaps.append(f"it was not restored and compared with its source: {opening.detail}")
        return proof
    progress(f"{point.id}: restoring into scratch")
    try:
        root = provider.open_read_only(point, scratch / "tree")
        proof.passed.append("restored into scratch")
        progress(f"{point.id}: comparing with the source inventory")
        compare_with_source(point, root, scratch, proof)
        _ask(point, application, root, proof)
    except SnapholdError as error:
        proof.failed.append("; ".join(part for part in (error.what, error.why) if part))
    return proof


def _read_back(provider: Provider, point: RestorePoint, proof: Proof, *, restorable: bool) -> None:
    """Add what the engine says of its copy. A product that found no fault and read nothing proves and disproves nothing."""
    verification = provider.verify(point)
    told = "; ".join(verification.findings)
    label = "read back" if restorable else "looked at"
    if verification.outcome is Outcome.SUCCEEDED:
        proof.passed.append(f"{label}: {verification.method}")
    elif restorable or verification.outcome is Outcome.FAILED:
        proof.failed.append(f"{label}: {verification.method}: {told or 'failed'}")
    else:
        proof.gaps.append(f"looked at: {verification.method}: {told or 'nothing proves it'}")


def compare_with_source(point: RestorePoint, root: Path, scratch: Path, proof: Proof) -> None:
    """Add to `proof` how a restored tree compares with the inventory that was taken of the source."""
    source = Path(point.inventory)
    if not point.inventory or not source.is_file():
        proof.failed.append("the source inventory is missing: the restored files cannot be compared")
        return
    if _digest(source) != point.inventory_sha256:
        proof.failed.append("the source inventory was changed since the backup")
        return
    roots = [Path(os.fsdecode(os.fsencode(root) + path)) for path in inventory_roots(source)]
    restored = scratch / "restored.jsonl"
    take_inventory(roots, restored, base=root)
    comparison = compare_inventories(source, restored)
    excused = _changed_while_copied(point)
    wrong: list[str] = []
    unread: list[str] = []
    changed: list[str] = []
    special: list[str] = []
    for change in comparison.changes:
        path = os.fsdecode(change.former or change.path)
        if change.category is Category.METADATA_ONLY:
            continue
        if path in excused:
            changed.append(path)
        elif change.before and "error" in change.before:
            unread.append(path)
        elif change.category is Category.REMOVED and change.before and change.before["type"] == "other":
            special.append(path)
        else:
            wrong.append(_name(change, path))
    if wrong:
        proof.failed.append(f"{len(wrong)} restored entries differ from the source inventory: {name_paths(wrong)}")
    else:
        proof.passed.append(f"restored entries equal the source inventory: {comparison.before - len(unread + changed + special)}")
    for found, why in (
        (unread, "could not be read at the source and are not in the backup"),
        (changed, "changed during the copy: the inventory does not hold for them"),
        (special, "are special files (pipe, socket, device), which the engine does not keep"),
    ):
        if found:
            proof.gaps.append(f"{len(found)} entries {why}: {name_paths(found)}")


def _ask(point: RestorePoint, application: Application | None, root: Path, proof: Proof) -> None:
    if point.consistency.startswith(CRASH_CONSISTENT):
        proof.gaps.append("no application was quiesced: this is a crash-consistent copy, and no consistency query applies")
        return
    if application is None:
        proof.failed.append("the application is no longer described in the configuration: its query cannot be asked")
        return
    copy = _copy_of(point, application, root)
    if not copy.exists():
        proof.failed.append(f"the application's copy {copy.name} is not in the restored tree")
        return
    report = open_quiescer(application.quiesce).verify(application, copy)
    said = "; ".join((*report.checks, *report.reasons))
    if report.consistent:
        proof.passed.append(f"consistency: {said}")
    elif application.consistency_query or not report.checks:
        proof.failed.append(f"consistency: {said}")
    else:
        proof.passed.append(f"application: {'; '.join(report.checks)}")
        proof.gaps.append("no consistency query is configured, so nothing proves the application's content")


def _copy_of(point: RestorePoint, application: Application, root: Path) -> Path:
    """Return where the application's copy is in the restored tree: the freeze/thaw log keeps its paths."""
    for line in reversed(point.quiesce_log):
        if line.event == COPY_PATHS_EVENT and line.detail.startswith('["'):
            paths = [root / path.lstrip("/") for path in json.loads(line.detail)]
            return paths[0] if len(paths) == 1 else paths[0].parent
    return root / application.location.lstrip("/")


def _changed_while_copied(point: RestorePoint) -> frozenset[str]:
    """Return the files that the job saw change; a list that is not the one named in the restore point does not count."""
    listed = Path(point.inventory).with_name(CHANGED)
    if not listed.is_file() or not any(f"sha256:{_digest(listed)}" in finding for finding in point.findings):
        return frozenset()
    return frozenset(json.loads(listed.read_text(encoding="utf-8")))


def _digest(path: Path) -> str:
    try:
        return hash_file(path).sha256
    except OSError as error:
        raise StorageError(f"{path} cannot be read", error.strerror, "check the state folder") from error


def _name(change: Change, path: str) -> str:
    return f"{path} ({change.category.value})"
