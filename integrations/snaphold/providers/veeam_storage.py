"""Veeam's repositories, machines and restore points: what is looked up before and after a backup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from snaphold.config import Integration, Pool
from snaphold.domain.asset import Asset
from snaphold.errors import CapacityError, InputError, ProviderError
from snaphold.platforms.credentials import setting
from snaphold.providers.base import Capacity, Estimate, Health, Workload
from snaphold.providers.veeam_answers import (
    GIB,
    BackupAnswer,
    BackupObject,
    InventoryItem,
    PointAnswer,
    RepositoryState,
    as_document,
)
from snaphold.providers.veeam_session import VeeamSession
from snaphold.providers.vendor import workload_name

REPOSITORIES = "/api/v1/backupInfrastructure/repositories"
POINTS = "/api/v1/restorePoints"
_SIZE = re.compile(r"([0-9]+(?:[.,][0-9]+)?)\s*([KMGTP]?)i?B", re.IGNORECASE)
_ASSUMED_GIB = "100"


def repository_called(session: VeeamSession, name: str) -> RepositoryState:
    """Return a repository as it stands. Raises ProviderError when there is none of that name, or more than one."""
    listed = session.list(f"{REPOSITORIES}/states", RepositoryState, "the repositories", {"nameFilter": name})
    found = [item for item in listed if item.name == name]
    if len(found) != 1:
        raise ProviderError(
            f"Veeam has {'no' if not found else 'more than one'} repository {name!r}",
            "the user may not see it" if not found else None,
            "correct location of the pool, or locked_repository in its settings",
        )
    return found[0]


def usable_repository(session: VeeamSession, name: str) -> RepositoryState:
    """Return a repository that can be written to. Raises ProviderError when it is offline, CapacityError when it is full."""
    state = repository_called(session, name)
    if not state.online:
        raise ProviderError(f"the repository {name} is offline", None, "bring it online in Veeam, or use another pool")
    if state.free <= 0:
        raise CapacityError(
            f"the repository {name} is full", f"0 of {state.capacity:.0f} GB are free", "make room, or use another pool"
        )
    return state


def immutable_days(session: VeeamSession, repository: str) -> int:
    """Return for how many days the repository keeps what is written from being changed; 0 when it does not."""
    document = session.get(f"{REPOSITORIES}/{repository}", dict[str, Any], "the repository")
    days = as_document(document.get("repository")).get("makeRecentBackupsImmutableDays")
    for place in (document, *(as_document(document.get(name)) for name in ("bucket", "container", "repository"))):
        immutability = as_document(as_document(place.get("bucket")).get("immutability")) or as_document(place.get("immutability"))
        if immutability.get("isEnabled") is True:
            days = immutability.get("daysCount")
    return days if isinstance(days, int) and not isinstance(days, bool) and days > 0 else 0


def check_health(session: VeeamSession, pool: Pool) -> Health:
    """Return whether the pool's repository can be written to; also what would keep backups from being kept."""
    state = repository_called(session, pool.location)
    reasons = [] if state.online else [f"the repository {pool.location} is offline"]
    reasons += [f"the repository {pool.location} is full"] if state.free <= 0 else []
    fit = not reasons
    if pool.isolated and not immutable_days(session, state.id):
        reasons.append(f"the repository {pool.location} does not keep backups from being changed")
    locked = pool.settings.get("locked_repository", "")
    if locked:
        try:
            repository_called(session, locked)
        except ProviderError as error:
            reasons.append(f"nothing can be kept for longer: {error.what}, which locked_repository names")
    return Health(fit=fit, reasons=tuple(reasons))


def capacity(session: VeeamSession, pool: Pool, integration: Integration) -> Capacity:
    """Return the room of the pool's repository. Raises ProviderError when it is offline: what it told last is old."""
    state = repository_called(session, pool.location)
    if not state.online:
        raise ProviderError(f"the repository {pool.location} is offline", None, "bring it online in Veeam, or use another pool")
    storage = f"veeam:{integration.name}:{state.id}"
    return Capacity(total=int(state.capacity * GIB), free=max(int(state.free * GIB), 0), storage=storage)


def find_workload(session: VeeamSession, asset: Asset, integration: Integration) -> Workload:
    """Return the virtual machine of an asset. Raises ProviderError when no server has it, or when it is found twice."""
    name = workload_name(asset, integration)
    hosts = [host.strip() for host in setting(integration, "hosts").split(",") if host.strip()]
    found = _find_machines(session, hosts, name)
    if len(found) != 1:
        where = ", ".join(f"{item.host}/{item.object}" for item in found) or ", ".join(hosts)
        raise ProviderError(
            f"Veeam knows {'no' if not found else 'more than one'} virtual machine {name!r}",
            f"{'looked in' if not found else 'found'}: {where}",
            f"correct protection.workloads of {asset.id}, or hosts of the integration"
            if not found
            else "rename one of them, or narrow hosts of the integration",
        )
    return Workload(asset=asset.id, name=name, reference=f"{found[0].host}/{found[0].object}", application=asset.application)


def _find_machines(session: VeeamSession, hosts: Sequence[str], name: str) -> list[InventoryItem]:
    found: dict[tuple[str, str | None], InventoryItem] = {}
    for host in hosts:
        path = f"/api/v1/inventory/vmware/hosts/{quote(host, safe='')}"
        query = {"nameFilter": name, "typeFilter": "VirtualMachine"}
        try:
            listed = session.list(path, InventoryItem, f"the machines of {host}", query)
        except InputError as error:
            raise ProviderError(
                f"Veeam knows no server {host!r}", error.why, "correct hosts of the integration, or add the server to Veeam"
            ) from error
        # The filter looks at every property, and takes * and ? as wildcards: the name is compared here.
        found.update({(item.host, item.object): item for item in listed if item.name == name})
    return list(found.values())


def estimate(session: VeeamSession, workload: Workload, pool: Pool) -> Estimate:
    """Return how much a backup may add: the machine's size in its last restore point, else what the inventory says."""
    sizes = [point for point in points_of(session, workload.name) if point.size]
    if sizes:
        last = max(sizes, key=lambda point: session.at(point.created))
        return Estimate(bytes=last.size or 0, files=0, method="size of the machine in its last restore point")
    host = workload.reference.rpartition("/")[0]
    for item in _find_machines(session, [host], workload.name):
        match = _SIZE.search(item.size or "")
        if match:
            number = float(match[1].replace(",", "."))
            factor = 1024 ** " KMGTP".index(match[2].upper() or " ")
            return Estimate(bytes=int(number * factor), files=0, method="size of the machine in Veeam's inventory")
    assumed = pool.settings.get("assumed_gib", _ASSUMED_GIB)
    if not (assumed.isascii() and assumed.isdigit()):
        raise InputError(f"assumed_gib of the pool {pool.name} is not a number", assumed, "write whole GiB")
    return Estimate(bytes=int(assumed) * GIB, files=0, method=f"not known to Veeam: {assumed} GiB are assumed")


def points_of(session: VeeamSession, machine: str) -> list[PointAnswer]:
    """Return the restore points of a machine, in whatever backup."""
    listed = session.list(POINTS, PointAnswer, "the restore points", {"nameFilter": machine})
    return [point for point in listed if point.name == machine]


def is_in_backups_of(session: VeeamSession, machine: str, job: str) -> bool:
    """Return whether a job has a restore point of the machine already."""
    backups = session.list("/api/v1/backups", BackupAnswer, "the backups", {"jobIdFilter": job})
    there = {backup.id for backup in backups if backup.job == job}
    return any(point.backup in there for point in points_of(session, machine))


def backup_objects(session: VeeamSession, machine: str, backup: str) -> list[BackupObject]:
    """Return the machine as it lies in one backup."""
    listed = session.list(f"/api/v1/backups/{backup}/objects", BackupObject, "the machines of the backup")
    return [item for item in listed if item.name == machine]


def backup_of(session: VeeamSession, point: PointAnswer) -> BackupAnswer:
    """Return the backup in which a restore point lies."""
    return session.get(f"/api/v1/backups/{point.backup}", BackupAnswer, "the backup")
