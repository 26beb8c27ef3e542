"""What EBS can be asked, and why not the rest."""

from __future__ import annotations

from collections.abc import Mapping

from snaphold.providers.base import Capability, Support, Verb

PROVED_ON = "client model only, and moto's server"

_FULL = Capability(support=Support.FULL)


def _approximate(how: str) -> Capability:
    return Capability(support=Support.APPROXIMATE, detail=how)


def _unsupported(why: str) -> Capability:
    return Capability(support=Support.UNSUPPORTED, detail=why)


CAPABILITIES: Mapping[Verb, Capability] = {
    Verb.FIND_WORKLOAD: _FULL,
    Verb.CHECK_HEALTH: _FULL,
    Verb.CAPACITY: _approximate("EBS grows as it is used; quotas and cost are not asked"),
    Verb.ESTIMATE: _approximate("the size of the volumes, which is the most that snapshots can add"),
    Verb.START: _approximate(
        "EC2 takes no idempotency key: our mark is a tag, looked up before and, when the answer was lost, after; "
        "crash-consistent, or through a VSS document of Systems Manager"
    ),
    Verb.STATUS: _FULL,
    Verb.CANCEL: _unsupported("EBS cannot stop a snapshot that has begun"),
    Verb.RESTORE_POINTS: _FULL,
    Verb.VERIFY: _approximate("the state that EC2 shows; no data is read, so the answer is never that it is verified"),
    Verb.SET_RETENTION: _approximate("a snapshot lock until then, of at least a day; never shortened"),
    Verb.HOLD: _approximate("a snapshot lock: EC2 has no hold without an end, it lasts as long as hold_lasts says"),
    Verb.DELETE: _FULL,
    Verb.SET_SCHEDULE: _unsupported("schedules of snapshots belong to Data Lifecycle Manager, which is not changed from here"),
    Verb.OPEN_READ_ONLY: _unsupported(
        "a snapshot is a disk and no tree of files: make a volume of it and attach that to an analysis instance"
    ),
    Verb.PUBLISH: _approximate("the snapshots are shared with the investigators' account"),
    Verb.MARK_INFECTED: _approximate("a tag that warns; EC2 still lets it be restored"),
}
