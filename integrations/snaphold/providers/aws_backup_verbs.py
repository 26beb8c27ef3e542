"""What AWS Backup can be asked, and why not the rest."""

from __future__ import annotations

from collections.abc import Mapping

from snaphold.providers.base import Capability, Support, Verb

PROVED_ON = "client model only"

_FULL = Capability(support=Support.FULL)


def _approximate(how: str) -> Capability:
    return Capability(support=Support.APPROXIMATE, detail=how)


def _unsupported(why: str) -> Capability:
    return Capability(support=Support.UNSUPPORTED, detail=why)


CAPABILITIES: Mapping[Verb, Capability] = {
    Verb.FIND_WORKLOAD: _approximate("the ARN of the resource; AWS Backup tells whether it exists only when a job runs"),
    Verb.CHECK_HEALTH: _FULL,
    Verb.CAPACITY: _approximate("a vault grows as it is used; quotas and cost are not asked"),
    Verb.ESTIMATE: _approximate("the size of the newest recovery point of the resource, nothing when there is none"),
    Verb.START: _FULL,
    Verb.STATUS: _FULL,
    Verb.CANCEL: _FULL,
    Verb.RESTORE_POINTS: _FULL,
    Verb.VERIFY: _approximate("the state that AWS Backup shows; no data is read, so the answer is never that it is verified"),
    Verb.SET_RETENTION: _FULL,
    Verb.HOLD: _approximate(
        "a legal hold on the resource's recovery points of that day in the vault: AWS Backup holds by resource and date"
    ),
    Verb.DELETE: _FULL,
    Verb.SET_SCHEDULE: _unsupported("schedules belong to backup plans, which are not changed from here"),
    Verb.OPEN_READ_ONLY: _unsupported("a recovery point is restored as a new resource, not as a tree of files"),
    Verb.PUBLISH: _unsupported("a vault is shared as a whole, not one recovery point"),
    Verb.MARK_INFECTED: _approximate("a tag that warns; AWS Backup still lets it be restored"),
}
