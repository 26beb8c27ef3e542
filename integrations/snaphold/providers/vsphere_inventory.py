"""Reads machines, datastores and tasks of a vCenter, page by page, into plain values."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from snaphold.errors import ProviderError
from snaphold.providers.vsphere_soap import Connection, FaultError

PAGE_OBJECTS = 200
MOST_PAGES = 500
BY_ID = "id:"
_MACHINE = (
    "name", "config.template", "config.keyId", "runtime.powerState", "runtime.connectionState", "guest.toolsRunningStatus",
    "summary.storage.committed", "datastore", "snapshot",
)  # fmt: skip
RUNNING_TASKS = ("queued", "running")


@dataclass(frozen=True)
class Machine:
    """A virtual machine. `stores` are ids of the datastores that hold its files; `trees` are pyVmomi's snapshot trees."""

    id: str
    name: str
    template: bool
    key_id: str
    power: str
    connection: str
    tools_running: bool
    committed: int
    stores: tuple[str, ...]
    trees: tuple[Any, ...]

    @property
    def powered_on(self) -> bool:
        """Whether the guest runs."""
        return self.power == "poweredOn"


@dataclass(frozen=True)
class Store:
    """A datastore, sizes in bytes."""

    id: str
    name: str
    capacity: int
    free: int
    accessible: bool
    maintenance: str


@dataclass(frozen=True)
class SnapshotTask:
    """A task that makes a snapshot of one machine. `error` is vCenter's fault when it failed."""

    id: str
    state: str
    queued: datetime
    error: Any
    progress: int


def find_machine(connection: Connection, name: str) -> Machine:
    """Return the machine of that name, or with `id:vm-42` of that id. Raises ProviderError when there is none, or two."""
    if name.startswith(BY_ID):
        return read_machine(connection, name[len(BY_ID) :])
    found = [ref for ref, values in _all(connection, connection.vim.VirtualMachine, ("name",)) if _named(values) == name]
    if not found:
        raise ProviderError(
            f"vCenter has no machine {name!r}",
            "no virtual machine that the account can see has that name",
            "correct protection.workloads of the asset, or give the account the right System.Read on the machine",
        )
    if len(found) > 1:
        known = ", ".join(BY_ID + str(ref._moId) for ref in found)
        raise ProviderError(f"vCenter has {len(found)} machines {name!r}", f"they are {known}", "name one of them by its id")
    return read_machine(connection, str(found[0]._moId))


def read_machine(connection: Connection, id: str) -> Machine:
    """Return a machine by its id. Raises ProviderError when it is not there, or not to be seen."""
    machine = connection.object(connection.vim.VirtualMachine, id)
    try:
        values = _read(connection, [machine], connection.vim.VirtualMachine, _MACHINE).get(id)
    except FaultError as error:
        if error.name != "ManagedObjectNotFound":
            raise
        values = None
    if not values or "name" not in values:
        raise ProviderError(f"vCenter has no machine {id}", "it was removed, or the account may not see it", "look in vCenter")
    snapshot = values.get("snapshot")
    key = values.get("config.keyId")
    return Machine(
        id=id,
        name=_named(values),
        template=bool(values.get("config.template")),
        key_id=str(getattr(key, "keyId", "") or ""),
        power=str(values.get("runtime.powerState", "")),
        connection=str(values.get("runtime.connectionState", "")),
        tools_running=str(values.get("guest.toolsRunningStatus", "")) == "guestToolsRunning",
        committed=int(values.get("summary.storage.committed") or 0),
        stores=tuple(str(store._moId) for store in values.get("datastore") or ()),
        trees=tuple(snapshot.rootSnapshotList) if snapshot is not None else (),
    )


def all_trees(connection: Connection) -> list[tuple[str, Any]]:
    """Return the snapshot trees of all machines that the account can see, each with its machine's id."""
    return [
        (str(ref._moId), tree)
        for ref, values in _all(connection, connection.vim.VirtualMachine, ("snapshot",))
        if values.get("snapshot") is not None
        for tree in values["snapshot"].rootSnapshotList
    ]


def find_stores(connection: Connection) -> list[Store]:
    """Return every datastore that the account can see."""
    return [
        Store(
            id=str(ref._moId),
            name=unquote(str(values["summary"].name)),
            capacity=int(values["summary"].capacity or 0),
            free=int(values["summary"].freeSpace or 0),
            accessible=bool(values["summary"].accessible),
            maintenance=str(values["summary"].maintenanceMode or "normal"),
        )
        for ref, values in _all(connection, connection.vim.Datastore, ("summary",))
        if values.get("summary") is not None
    ]


def find_store(connection: Connection, name: str) -> Store:
    """Return the datastore of that name. Raises ProviderError when there is none, or two."""
    every = find_stores(connection)
    found = [store for store in every if store.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ProviderError(f"vCenter has {len(found)} datastores {name!r}", None, "rename one, or use one vCenter per pool")
    known = ", ".join(sorted(store.name for store in every)[:10]) or "none that the account can see"
    raise ProviderError(f"vCenter has no datastore {name!r}", f"it has {known}", "correct location of the pool")


def snapshot_tasks(connection: Connection, machine: str) -> list[SnapshotTask]:
    """Return the tasks of the last minutes that make snapshots of a machine, oldest first."""
    manager = connection.content.taskManager
    listed = _read(connection, [manager], connection.vim.TaskManager, ("recentTask",)).get(str(manager._moId), {})
    found: list[SnapshotTask] = []
    recent: Sequence[Any] = listed.get("recentTask") or ()
    for values in _read(connection, recent, connection.vim.Task, _TASK).values() if recent else ():
        entity = values.get("info.entity")
        wanted = str(values.get("info.descriptionId", "")).lower().endswith(".createsnapshot")
        if wanted and entity is not None and str(entity._moId) == machine:
            found.append(
                SnapshotTask(
                    id=str(values.get("info.key", "")),
                    state=str(values.get("info.state", "")),
                    queued=values["info.queueTime"],
                    error=values.get("info.error"),
                    progress=int(values.get("info.progress") or 0),
                )
            )
    return sorted(found, key=lambda task: (task.queued, task.id))


def read_task_error(connection: Connection, task: str) -> Any:
    """Return vCenter's fault when a task failed, None while it runs, when it ended well, or is known no more."""
    try:
        found = _read(
            connection, [connection.object(connection.vim.Task, task)], connection.vim.Task, ("info.state", "info.error")
        )
    except FaultError as error:
        if error.name != "ManagedObjectNotFound":
            raise
        return None
    values = found.get(task, {})
    return values.get("info.error") if str(values.get("info.state", "")) == "error" else None


_TASK = ("info.entity", "info.descriptionId", "info.key", "info.state", "info.queueTime", "info.error", "info.progress")
"""Not `info` whole: its result may be of a type that pyVmomi cannot read."""


def _named(values: dict[str, Any]) -> str:
    """vSphere writes `/`, `\\` and `%` in names as %2f, %5c and %25."""
    return unquote(str(values.get("name", "")))


def _all(connection: Connection, kind: Any, properties: Sequence[str]) -> list[tuple[Any, dict[str, Any]]]:
    """Return all objects of a kind. The view that this takes ends with the session."""
    view = connection.content.viewManager.CreateContainerView(connection.content.rootFolder, [kind], True)
    collector = connection.vmodl.query.PropertyCollector
    path = collector.TraversalSpec(name="all", path="view", skip=False, type=connection.vim.view.ContainerView)
    start = collector.ObjectSpec(obj=view, skip=True, selectSet=[path])
    return list(_pages(connection, [start], kind, properties))


def _read(connection: Connection, objects: Iterable[Any], kind: Any, properties: Sequence[str]) -> dict[str, dict[str, Any]]:
    collector = connection.vmodl.query.PropertyCollector
    starts = [collector.ObjectSpec(obj=item, skip=False) for item in objects]
    return {str(ref._moId): values for ref, values in _pages(connection, starts, kind, properties)}


def _pages(
    connection: Connection, starts: list[Any], kind: Any, properties: Sequence[str]
) -> Generator[tuple[Any, dict[str, Any]]]:
    collector = connection.vmodl.query.PropertyCollector
    wanted = collector.PropertySpec(type=kind, pathSet=list(properties), all=False)
    options = collector.RetrieveOptions(maxObjects=PAGE_OBJECTS)
    reader = connection.content.propertyCollector
    page = reader.RetrievePropertiesEx([collector.FilterSpec(objectSet=starts, propSet=[wanted])], options)
    for _ in range(MOST_PAGES):
        if page is None:
            return
        for item in page.objects:
            yield item.obj, {str(value.name): value.val for value in item.propSet}
        if not page.token:
            return
        page = reader.ContinueRetrievePropertiesEx(page.token)
    raise ProviderError("vCenter answers without end", f"more than {MOST_PAGES} pages", "narrow what the account can see")
