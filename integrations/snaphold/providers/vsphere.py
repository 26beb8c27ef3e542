"""vSphere: snapshots of virtual machines through vCenter (or an ESXi host), quiesced by VMware Tools.

A snapshot is no backup: it lies on the machine's own datastore. It is the fastest state that can be kept at an
incident, and every restore point says what it is. vSphere knows no key for a repeat: the snapshot's name and
description carry ours, and they are looked up before anything is started and after every lost answer.
"""

from __future__ import annotations

import math

from snaphold.clock import Clock
from snaphold.config import Configuration, Integration, Pool
from snaphold.domain.asset import Asset
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError
from snaphold.http_guard import PRODUCT_CALLS_PER_RUN, budget_of
from snaphold.platforms.base import Reachability
from snaphold.providers.base import (
    BackupOrder,
    Capability,
    Capacity,
    Description,
    Estimate,
    Health,
    JobStatus,
    Support,
    Verb,
    Verification,
    Workload,
)
from snaphold.providers.vendor import VendorProvider, workload_name
from snaphold.providers.vsphere_inventory import Machine, Store, all_trees, find_machine, find_store, read_machine
from snaphold.providers.vsphere_jobs import find_running, job_id, remove_snapshot, start_snapshot, status_of
from snaphold.providers.vsphere_snapshots import Facts, digest_of, our_snapshots, restore_point
from snaphold.providers.vsphere_soap import Connection

PROVED_ON = "vendor simulator"
DEFAULT_GROWTH = 0.2
_FULL = Capability(support=Support.FULL)
_NO_RETENTION = "a snapshot has no retention and no lock: whoever may remove snapshots in vCenter may remove it"
DESCRIPTION = Description(
    provider="vsphere",
    engine="vSphere",
    proved_on=PROVED_ON,
    capabilities={
        Verb.FIND_WORKLOAD: _FULL,
        Verb.CHECK_HEALTH: _FULL,
        Verb.CAPACITY: _FULL,
        Verb.ESTIMATE: Capability(
            support=Support.APPROXIMATE, detail="a snapshot grows with what the machine writes: a share of its disks is set aside"
        ),
        Verb.START: Capability(
            support=Support.APPROXIMATE,
            detail="a snapshot is no backup, it lies on the machine's own datastore; vSphere has no key for a repeat: name "
            "and description carry ours and are looked up first",
        ),
        Verb.STATUS: Capability(
            support=Support.APPROXIMATE, detail="from vCenter's recent tasks and the snapshot tree; no bytes are told"
        ),
        Verb.CANCEL: Capability(
            support=Support.UNSUPPORTED, detail="vCenter rarely lets a snapshot task be stopped; let it end, then remove it"
        ),
        Verb.RESTORE_POINTS: _FULL,
        Verb.VERIFY: Capability(
            support=Support.UNSUPPORTED, detail="vSphere has no call that reads a snapshot back; clone it and look at the clone"
        ),
        Verb.SET_RETENTION: Capability(support=Support.UNSUPPORTED, detail=_NO_RETENTION),
        Verb.HOLD: Capability(support=Support.UNSUPPORTED, detail=_NO_RETENTION),
        Verb.DELETE: _FULL,
        Verb.SET_SCHEDULE: Capability(
            support=Support.UNSUPPORTED, detail="regular snapshots pile up and fill the datastore; schedule real backups"
        ),
        Verb.OPEN_READ_ONLY: Capability(
            support=Support.UNSUPPORTED, detail="a snapshot's disks are read through a clone, which an administrator makes"
        ),
        Verb.PUBLISH: Capability(support=Support.UNSUPPORTED, detail="vSphere offers no snapshot read-only without a clone"),
        Verb.MARK_INFECTED: Capability(support=Support.UNSUPPORTED, detail="vSphere knows no state of infection"),
    },
)
RIGHTS = ("System.Read", "VirtualMachine.State.CreateSnapshot", "VirtualMachine.State.RemoveSnapshot")


def connect(pool: Pool, configuration: Configuration, incident_id: str, clock: Clock) -> VSphere:
    """Return the adapter of a pool; nothing is contacted. Raises InputError when the configuration lacks something."""
    return VSphere(pool, configuration, incident_id, clock)


def check_connection(integration: Integration, configuration: Configuration) -> Reachability:
    """Return as whom it signs in and which rights lack: on the machines named in the configuration, else on the root."""
    connection = Connection(
        integration, configuration, budget_of("", integration.name, integration.calls_per_run or PRODUCT_CALLS_PER_RUN)
    )
    with connection.signed_in():
        names = sorted({asset.protection.workloads.get(integration.name, "") for asset in configuration.assets} - {""})
        found = {name: find_machine(connection, name).id for name in names}
        places = {name: connection.object(connection.vim.VirtualMachine, id) for name, id in found.items()}
        places = places or {"the root folder": connection.content.rootFolder}
        answers = connection.content.authorizationManager.HasPrivilegeOnEntities(
            list(places.values()), connection.session.key, list(RIGHTS)
        )
        names_of = {str(place._moId): name for name, place in places.items()}
        missing = [
            f"{right.privId} is missing on {names_of.get(str(answer.entity._moId), 'a machine')}"
            for answer in answers
            for right in answer.privAvailability
            if not right.isGranted
        ]
    return Reachability(signed_in_as=str(connection.user), missing=tuple(missing))


class VSphere(VendorProvider):
    """One datastore of one vCenter. Credentials: `username`, `password`; the pool's location is the datastore's name."""

    description = DESCRIPTION

    def __init__(self, pool: Pool, configuration: Configuration, incident: str, clock: Clock) -> None:
        super().__init__(pool, configuration, incident, clock)
        self._growth = _share(pool.settings.get("growth", str(DEFAULT_GROWTH)), pool.name)
        self._quiesce = _yes_or_no(pool.settings.get("quiesce", "yes"), pool.name)
        budget = budget_of("", self.integration.name, self.integration.calls_per_run or PRODUCT_CALLS_PER_RUN)
        self._notes = configuration.state_folder / "vsphere"
        self._connection = Connection(self.integration, configuration, budget)

    def find_workload(self, asset: Asset) -> Workload:
        """Return the asset's virtual machine. Raises ProviderError when it is not found, twice, or on another datastore."""
        with self._connection.signed_in():
            machine = find_machine(self._connection, workload_name(asset, self.integration))
            self._check_fit(machine)
        return Workload(asset=asset.id, name=machine.name, reference=machine.id, application=asset.application)

    def check_health(self) -> Health:
        """Return whether the pool's datastore can be used."""
        store = self._store()
        reasons = [f"the datastore {store.name} cannot be reached"] if not store.accessible else []
        if store.maintenance not in ("", "normal"):
            reasons.append(f"the datastore {store.name} is in maintenance ({store.maintenance})")
        return Health(fit=not reasons, reasons=tuple(reasons))

    def capacity(self) -> Capacity:
        """Return the room on the pool's datastore; not known while it cannot be reached."""
        store = self._store()
        storage = f"{self.integration.name}/{store.id}"
        if not store.accessible:
            return Capacity(total=None, free=None, storage=storage)
        return Capacity(total=store.capacity, free=store.free, storage=storage)

    def estimate(self, workload: Workload) -> Estimate:
        """Return a share of what the machine's files hold: what a snapshot will grow by cannot be known before."""
        with self._connection.signed_in():
            machine = read_machine(self._connection, workload.reference)
        method = f"{self._growth:.0%} of the {machine.committed} bytes on disk: a snapshot grows with what the machine writes"
        return Estimate(bytes=math.ceil(machine.committed * self._growth), files=0, method=method)

    def find_started(self, key: str) -> str | None:
        """Return the job of the snapshot that carries this key, on any machine; also of one that is noted and being made."""
        digest = digest_of(key)
        with self._connection.signed_in():
            for machine, tree in all_trees(self._connection):
                if any(snapshot.digest == digest for snapshot in our_snapshots(machine, [tree])):
                    return job_id(machine, key)
            return find_running(self._connection, key, self._notes)

    def start(self, order: BackupOrder) -> str:
        """Have vCenter make the snapshot and return the job; looked up first, and again after a lost answer."""
        with self._connection.signed_in():
            found = self.find_started(order.key)
            if found:
                return found
            machine = read_machine(self._connection, order.workload.reference)
            self._check_fit(machine)
            facts = Facts(
                key=order.key,
                incident=order.incident,
                asset=order.workload.asset,
                pool=self.pool.name,
                bytes=machine.committed,
                tools_running=machine.tools_running,
                quiesce=self._quiesce,
                encryption=f"VM encryption, key {machine.key_id}"
                if machine.key_id
                else "none by vSphere: as the machine's disks",
            )
            return start_snapshot(self._connection, machine, facts, self._notes)

    def status(self, job: str) -> JobStatus:
        """Return where the snapshot stands: a running task, the snapshot in the tree, or why there is none."""
        with self._connection.signed_in():
            return status_of(self._connection, job, self._engine(), self._notes)

    def cancel(self, job: str) -> JobStatus:
        """Refuse: vCenter rarely lets such a task be stopped."""
        raise self.unsupported(Verb.CANCEL)

    def restore_points(self) -> list[RestorePoint]:
        """Return the snapshots of this incident in this pool, oldest first; of two under one key only the older one."""
        with self._connection.signed_in():
            engine = self._engine()
            found = [item for machine, tree in all_trees(self._connection) for item in our_snapshots(machine, [tree])]
        points: dict[str, RestorePoint] = {}
        for item in sorted(found, key=lambda item: (item.taken_at, item.reference)):
            if item.facts is not None and (item.facts.incident, item.facts.pool) == (self.incident, self.pool.name):
                point = restore_point(item, item.facts, engine)
                points.setdefault(point.id, point)
        return list(points.values())

    def verify(self, restore_point: RestorePoint) -> Verification:
        """Refuse: nothing reads a snapshot back."""
        raise self.unsupported(Verb.VERIFY)

    def delete(self, restore_point: RestorePoint) -> None:
        """Remove the snapshot, never those that build on it, and wait until it is gone from the tree.

        One that is gone already is left alone. Raises ProviderError when the snapshot is not the one that was made under
        the restore point's key, TimedOutError while vCenter still works on it.
        """
        with self._connection.signed_in():
            remove_snapshot(self._connection, restore_point)

    def _store(self) -> Store:
        with self._connection.signed_in():
            return find_store(self._connection, self.pool.location)

    def _engine(self) -> str:
        return str(self._connection.content.about.fullName)

    def _check_fit(self, machine: Machine) -> None:
        if machine.template:
            raise ProviderError(f"{machine.name} is a template", "vSphere makes no snapshots of templates", "name a machine")
        if machine.connection != "connected":
            raise ProviderError(
                f"the machine {machine.name} cannot be reached",
                f"vCenter says {machine.connection}",
                "look at its host in vCenter",
            )
        store = self._store()
        if not store.accessible:
            raise ProviderError(
                f"the datastore {store.name} cannot be reached", f"{machine.name} lies on it", "look at the datastore in vCenter"
            )
        if store.id not in machine.stores:
            raise ProviderError(
                f"{machine.name} does not lie on the datastore {store.name}",
                "a snapshot always lies on the machine's own datastore",
                "name a pool of its own datastore in protection.pool of the asset",
            )


def _share(text: str, pool: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise InputError(
            f"growth of the pool {pool} is {text!r}", "it is a share above 0 and up to 1", 'write e.g. growth: "0.2"'
        )
    return share


def _yes_or_no(text: str, pool: str) -> bool:
    if text not in ("yes", "no"):
        raise InputError(f"quiesce of the pool {pool} is {text!r}", "it is yes or no", 'write quiesce: "yes"')
    return text == "yes"
