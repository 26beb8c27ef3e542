"""The calls that the simulated Veeam server answers, each with its path."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timezone
from typing import TYPE_CHECKING, cast

from snaphold.simulators import veeam_shapes as shapes
from snaphold.simulators.base import Call, Reply
from snaphold.simulators.veeam_world import USER, Document, Run

if TYPE_CHECKING:
    from snaphold.simulators.veeam import Simulator

_ID = "([0-9a-f-]{36})"
Handler = Callable[["Simulator", Call, str], Reply]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []
"""Method, path and what answers it, in the order in which they are tried."""


def _route(method: str, path: str) -> Callable[[Handler], Handler]:
    def add(handler: Handler) -> Handler:
        ROUTES.append((method, re.compile(f"/api/v1/{path}"), handler))
        return handler

    return add


@_route("GET", "serverInfo")
def _server_info(server: Simulator, _call: Call, _id: str) -> Reply:
    if not server.administrator:
        return server.refuse(403, "Access is denied")
    told: Document = {
        "vbrId": shapes.PLATFORM, "name": "vbr01.example.org", "buildVersion": server.build, "patches": [],
        "databaseVendor": "PostgreSql", "sqlServerEdition": "", "sqlServerVersion": "15", "databaseSchemaVersion": "1",
        "databaseContentVersion": "1", "veeamRegistration": {"isRegistered": False}, "platform": "Windows",
    }  # fmt: skip
    return Reply(200, told)


@_route("GET", "serverTime")
def _server_time(server: Simulator, _call: Call, _id: str) -> Reply:
    local = server.world.now.astimezone(timezone(shapes.SERVER_OFFSET))
    return Reply(200, {"serverTime": local.isoformat(timespec="seconds"), "timeZone": "Europe/Vienna"})


@_route("GET", "jobs/states")
def _job_states(server: Simulator, call: Call, _id: str) -> Reply:
    return server.page(call, [shapes.job_state(server.world, job) for job in server.world.jobs.values()])


@_route("GET", "jobs")
def _jobs(server: Simulator, call: Call, _id: str) -> Reply:
    return server.page(call, list(server.world.jobs.values()))


@_route("POST", "jobs")
def _add_job(server: Simulator, call: Call, _id: str) -> Reply:
    if not server.administrator:
        return server.refuse(403, "Access is denied")
    return Reply(201, server.world.add_job(cast("Document", call.document())))


@_route("GET", f"jobs/{_ID}")
def _job(server: Simulator, _call: Call, job: str) -> Reply:
    return Reply(200, server.world.jobs[job]) if job in server.world.jobs else server.nothing("The job")


@_route("PUT", f"jobs/{_ID}")
def _change_job(server: Simulator, call: Call, job: str) -> Reply:
    if not server.administrator:
        return server.refuse(403, "Access is denied")
    if job not in server.world.jobs:
        return server.nothing("The job")
    server.world.jobs[job] = {**cast("Document", call.document()), "id": job}
    return Reply(200, server.world.jobs[job])


@_route("POST", f"jobs/{_ID}/start")
def _start_job(server: Simulator, call: Call, job: str) -> Reply:
    if job not in server.world.jobs:
        return server.nothing("The job")
    if server.world.running(job) is not None:
        return server.refuse(400, "The job is already running")
    run = server.world.run_job(job, full=bool(cast("Document", call.document())["performActiveFull"]))
    if server.fault == "already_running":
        return server.refuse(400, "The job is already running")
    if server.fault == "no_content" and server.revision == "1.3-rev2":
        return Reply(204)
    return Reply(201, shapes.session(run, server.at))


@_route("POST", "jobs/quickBackup/vSphere")
def _quick_backup(server: Simulator, call: Call, _id: str) -> Reply:
    machine = str(cast("Document", call.document())["name"])
    world = server.world
    kept = {world.backups[point.backup].job for point in world.points.values() if point.machine == machine}
    jobs = [job for job in kept if world.jobs.get(job, {}).get("schedule", {}).get("runAutomatically")]
    if not jobs:
        return server.refuse(400, "The machine has no full restore point")
    if world.running(jobs[0]) is not None:
        return server.refuse(400, "The job is already running")
    return Reply(201, shapes.session(world.run_job(jobs[0], full=False), server.at))


@_route("GET", "sessions")
def _sessions(server: Simulator, call: Call, _id: str) -> Reply:
    job = call.one("jobIdFilter")
    runs = [run for run in server.world.runs.values() if job in ("", run.job)]
    return server.page(call, [shapes.session(run, server.at) for run in runs])


@_route("GET", f"sessions/{_ID}")
def _session(server: Simulator, _call: Call, session: str) -> Reply:
    run = server.world.runs.get(session)
    if run is None:
        return server.nothing("The session")
    run.asked += 1
    if run.state == "Working" and run.asked > server.ends_after:
        server.world.end(run)
    return Reply(200, shapes.session(run, server.at))


@_route("GET", f"sessions/{_ID}/taskSessions")
def _tasks(server: Simulator, call: Call, session: str) -> Reply:
    run = server.world.runs.get(session)
    return server.page(call, [shapes.task(run, server.at)] if run and run.machine else [])


@_route("POST", f"sessions/{_ID}/stop")
def _stop(server: Simulator, _call: Call, session: str) -> Reply:
    run = server.world.runs.get(session)
    if run is None:
        return server.nothing("The session")
    if run.state != "Stopped":
        server.world.stop(run)
    return Reply(200, {})


@_route("GET", f"taskSessions/{_ID}/logs")
def _log(server: Simulator, _call: Call, task: str) -> Reply:
    run = next((run for run in server.world.runs.values() if run.machine and shapes.task(run, server.at)["id"] == task), None)
    return Reply(200, shapes.log(run, server.at)) if run else server.nothing("The session")


@_route("GET", "restorePoints")
def _points(server: Simulator, call: Call, _id: str) -> Reply:
    return server.page(call, [shapes.point(server.world, point, server.at) for point in server.world.points.values()])


@_route("GET", f"restorePoints/{_ID}")
def _point(server: Simulator, _call: Call, point: str) -> Reply:
    kept = server.world.points.get(point)
    return Reply(200, shapes.point(server.world, kept, server.at)) if kept else server.nothing("The restore point")


@_route("GET", "backups")
def _backups(server: Simulator, call: Call, _id: str) -> Reply:
    return server.page(call, [shapes.backup(backup, server.at) for backup in server.world.backups.values()])


@_route("GET", f"backups/{_ID}")
def _backup(server: Simulator, _call: Call, backup: str) -> Reply:
    kept = server.world.backups.get(backup)
    return Reply(200, shapes.backup(kept, server.at)) if kept else server.nothing("The backup")


@_route("GET", f"backups/{_ID}/objects")
def _objects(server: Simulator, call: Call, backup: str) -> Reply:
    machines = sorted({point.machine for point in server.world.points.values() if point.backup == backup})
    return server.page(call, [shapes.backup_object(server.world, backup, machine) for machine in machines])


@_route("GET", f"backups/{_ID}/backupFiles")
def _files(server: Simulator, call: Call, backup: str) -> Reply:
    points = [point for point in server.world.points.values() if point.backup == backup]
    one_object = server.revision != "1.3-rev2"
    return server.page(call, [shapes.backup_file(server.world, item, server.at, one_object=one_object) for item in points])


@_route("POST", "backups/copyTo")
def _copy_backups(server: Simulator, call: Call, _id: str) -> Reply:
    if server.revision != "1.3-rev1":
        return server.nothing("The call")
    given = cast("Document", call.document())
    return _copy(server, str(given["backupIds"][0]), str(given["backupRepository"]), "CopyBackup")


@_route("POST", "backups/machines/copyTo")
def _copy_machines(server: Simulator, call: Call, _id: str) -> Reply:
    if server.revision != "1.3-rev2":
        return server.nothing("The call")
    given = cast("Document", call.document())
    return _copy(server, str(given["backupId"]), str(given["repositoryId"]), "PerVmCopyBackup")


def _copy(server: Simulator, backup: str, target: str, kind: str) -> Reply:
    source = server.world.backups.get(backup)
    if source is None:
        return server.refuse(400, "The backup was not found")
    run = Run(server.world.new_id(), source.id, f"Copy of {source.name}", kind, "", server.world.now, target=target)
    return Reply(201, shapes.session(server.world.begin(run), server.at))


@_route("GET", "inventory/vmware/hosts/([^/]+)")
def _inventory(server: Simulator, call: Call, host: str) -> Reply:
    hosts = {str(machine["hostName"]) for machine in server.world.machines}
    if host not in hosts:
        return server.nothing("The host")
    return server.page(call, [machine for machine in server.world.machines if machine["hostName"] == host])


@_route("GET", "backupInfrastructure/repositories/states")
def _repository_states(server: Simulator, call: Call, _id: str) -> Reply:
    return server.page(call, [shapes.repository_state(item) for item in server.world.repositories])


@_route("GET", f"backupInfrastructure/repositories/{_ID}")
def _repository(server: Simulator, _call: Call, repository: str) -> Reply:
    kept = next((item for item in server.world.repositories if item.id == repository), None)
    return Reply(200, shapes.repository(kept)) if kept else server.nothing("The repository")


@_route("GET", "dataIntegration")
def _mounts(server: Simulator, call: Call, _id: str) -> Reply:
    reply = server.page(call, [dict(mount) for mount in server.world.mounts.values()])
    for mount in server.world.mounts.values():
        mount["mountState"] = {"Mounting": "Mounted", "Unmounting": "Unmounted"}.get(mount["mountState"], mount["mountState"])
    return reply


@_route("GET", f"dataIntegration/{_ID}")
def _mount(server: Simulator, _call: Call, mount: str) -> Reply:
    kept = server.world.mounts.get(mount)
    return Reply(200, dict(kept)) if kept else server.nothing("The publication")


@_route("POST", "dataIntegration/publish")
def _publish(server: Simulator, call: Call, _id: str) -> Reply:
    given = cast("Document", call.document())
    point = server.world.points.get(str(given["restorePointId"]))
    if point is None:
        return server.nothing("The restore point")
    run = Run(
        server.world.new_id(), point.backup, "Publish", "PublishBackupContentViaMount", "", server.world.now, "Stopped", "Success"
    )
    disk: Document = {
        "diskId": "0",
        "diskName": "disk-0.vmdk",
        "accessLink": f"iqn.2006-01.example:{point.id}",
        "mountPoints": [],
    }
    info: Document = {"mode": "ISCSI", "serverPort": 3260, "serverIps": ["192.0.2.20"], "disks": [disk]}
    mount: Document = {
        "id": server.world.new_id(), "initiatorName": USER, "backupId": point.backup,
        "backupName": server.world.backups[point.backup].name, "restorePointId": point.id, "restorePointName": point.machine,
        "mountState": "Mounting", "info": info,
    }  # fmt: skip
    server.world.mounts[str(mount["id"])] = mount
    return Reply(201, shapes.session(server.world.begin(run), server.at))


@_route("POST", f"dataIntegration/{_ID}/unpublish")
def _unpublish(server: Simulator, _call: Call, mount: str) -> Reply:
    kept = server.world.mounts.get(mount)
    if kept is None:
        return server.nothing("The publication")
    kept["mountState"] = "Unmounted"
    run = Run(
        server.world.new_id(), str(kept["backupId"]), "Unpublish", "PublishBackupContentViaMount", "", server.world.now,
        "Stopped", "Success",
    )  # fmt: skip
    return Reply(200, shapes.session(server.world.begin(run), server.at))


@_route("GET", "malwareDetection/events")
def _events(server: Simulator, call: Call, _id: str) -> Reply:
    machine = call.one("backupObjectIdFilter")
    return server.page(call, [item for item in server.world.events if machine in ("", item["machine"]["backupObjectId"])])


@_route("POST", "malwareDetection/events")
def _add_event(server: Simulator, call: Call, _id: str) -> Reply:
    given = cast("Document", call.document())
    machine = cast("Document", given["machine"])
    if len(machine) < 2:  # noqa: PLR2004  "Specify at least 2 parameters"
        return server.refuse(400, "Specify at least two parameters of the machine")
    point = server.world.points.get(str(machine.get("restorePointId", "")))
    if point is None:
        return server.refuse(400, "The machine was not found")
    point.malware = str(given.get("severity", "Suspicious"))
    event = {
        "id": server.world.new_id(), "type": "Unknown", "creationTimeUtc": shapes.with_zone(server.world.now),
        "detectionTimeUtc": given["detectionTimeUtc"], "state": "Created", "details": given["details"], "source": "External",
        "severity": point.malware, "createdBy": USER, "engine": given["engine"],
        "machine": {
            "displayName": point.machine, "uuid": shapes.PLATFORM, "backupObjectId": machine["backupObjectId"],
            "restorePointId": point.id,
        },
    }  # fmt: skip
    server.world.events.append(event)
    return Reply(201, {"data": [event], "pagination": {"total": 1, "count": 1, "skip": 0, "limit": 1}})
