"""Backup: is there room, is all healthy, start a job, where does it stand, and does its restore point hold."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field

from snaphold.action import Effect, Name, Names, Needs, Recovery, Request, Result, action
from snaphold.clock import format_time
from snaphold.context import Context
from snaphold.domain.asset import Asset
from snaphold.domain.dependency import MOST_NAMED
from snaphold.domain.outcome import Outcome
from snaphold.domain.plan import Placement, Refusal
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import CapacityError, InputError, ProviderError, SnapholdError, StorageError
from snaphold.providers.base import BackupOrder, JobState, Workload
from snaphold.providers.choice import Storage, find_assets, look_at_pools, pools_for, tiers_of_assets, wants_full

RouteName = Literal["primary", "alternate", "none"]
_ASSETS = "Ids of assets; left out, those of the incident."
_STORAGE = "routed: the routes decide, the alternate pool when the first cannot be used; alternate: the alternate pool only."


class CheckCapacity(Request):
    """Input of backup.check_capacity."""

    assets: Names = Field(default=[], description=_ASSETS, examples=[["orders-db", "files-01"]])
    pool: str = Field(default="", description="A pool for all of them; left out, the routes decide.", examples=["isolated-01"])
    storage: Storage = Field(default=Storage.ROUTED, description=_STORAGE, examples=["routed"])


class CapacityChecked(Result):
    """Whether the backups fit, in bytes."""

    fits: bool = Field(description="Whether every asset has a pool with enough room.", examples=[True])
    pools: list[str] = Field(description="Which pool takes which asset.", examples=[["orders-db=isolated-01"]])
    needed_bytes: int = Field(description="What the backups may add, in bytes.", examples=[1048576])
    free_bytes: int = Field(description="What is free in the storage of those pools, in bytes.", examples=[107374182400])
    reserve_bytes: int = Field(description="What must stay free there, in bytes.", examples=[21474836480])
    rerouted: list[str] = Field(description="Assets that do not go to their first pool, and why.", examples=[[]])
    route: RouteName = Field(
        description="primary; alternate when no asset can go to its first pool; none when one of them fits nowhere.",
        examples=["primary"],
    )


@action(
    "backup.check_capacity",
    title="Check that backups fit",
    effect=Effect.READS,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
)
def check_capacity(request: CheckCapacity, context: Context) -> CapacityChecked:
    """Compare what the backups need with what is free less the reserve, per pool, and say which pool takes which asset."""
    assets = find_assets(request.assets or context.incident.assets, context)
    tiers = tiers_of_assets(context)
    candidates = {asset.id: pools_for(asset, tiers[asset.id], context, request.pool, request.storage) for asset in assets}
    room = look_at_pools([name for names in candidates.values() for name in names], context)
    answers = [room.place(asset.id, _estimate(asset, candidates[asset.id], context), candidates[asset.id]) for asset in assets]
    placed = [answer for answer in answers if isinstance(answer, Placement)]
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    concerned = {name for names in candidates.values() for name in names} if refused else {answer.pool for answer in placed}
    storages = {room.pools[name].storage or name: room.pools[name] for name in sorted(concerned)}
    rerouted = [answer.rerouted for answer in placed if answer.rerouted]
    return CapacityChecked(
        outcome=Outcome.SUCCEEDED,
        findings=[*(f"{answer.asset} fits nowhere: {'; '.join(answer.reasons)}" for answer in refused), *rerouted],
        fits=not refused,
        pools=[f"{answer.asset}={answer.pool}" for answer in placed],
        needed_bytes=sum(answer.needed for answer in answers),
        free_bytes=sum(pool.free or 0 for pool in storages.values()),
        reserve_bytes=sum(pool.reserve_bytes for pool in storages.values()),
        rerouted=rerouted,
        route=_route(request.storage, placed, refused),
    )


class CheckHealth(Request):
    """Input of backup.check_health."""

    assets: Names = Field(default=[], description=_ASSETS, examples=[["orders-db", "files-01"]])


class HealthChecked(Result):
    """Whether backups can start."""

    healthy: bool = Field(
        description="Whether every asset has a usable pool, its sources and a ready application.", examples=[True]
    )
    reasons: list[str] = Field(description="Everything that is wrong, also what an alternate pool makes up for.", examples=[[]])


@action(
    "backup.check_health",
    title="Check pools, sources and applications",
    effect=Effect.READS,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
)
def check_health(request: CheckHealth, context: Context) -> HealthChecked:
    """Look at engines, storage, passwords, sources and applications of the assets before anything is started."""
    assets = find_assets(request.assets or context.incident.assets, context)
    tiers = tiers_of_assets(context)
    blocking: list[str] = []
    others: list[str] = []
    faults: dict[str, str] = {}
    for asset in assets:
        try:
            names = pools_for(asset, tiers[asset.id], context)
        except InputError as error:
            blocking.append(_tell(error))
            continue
        for name in names:
            if name not in faults:
                faults[name] = _pool_fault(name, context)
                if faults[name]:
                    others.append(f"pool {name} {faults[name]}")
        usable = [name for name in names if not faults[name]]
        if not usable:
            blocking.append(f"{asset.id} has no usable pool ({', '.join(names)})")
        blocking += _source_faults(asset, (usable or list(names))[0], context)
    return HealthChecked(outcome=Outcome.SUCCEEDED, healthy=not blocking, reasons=[*blocking, *others], findings=others)


class StartBackup(Request):
    """Input of backup.start."""

    asset: Name = Field(description="Id of the asset.", examples=["orders-db"])
    pool: str = Field(default="", description="The pool; left out, the routes decide.", examples=["isolated-01"])
    storage: Storage = Field(default=Storage.ROUTED, description=_STORAGE, examples=["routed"])


class BackupStarted(Result):
    """The job that makes the backup."""

    asset: str = Field(description="Id of the asset.", examples=["orders-db"])
    pool: str = Field(description="The pool that takes the backup.", examples=["isolated-01"])
    job: str = Field(description="Id of the job.", examples=["JOB-0123456789abcdef"])


@action(
    "backup.start",
    title="Start an incident backup",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.LOOKS_UP,
    key_fields=("asset",),
)
def start(request: StartBackup, context: Context) -> BackupStarted:
    """Start the backup of one asset as a job that goes on by itself, in the first pool that is usable and has the room."""
    (asset,) = find_assets([request.asset], context)
    started = _find_started(context)
    if started:
        pool, job = started
        return BackupStarted(outcome=Outcome.SUCCEEDED, asset=asset.id, pool=pool, job=job)
    tier = tiers_of_assets(context)[asset.id]
    candidates = pools_for(asset, tier, context, request.pool, request.storage)
    room = look_at_pools(candidates, context)
    answer = room.place(asset.id, _estimate(asset, candidates, context), candidates)
    if isinstance(answer, Refusal):
        kind = CapacityError if answer.for_room else ProviderError
        raise kind(
            f"no pool can take the backup of {asset.id}",
            "; ".join(answer.reasons),
            "make room or repair the pool, or name another pool",
        )
    provider = context.provider(answer.pool)
    full = wants_full(context)
    order = BackupOrder(
        key=context.key,
        incident=context.incident.id,
        workload=provider.find_workload(asset),
        full=full,
        tags={"tier": tier, "severity": str(context.incident.severity), "kind": "full" if full else "incremental"},
    )
    job = provider.start(order)
    context.progress(f"{asset.id}: {job} in pool {answer.pool}")
    findings = [answer.rerouted] if answer.rerouted else []
    return BackupStarted(outcome=Outcome.SUCCEEDED, findings=findings, asset=asset.id, pool=answer.pool, job=job)


class BackupStatus(Request):
    """Input of backup.status."""

    asset: Name = Field(description="Id of the asset.", examples=["orders-db"])
    pool: Name = Field(description="The pool that backup.start named.", examples=["isolated-01"])
    job: Name = Field(description="The job that backup.start named.", examples=["JOB-0123456789abcdef"])


class BackupProgress(Result):
    """Where a job stands. While it runs, the outcome is that of the question, and `backup_outcome` is empty."""

    state: JobState = Field(description="running, done or failed.", examples=["done"])
    backup_outcome: str = Field(description="succeeded, partial or failed; empty while it runs.", examples=["succeeded"])
    restore_point: str = Field(
        description="Id of the restore point; empty before the job left one.", examples=["RP-orders-db-1a2b3c4d"]
    )
    bytes_done: int = Field(description="Bytes copied so far.", examples=[1048576])
    bytes_total: int = Field(description="Bytes to copy; 0 while it is not known.", examples=[1048576])


@action(
    "backup.status",
    title="Show where a backup stands",
    effect=Effect.READS,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
)
def status(request: BackupStatus, context: Context) -> BackupProgress:
    """Ask where a backup job stands, and put its restore point into the register when it left one."""
    found = context.provider(request.pool).status(request.job)
    point = found.restore_point
    if point and point.asset != request.asset:
        raise InputError(f"{request.job} is not a backup of {request.asset}", f"it is one of {point.asset}")
    if point and context.ledger.record(RestorePoint, point.id) is None:
        context.stage(point)
    running = found.state is JobState.RUNNING
    outcome = Outcome.SUCCEEDED if running else found.outcome or Outcome.UNKNOWN
    return BackupProgress(
        outcome=outcome,
        findings=list(found.findings),
        state=found.state,
        backup_outcome="" if running else outcome.value,
        restore_point=point.id if point else "",
        bytes_done=found.bytes_done,
        bytes_total=found.bytes_total,
    )


class VerifyBackup(Request):
    """Input of backup.verify."""

    restore_point: Name = Field(description="Id of the restore point.", examples=["RP-orders-db-1a2b3c4d"])


class BackupVerified(Result):
    """Whether a restore point was proved."""

    verified: bool = Field(description="Whether every check that applies passed.", examples=[True])
    faulty: bool = Field(
        description="Whether a check found a fault. A product that lets nobody check its copies: neither verified nor faulty.",
        examples=[False],
    )
    checks: list[str] = Field(
        description="What was checked, each with `passed` or `failed`; what could not be is a finding.",
        examples=[["passed: read back"]],
    )


@action(
    "backup.verify",
    title="Prove a restore point",
    effect=Effect.READS,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
)
def verify(request: VerifyBackup, context: Context) -> BackupVerified:
    """Read a restore point back, restore it into scratch, compare it with its source inventory, ask its consistency query."""
    from snaphold.providers.proof import prove

    point = context.ledger.record(RestorePoint, request.restore_point)
    if point is None or point.incident != context.incident.id:
        known = [point.id for point in context.ledger.records(RestorePoint, context.incident.id)]
        raise InputError(
            f"there is no restore point {request.restore_point!r} in incident {context.incident.id}",
            f"known: {', '.join(known[:MOST_NAMED]) or 'none'}{', ...' if len(known) > MOST_NAMED else ''}",
        )
    asset = context.configuration.assets_by_id.get(point.asset)
    application = asset.application if asset else None
    scratch = _make_scratch(context)
    try:
        proof = prove(context.provider(point.pool), point, application, scratch, context.progress)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    told = [*(f"passed: {text}" for text in proof.passed), *(f"failed: {text}" for text in proof.failed)]
    verified_at = context.clock.now() if proof.verified else None
    context.stage(point.model_copy(update={"verified_at": verified_at, "verification": "; ".join([*told, *proof.gaps])}))
    whole = point.outcome is Outcome.SUCCEEDED
    unproved = Outcome.FAILED if proof.failed else Outcome.PARTIAL
    good = Outcome.SUCCEEDED if whole else Outcome.PARTIAL
    return BackupVerified(
        outcome=good if proof.verified else unproved,
        findings=[*proof.failed, *proof.gaps],
        verified=proof.verified,
        faulty=bool(proof.failed),
        checks=told,
    )


class DeleteBackup(Request):
    """Input of backup.delete."""

    restore_point: Name = Field(description="Id of the restore point.", examples=["RP-orders-db-1a2b3c4d"])
    reason: str = Field(min_length=1, max_length=2000, description="Why it goes.", examples=["Its retention has passed"])


class BackupDeleted(Result):
    """What is left of the restore point: its tombstone in the register."""

    restore_point: str = Field(description="Id of what was deleted.", examples=["RP-orders-db-1a2b3c4d"])
    deleted_at: str = Field(description="When (RFC 3339).", examples=["2028-01-31T09:00:00.000Z"])
    approved_by: list[str] = Field(description="Ids of the second persons who allowed it.", examples=[["ben"]])


@action(
    "backup.delete",
    title="Delete a restore point for ever",
    effect=Effect.DESTROYS,
    needs=Needs.PROVIDER,
    recovery=Recovery.LOOKS_UP,
    key_fields=("restore_point",),
)
def delete(request: DeleteBackup, context: Context) -> BackupDeleted:
    """Delete a restore point when no hold is on it, its retention has passed and its case is closed.

    It takes the deletion role and a grant that a second person approved. What was deleted, why, and who decided stays in
    the register. A deletion that was lost is looked up in the storage first.
    """
    from snaphold.deletion import delete_for_ever

    done, findings = delete_for_ever(request.restore_point, request.reason, context)
    return BackupDeleted(
        outcome=Outcome.SUCCEEDED,
        findings=findings,
        restore_point=done.id,
        deleted_at=format_time(done.ended_at or done.began_at),
        approved_by=list(done.approved_by),
    )


def _route(storage: Storage, placed: list[Placement], refused: list[Refusal]) -> RouteName:
    if refused:
        return "none"
    away = storage is Storage.ALTERNATE or all(answer.rerouted for answer in placed)
    return "alternate" if away else "primary"


def _estimate(asset: Asset, candidates: tuple[str, ...], context: Context) -> int:
    """Return the bytes that a backup may add, as the first pool that is not compromised sees it."""
    usable = [pool.name for pool in context.configuration.pools if pool.name in candidates and not pool.compromised]
    provider = context.provider(usable[0] if usable else candidates[0])
    workload: Workload = provider.find_workload(asset)
    return provider.estimate(workload).bytes


def _find_started(context: Context) -> tuple[str, str] | None:
    """Return pool and job of an earlier attempt under the same key, whichever pool it had chosen."""
    for pool in context.configuration.pools:
        job = context.provider(pool.name).find_started(context.key)
        if job:
            return pool.name, job
    return None


def _pool_fault(name: str, context: Context) -> str:
    try:
        return look_at_pools([name], context).pools[name].fault
    except SnapholdError as error:
        return f"cannot be used: {_tell(error)}"


def _source_faults(asset: Asset, pool: str, context: Context) -> list[str]:
    """Return what keeps the sources or the application of an asset from being backed up now."""
    faults: list[str] = []
    try:
        context.provider(pool).find_workload(asset)
        if asset.application:
            from snaphold.quiesce.registry import open_quiescer

            check = open_quiescer(asset.application.quiesce).check(asset.application, context.configuration.base)
            faults += [f"{asset.id}: {reason}" for reason in check.reasons if not check.ready]
    except SnapholdError as error:
        faults.append(_tell(error))
    return faults


def _make_scratch(context: Context) -> Path:
    folder = context.configuration.state_folder / "scratch"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="verify-", dir=folder))
    except OSError as error:
        raise StorageError(f"the scratch folder {folder} cannot be used", error.strerror, "check the state folder") from error


def _tell(error: SnapholdError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what
