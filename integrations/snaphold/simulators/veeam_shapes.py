"""How the simulated Veeam server writes what it holds, in the revision in which it was asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

from snaphold.simulators.veeam_world import GIB, Backup, Document, Point, Repository, Run, World

PLATFORM = "5c9e1b74-2f7c-4d7c-8f43-0d1b6b6f2a10"
SERVER_OFFSET = timedelta(hours=2)
_OLD_WORDS = {
    "RequireSuccess": "requireSuccess", "IgnoreFailures": "ignoreFailures", "CopyOnly": "copyOnly", "Process": "process",
    "Preserve": "preserve", "VSphereBackup": "Backup", "VSphere": "VMware", "Running": "running", "Inactive": "inactive",
}  # fmt: skip
Clocked = Callable[[datetime], str]


def respell(document: Any) -> Any:
    """Return a document with the words of API 1.2."""
    if isinstance(document, dict):
        return {name: respell(value) for name, value in cast("dict[str, Any]", document).items()}
    if isinstance(document, list):
        return [respell(value) for value in cast("list[Any]", document)]
    return _OLD_WORDS.get(document, document) if isinstance(document, str) else document


def with_zone(moment: datetime) -> str:
    """Return a time as it should be written."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def without_zone(moment: datetime) -> str:
    """Return a time as the vendor's own examples have it: the server's clock, and no zone."""
    return (moment + SERVER_OFFSET).replace(tzinfo=None).isoformat(timespec="seconds")


def session(run: Run, at: Clocked) -> Document:
    """Return a session."""
    told: Document = {
        "id": run.id, "name": run.name, "jobId": run.job, "sessionType": run.kind, "creationTime": at(run.created),
        "state": run.state, "progressPercent": 100 if run.state == "Stopped" else 40, "usn": 1,
        "result": {"result": run.result, "message": run.message, "isCanceled": run.cancelled}, "platformName": "VMware",
    }  # fmt: skip
    return {**told, "endTime": at(run.created + timedelta(minutes=9))} if run.state == "Stopped" else told


def task(run: Run, at: Clocked) -> Document:
    """Return the part of a session that is one machine's."""
    size = 50 * GIB if run.state == "Stopped" else 20 * GIB
    told: Document = {
        "id": run.id[:-1] + ("0" if run.id[-1] != "0" else "1"), "type": "Backup", "sessionId": run.id,
        "sessionType": run.kind, "creationTime": at(run.created), "name": run.machine, "usn": 2, "state": run.state,
        "algorithm": "Full" if run.full else "Increment",
        "result": {"result": run.result, "message": run.message, "isCanceled": run.cancelled},
        "progress": {
            "duration": "00:09:00", "processingRate": "120 MB/s", "bottleneck": "Source", "processedSize": size,
            "readSize": size, "transferredSize": size // 2, "progressPercent": 100,
        },
    }  # fmt: skip
    return {**told, "restorePointId": run.point} if run.point else told


def log(run: Run, at: Clocked) -> Document:
    """Return the log of a machine: five seconds from line to line."""
    lines = run.log if run.state == "Stopped" else run.log[:1]
    records = [
        {"id": number, "status": status, "title": title, "startTime": at(run.created + timedelta(seconds=5 * number)),
         "updateTime": at(run.created + timedelta(seconds=5 * number))}
        for number, (status, title) in enumerate(lines, 1)
    ]  # fmt: skip
    return {"totalRecords": len(records), "records": records}


def point(world: World, kept: Point, at: Clocked) -> Document:
    """Return a restore point."""
    return {
        "id": kept.id, "name": kept.machine, "platformName": "VMware", "platformId": PLATFORM,
        "creationTime": at(kept.created), "backupId": kept.backup, "sessionId": kept.session,
        "type": "Full" if kept.full else "Increment", "allowedOperations": ["StartFlrRestore"], "malwareStatus": kept.malware,
        "backupFileId": world.file_of(kept), "originalSize": kept.size,
    }  # fmt: skip


def backup(kept: Backup, at: Clocked) -> Document:
    """Return a backup."""
    return {
        "id": kept.id, "name": kept.name, "jobId": kept.job, "platformName": "VMware", "platformId": PLATFORM,
        "creationTime": at(kept.created), "repositoryId": kept.repository, "jobType": "VSphereBackup",
    }  # fmt: skip


def backup_file(world: World, kept: Point, at: Clocked, *, one_object: bool) -> Document:
    """Return the file of a restore point; before 1.3-rev2 it names one machine only."""
    machine = world.machine_in(kept.backup, kept.machine)
    told: Document = {
        "id": world.file_of(kept), "name": f"{kept.machine}.vbk", "backupId": kept.backup, "dataSize": kept.size,
        "backupSize": kept.size // 2, "dedupRatio": 60, "compressRatio": 50, "creationTime": at(kept.created),
        "restorePointIds": [kept.id],
    }  # fmt: skip
    return {**told, "objectId": machine} if one_object else {**told, "objectIds": [machine]}


def backup_object(world: World, backup_id: str, machine: str) -> Document:
    """Return a machine as it lies in a backup."""
    vm = next((item for item in world.machines if item["name"] == machine), {"objectId": "vm-0"})
    return {
        "id": world.machine_in(backup_id, machine), "name": machine, "type": "VM", "platformName": "VMware",
        "platformId": PLATFORM, "objectId": vm["objectId"], "viType": "VirtualMachine", "path": f"Datacenter\\{machine}",
    }  # fmt: skip


def repository_state(kept: Repository) -> Document:
    """Return a repository as it stands."""
    return {
        "id": kept.id, "name": kept.name, "type": "LinuxHardened" if kept.immutable_days else "WinLocal", "description": "",
        "hostName": "repo01.example.org", "path": "/backups", "capacityGB": kept.capacity, "freeGB": kept.free,
        "usedSpaceGB": kept.capacity - kept.free, "isOnline": kept.online, "isOutOfDate": False,
    }  # fmt: skip


def repository(kept: Repository) -> Document:
    """Return a repository with its settings."""
    settings: Document = {"path": "/backups", "taskLimitEnabled": True, "maxTaskCount": 4}
    if kept.immutable_days:
        settings["makeRecentBackupsImmutableDays"] = kept.immutable_days
    server = {"mountServerId": PLATFORM, "vPowerNFSEnabled": False, "writeCacheFolder": "/tmp/cache"}  # noqa: S108  only a text
    return {
        "id": kept.id, "name": kept.name, "description": "", "type": "LinuxHardened" if kept.immutable_days else "WinLocal",
        "hostId": PLATFORM, "repository": settings, "mountServer": {"mountServerSettingsType": "Linux", "linux": server},
    }  # fmt: skip


def job_state(world: World, job: Document) -> Document:
    """Return a job as it stands."""
    running = world.running(str(job["id"]))
    told: Document = {
        "id": job["id"], "name": job["name"], "type": job["type"], "description": job["description"],
        "status": "Running" if running else "Inactive", "lastResult": "None", "workload": "Vm", "objectsCount": 1,
        "highPriority": job["isHighPriority"], "progressPercent": 40 if running else 0,
        "repositoryId": job["storage"]["backupRepositoryId"],
    }  # fmt: skip
    return {**told, "sessionId": running.id} if running else told
