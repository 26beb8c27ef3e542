"""Locks on EBS snapshots: what keeps them, until when, and how holds and retention share one lock.

EC2 has one lock for each snapshot. Holds and the retention are kept as tags; the lock lasts as long as the longest of
them. A lock that somebody else made longer is left as it is; a lock in compliance mode can only be made longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from snaphold.clock import Clock, format_time
from snaphold.errors import ProviderError
from snaphold.providers.aws_ebs_snapshots import Snapshot
from snaphold.providers.aws_marks import HOLD, LOCKED_UNTIL, RETAIN_UNTIL, read_moment, tag_list, write_moment
from snaphold.providers.aws_session import AwsService

GOVERNANCE, COMPLIANCE, COOLING = "governance", "compliance", "compliance-cooloff"
_LOCKED = frozenset({GOVERNANCE, COMPLIANCE, COOLING})
SHORTEST = timedelta(days=1)
"""EC2 takes no shorter lock."""


@dataclass(frozen=True)
class Lock:
    """The lock of a snapshot. `until` is None while the snapshot is not complete: its time has not begun."""

    state: str
    until: datetime | None

    @property
    def text(self) -> str:
        """How the lock is told to a person."""
        return f"{self.state} mode until {format_time(self.until) if self.until else 'some time after it is complete'}"


def read_locks(ec2: AwsService, snapshots: Sequence[Snapshot]) -> dict[str, Lock]:
    """Return the locks that hold now, by snapshot; a snapshot that is not locked is left out."""
    if not snapshots:
        return {}
    found = ec2.pages("describe_locked_snapshots", "Snapshots", SnapshotIds=[item.id for item in snapshots])
    locks = {
        str(item.get("SnapshotId", "")): Lock(str(item.get("LockState", "")), cast("datetime | None", item.get("LockExpiresOn")))
        for item in found
    }
    strange = [f"{name}: {lock.state}" for name, lock in locks.items() if lock.state not in {*_LOCKED, "expired"}]
    if strange:
        raise ProviderError("the state of a lock is not understood", "; ".join(strange), "look at the snapshots in EC2")
    return {name: lock for name, lock in locks.items() if lock.state in _LOCKED}


class Locks:
    """Keeps the locks of snapshots in step with their holds and their retention."""

    def __init__(self, ec2: AwsService, mode: str, hold_lasts: timedelta, clock: Clock) -> None:
        self._ec2 = ec2
        self._mode = mode
        self._hold_lasts = hold_lasts
        self._clock = clock

    def hold(self, snapshots: Sequence[Snapshot], hold: str) -> str:
        """Lock the snapshots under a hold, and return how they are locked."""
        # The mark first: whoever releases another hold meanwhile then sees this one.
        self._mark(snapshots, {HOLD + hold: write_moment(self._clock.now())})
        return self._lock(snapshots, self._clock.now() + self._hold_lasts)

    def retain(self, snapshots: Sequence[Snapshot], until: datetime) -> str:
        """Lock the snapshots until then, and return how they are locked. A later retention stays."""
        short = [item for item in snapshots if (read_moment(item.marks, RETAIN_UNTIL) or until) <= until]
        self._mark(short, {RETAIN_UNTIL: write_moment(until)})
        return self._lock(snapshots, until)

    def release(self, snapshots: Sequence[Snapshot], hold: str) -> str:
        """End a hold; with the last one the lock falls back to the retention. Return how the snapshots are locked then.

        Raises ProviderError when a lock in compliance mode stands against it.
        """
        mark = HOLD + hold
        mine = [item for item in snapshots if mark in item.marks]
        free = [item for item in mine if not any(name.startswith(HOLD) and name != mark for name in item.marks)]
        locks = read_locks(self._ec2, free)
        fixed = [f"{item.id}: {locks[item.id].text}" for item in free if item.id in locks and locks[item.id].state == COMPLIANCE]
        if fixed:
            raise ProviderError(
                f"the hold {hold} cannot be released in EC2",
                f"a lock in compliance mode is lifted by nobody: {'; '.join(fixed)}",
                "wait until the lock ends; for locks that can be lifted set lock_mode: governance before the next hold",
            )
        for item in free:
            self._lower(item, locks.get(item.id))
        if mine:
            self._ec2.write("delete_tags", Resources=[item.id for item in mine], Tags=[{"Key": mark}])
        return self._told(snapshots)

    def _lower(self, item: Snapshot, lock: Lock | None) -> None:
        """Bring a lock that is ours down to the retention; one that somebody made longer stays."""
        ours = read_moment(item.marks, LOCKED_UNTIL)
        if lock is None or ours is None or (lock.until is not None and lock.until > ours + timedelta(seconds=1)):
            return
        retained = read_moment(item.marks, RETAIN_UNTIL)
        if retained is None or retained <= self._clock.now():
            self._ec2.write("unlock_snapshot", "SnapshotId", SnapshotId=item.id)
            return
        until = self._whole(retained)
        self._ec2.write("lock_snapshot", "LockState", SnapshotId=item.id, LockMode=GOVERNANCE, ExpirationDate=until)
        self._mark([item], {LOCKED_UNTIL: write_moment(until)})

    def _lock(self, snapshots: Sequence[Snapshot], until: datetime) -> str:
        until = self._whole(until)
        locks = read_locks(self._ec2, snapshots)
        for item in snapshots:
            lock = locks.get(item.id)
            if lock and lock.until and lock.until >= until and (self._mode == GOVERNANCE or lock.state == COMPLIANCE):
                continue
            later = max(until, lock.until) if lock and lock.until else until
            mode = COMPLIANCE if lock and lock.state != GOVERNANCE else self._mode
            self._mark([item], {LOCKED_UNTIL: write_moment(later)})
            self._ec2.write("lock_snapshot", "LockState", SnapshotId=item.id, LockMode=mode, ExpirationDate=later)
        return self._told(snapshots, until)

    def _told(self, snapshots: Sequence[Snapshot], until: datetime | None = None) -> str:
        """Return how the snapshots are locked, as EC2 shows it now. Raises ProviderError when a lock is not there."""
        locks = read_locks(self._ec2, snapshots)
        lacking = [
            item.id
            for item in snapshots
            if until and (item.id not in locks or ((shown := locks[item.id].until) is not None and shown < until))
        ]
        if lacking:
            raise ProviderError(
                f"{', '.join(lacking)} is not locked until {format_time(until) if until else ''}",
                "EC2 took the call and shows another lock",
                "look at the snapshots in EC2",
            )
        return "; ".join(f"{item.id}: {locks[item.id].text if item.id in locks else 'not locked'}" for item in snapshots)

    def _mark(self, snapshots: Sequence[Snapshot], marks: dict[str, str]) -> None:
        if snapshots:
            self._ec2.write("create_tags", Resources=[item.id for item in snapshots], Tags=tag_list(marks))

    def _whole(self, until: datetime) -> datetime:
        """Return a time that EC2 takes: whole seconds, and at least the shortest lock away."""
        soonest = self._clock.now() + SHORTEST + timedelta(minutes=5)
        return (max(until, soonest) + timedelta(seconds=1)).replace(microsecond=0)
