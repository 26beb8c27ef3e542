"""Finds in Commvault what the configuration names: the client and subclient of an asset, the storage of a pool, its copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snaphold.errors import CapacityError, ProviderError
from snaphold.providers.commvault_answers import (
    ClientEntity,
    ClientList,
    Copy,
    CopyList,
    PlanList,
    StoragePool,
    StoragePoolDetail,
    StoragePools,
    SubclientList,
    SubclientRow,
)
from snaphold.providers.commvault_session import CommvaultSession

MEGABYTE = 1_000_000
"""The lesser reading of Commvault's megabytes, so that room is never overstated."""
_ONLINE = "online"
_SWITCHED_OFF = frozenset({"DISABLED", "BACKUP_DISABLED"})
_MOST_NAMED = 5


@dataclass(frozen=True)
class Room:
    """A storage pool's room in bytes; None when Commvault does not tell it in a way that makes sense."""

    total: int | None
    free: int | None


def find_client(session: CommvaultSession, name: str) -> ClientEntity | None:
    """Return the client of a workload's name (the part before the first slash), None when there is none.

    Raises ProviderError when several have that name.
    """
    wanted = name.split("/", maxsplit=1)[0].lower()
    entities = [row.client.entity for row in session.get("/Client", ClientList, "reading the clients").rows]
    found = [item for item in entities if item.name.lower() == wanted] or [
        item for item in entities if item.shown.lower() == wanted
    ]
    if len(found) > 1:
        raise ProviderError(
            f"Commvault has more than one client {wanted!r}",
            f"their names: {', '.join(item.name for item in found[:_MOST_NAMED])}",
            "write the client's name, not its display name, under protection.workloads",
        )
    return found[0] if found else None


def find_subclient(session: CommvaultSession, name: str) -> SubclientRow:
    """Return the subclient that CLIENT, CLIENT/SUBCLIENT or CLIENT/BACKUP SET/SUBCLIENT names.

    Raises ProviderError when there is none, or more than one.
    """
    client = find_client(session, name)
    if client is None:
        raise ProviderError(
            f"Commvault has no client for {name!r}",
            "no client has that name or display name, or the integration's user may not see it",
            "name it under protection.workloads of the asset, or give the user the right to see it",
        )
    rows = session.get("/Subclient", SubclientList, "reading the subclients", {"clientId": client.id, "propertyLevel": 20}).rows
    wanted = tuple(part.lower() for part in name.split("/")[1:])
    found = [row for row in rows if _fits(row, wanted)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(row.entity.path for row in (found or rows)[:_MOST_NAMED]) or "none"
    if not found:
        raise ProviderError(
            f"Commvault has no subclient for {name!r}", f"the client has: {names}", "correct it under protection.workloads"
        )
    raise ProviderError(
        f"Commvault has more than one subclient for {name!r}",
        f"they are: {names}",
        "write CLIENT/BACKUP SET/SUBCLIENT under protection.workloads",
    )


def _fits(row: SubclientRow, wanted: Sequence[str]) -> bool:
    """Return whether the last parts of a subclient's path are the wanted ones; without any, every subclient fits."""
    path = (row.entity.backup_set.lower(), row.entity.name.lower())
    return len(wanted) <= len(path) and path[len(path) - len(wanted) :] == tuple(wanted)


def read_subclient(session: CommvaultSession, number: int) -> SubclientRow:
    """Return a subclient by its id. Raises ProviderError when there is none."""
    rows = session.get(f"/Subclient/{number}", SubclientList, f"reading subclient {number}").rows
    if len(rows) != 1:
        raise ProviderError(f"Commvault has no subclient {number}", "it was removed, or may not be seen", "look for the workload")
    return rows[0]


def plan_of(row: SubclientRow) -> int:
    """Return the id of a subclient's plan. Raises ProviderError when it has none."""
    if row.plan is None or not row.plan.id:
        raise ProviderError(
            f"{row.entity.path} has no plan", "its copies are found through its plan", "assign a server plan to it in Commvault"
        )
    return row.plan.id


def find_pool(session: CommvaultSession, name: str) -> StoragePool:
    """Return the disk storage pool of that name. Raises ProviderError when there is none, or more than one."""
    pools = session.get("/V4/Storage/Disk", StoragePools, "reading the storage pools").pools
    found = [pool for pool in pools if pool.name.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    known = ", ".join(pool.name for pool in pools[:_MOST_NAMED]) or "none"
    raise ProviderError(
        f"Commvault has {'more than one' if found else 'no'} disk storage pool {name!r}",
        f"it shows: {known}",
        "correct location of the pool in snaphold.yaml, or give the integration's user the right to see the storage",
    )


def pool_faults(pool: StoragePool) -> tuple[str, ...]:
    """Return what keeps a storage pool from taking a backup."""
    faults: list[str] = []
    if pool.status.lower() != _ONLINE:
        faults.append(f"the storage pool {pool.name} is {pool.status or 'in an unknown state'}")
    if pool.free == 0:
        faults.append(f"the storage pool {pool.name} is full")
    return tuple(faults)


def require_usable(pool: StoragePool) -> None:
    """Raises CapacityError when a storage pool is full, ProviderError when it is not online."""
    if pool.status.lower() != _ONLINE:
        raise ProviderError(
            f"the storage pool {pool.name} is not online",
            f"Commvault says: {pool.status or 'nothing'}",
            "look at its media agent and mount paths",
        )
    if pool.free == 0:
        raise CapacityError(
            f"the storage pool {pool.name} is full", f"free 0 of {pool.capacity} megabytes", "make room or use another pool"
        )


def room_of(pool: StoragePool) -> Room:
    """Return the room of a storage pool."""
    total, free = pool.capacity, pool.free
    if total is None or free is None or total <= 0 or not 0 <= free <= total:
        return Room(None, None)
    return Room(total * MEGABYTE, free * MEGABYTE)


def encryption_of(session: CommvaultSession, pool: StoragePool) -> str:
    """Return how a storage pool encrypts, in words."""
    told = session.get(f"/V4/Storage/Disk/{pool.id}", StoragePoolDetail, f"reading the storage pool {pool.name}").encryption
    if told.encrypt is None:
        return "not told by Commvault"
    if not told.encrypt:
        return "none: the storage pool is not encrypted"
    length = f"-{told.key_length}" if told.key_length else ""
    return f"Commvault {told.cipher or 'cipher not told'}{length}, storage pool {pool.name}"


def copies_of(session: CommvaultSession, pool: StoragePool, plan: int) -> list[Copy]:
    """Return the copies that a plan has in a storage pool, without snapshot copies, in order of their ids."""
    listed = session.get(f"/V4/Storage/{pool.id}/associatedCopies", CopyList, f"reading the copies in {pool.name}").copies
    return sorted((copy for copy in listed if copy.plan.id == plan and not copy.snapshots), key=lambda copy: copy.entity.id)


def require_copies(session: CommvaultSession, pool: StoragePool, row: SubclientRow) -> list[Copy]:
    """Return the copies of a subclient in a pool. Raises ProviderError when its plan has none there."""
    copies = copies_of(session, pool, plan_of(row))
    if not copies:
        raise ProviderError(
            f"backups of {row.entity.path} do not go to the storage pool {pool.name}",
            f"the plan {row.plan.name if row.plan else ''} has no copy there",
            "add a copy in that storage pool to the plan, or name another pool",
        )
    return copies


def require_switched_on(session: CommvaultSession, plan: int) -> None:
    """Raises ProviderError when the backups of a plan are switched off: a schedule would have no effect."""
    plans = session.get("/V4/Plan/Summary", PlanList, "reading the plans").plans
    found = next((item for item in plans if item.plan.id == plan), None)
    if found is None:
        raise ProviderError(f"Commvault does not show the plan {plan}", None, "give the integration's user the right to see it")
    if found.status in _SWITCHED_OFF:
        raise ProviderError(
            f"the backups of the plan {found.plan.name} are switched off",
            f"its status is {found.status}",
            "switch them on in Commvault; somebody may have switched them off for a reason",
        )
