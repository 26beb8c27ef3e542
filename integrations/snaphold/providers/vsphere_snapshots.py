"""Snapshots that we made: how they are named and described, and the restore points that they are.

vSphere allows two snapshots of one name. Ours carry the idempotency key and everything that a restore point says in
their description, and a digest of the key in their name, which a person is less likely to edit.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pydantic import Field, ValidationError

from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.value import Identifier, Value
from snaphold.providers.vendor import restore_point_id

NO_BACKUP = "a vSphere snapshot is no backup: it lies on the machine's own datastore and is lost with it"
_LONGEST_NAME = 80
_NAME = re.compile(r"Snaphold ([0-9a-f]{16})( |$)")
_DEEPEST = 512


class Facts(Value):
    """What the description of a snapshot says, as JSON."""

    snaphold: int = Field(default=1, description="Version of this form.")
    key: str
    incident: Identifier
    asset: Identifier
    pool: Identifier
    bytes: int = Field(ge=0)
    tools_running: bool
    quiesce: bool
    encryption: str


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a machine. `facts` is None when its description is not ours (any more)."""

    machine: str
    id: str
    digest: str
    taken_at: datetime
    quiesced: bool
    power: str
    facts: Facts | None

    @property
    def reference(self) -> str:
        """Return the restore point's reference."""
        return f"{self.machine}/{self.id}"


def digest_of(key: str) -> str:
    """Return what stands for a key in names and job ids."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def snapshot_name(key: str, asset: str) -> str:
    """Return the name of the snapshot that a start under this key makes."""
    return f"Snaphold {digest_of(key)} {asset}"[:_LONGEST_NAME]


def describe(facts: Facts) -> str:
    """Return the description of a snapshot."""
    return json.dumps(facts.model_dump(mode="json"), sort_keys=True)


def our_snapshots(machine: str, trees: Iterable[Any]) -> list[Snapshot]:
    """Return the snapshots in a machine's trees that carry our name, oldest first."""
    found: list[Snapshot] = []
    waiting: list[tuple[Any, int]] = [(tree, 0) for tree in trees]
    while waiting:
        tree, depth = waiting.pop()
        if depth < _DEEPEST:
            waiting += [(child, depth + 1) for child in tree.childSnapshotList or ()]
        named = _NAME.match(str(tree.name))
        if named:
            found.append(_snapshot(machine, tree, named[1]))
    return sorted(found, key=lambda item: (item.taken_at, item.id))


def _snapshot(machine: str, tree: Any, digest: str) -> Snapshot:
    try:
        facts = Facts.model_validate_json(str(tree.description))
    except ValidationError:
        facts = None
    if facts is not None and digest_of(facts.key) != digest:
        facts = None
    return Snapshot(
        machine=machine,
        id=str(tree.snapshot._moId),
        digest=digest,
        taken_at=_aware(tree.createTime),
        quiesced=bool(tree.quiesced),
        power=str(tree.state),
        facts=facts,
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def restore_point(snapshot: Snapshot, facts: Facts, engine: str) -> RestorePoint:
    """Return the restore point that a snapshot is; every process says the same of it."""
    outcome, consistency, findings = _consistency(snapshot, facts)
    return RestorePoint(
        id=restore_point_id(facts.asset, facts.key),
        incident=facts.incident,
        asset=facts.asset,
        pool=facts.pool,
        provider="vsphere",
        engine=engine,
        reference=snapshot.reference,
        key=facts.key,
        taken_at=snapshot.taken_at,
        outcome=outcome,
        size=facts.bytes,
        files=0,
        encryption=facts.encryption,
        consistency=consistency,
        findings=(NO_BACKUP, *findings),
    )


def _consistency(snapshot: Snapshot, facts: Facts) -> tuple[Outcome, str, Sequence[str]]:
    """Return what is known. The tree's `quiesced` is the option that was asked for: Tools that do not run ignore it."""
    if snapshot.power == "poweredOff":
        return Outcome.SUCCEEDED, "at rest: the machine was powered off", ()
    if snapshot.quiesced and facts.quiesce and facts.tools_running:
        said = "file-system-consistent: quiesced by VMware Tools; vSphere does not tell which applications took part"
        return Outcome.SUCCEEDED, said, ()
    why = "VMware Tools did not run, so quiescing was ignored" if facts.quiesce else "the pool's settings say quiesce: no"
    return Outcome.PARTIAL, f"crash-consistent: {why}", (f"the guest was not quiesced: {why}",)
