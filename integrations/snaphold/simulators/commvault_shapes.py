"""How the simulated Commvault shows what it knows, in the shapes of its old and its V4 calls."""

from __future__ import annotations

from typing import Any

from snaphold.simulators.commvault_state import COMMCELL, Client, Copy, Estate, Job, Plan, StoragePool, Subclient

_LEVELS = {"Full": 1, "Incremental": 2, "Differential": 4}


def shown_client(client: Client) -> dict[str, Any]:
    """Return a client as the list of clients shows it."""
    entity = {
        "clientId": client.id,
        "clientName": client.name,
        "hostName": f"{client.name.lower()}.example.org",
        "displayName": client.name,
    }
    return {"client": {"clientEntity": entity}}


def shown_subclient(subclient: Subclient, plan: Plan | None) -> dict[str, Any]:
    """Return a subclient with its properties."""
    policy = {"storagePolicyId": plan.policy, "storagePolicyName": plan.name} if plan else {}
    told: dict[str, Any] = {
        "subClientEntity": subclient_entity(subclient),
        "commonProperties": {"storageDevice": {"dataBackupStoragePolicy": policy}},
    }
    if plan:
        told["planEntity"] = {"planId": plan.id, "planName": plan.name}
    return told


def subclient_entity(subclient: Subclient) -> dict[str, Any]:
    """Return the names and ids of a subclient."""
    return {
        "subclientId": subclient.id,
        "subclientName": subclient.name,
        "backupsetId": 5,
        "backupsetName": subclient.backup_set,
        "instanceId": 1,
        "instanceName": "DefaultInstanceName",
        "applicationId": 33,
        "appName": subclient.agent,
        "clientId": subclient.client.id,
        "clientName": subclient.client.name,
    }


def shown_job(job: Job, estate: Estate) -> dict[str, Any]:
    """Return a job's summary, as the old calls show it."""
    plan = estate.plans[job.subclient.plan]
    summary: dict[str, Any] = {
        "jobId": job.id,
        "commcellId": COMMCELL,
        "isVisible": True,
        "status": job.status,
        "localizedStatus": job.status,
        "percentComplete": job.percent,
        "jobType": "Backup",
        "opType": 4,
        "localizedOperationName": "Backup",
        "appTypeName": job.subclient.agent,
        "backupLevel": _LEVELS.get(job.level, 1),
        "backupLevelName": job.level,
        "jobStartTime": job.started_at,
        "jobEndTime": job.ended_at,
        "lastUpdateTime": job.ended_at or estate.now(),
        "jobElapsedTime": (job.ended_at or estate.now()) - job.started_at,
        "sizeOfApplication": job.size,
        "sizeOfMediaOnDisk": job.size // 2,
        "totalNumOfFiles": job.files,
        "totalFailedFiles": job.failed_files,
        "pendingReason": job.pending_reason,
        "userName": {"userName": job.user, "userId": 7},
        "storagePolicy": {"storagePolicyName": plan.name, "storagePolicyId": plan.policy},
        "subclient": subclient_entity(job.subclient),
        "destClientName": job.subclient.client.name,
    }
    return {"jobSummary": summary}


def shown_detail(job: Job) -> dict[str, Any]:
    """Return a job's details, as the old call shows them."""
    general = {
        "jobId": job.id,
        "jobStartedBy": job.user,
        "jobStartedFrom": "Interactive",
        "startTime": job.started_at,
        "operationType": "Backup",
        "subclient": subclient_entity(job.subclient),
    }
    detail = {"sizeOfApplication": str(job.size), "startTime": job.started_at, "endTime": job.ended_at}
    progress = {"state": job.status, "reasonForJobDelay": job.pending_reason, "numOfFilesTransferred": job.files}
    return {"job": {"jobDetail": {"generalInfo": general, "detailInfo": detail, "progressInfo": progress}}}


def shown_task(job: Job) -> dict[str, Any]:
    """Return the order that started a job; an order without a description shows none."""
    options: dict[str, Any] = {"backupOpts": {"backupLevel": job.level}}
    if job.description:
        options["commonOpts"] = {"jobDescription": job.description}
    sub_task = {"subTask": {"subTaskType": 2, "operationType": 2}, "options": options}
    return {"taskInfo": {"task": {"taskType": 1, "taskId": job.id + 5000}, "subTasks": [sub_task]}}


def shown_pool(pool: StoragePool) -> dict[str, Any]:
    """Return a storage pool as the list of V4 shows it."""
    return {
        "id": pool.id,
        "name": pool.name,
        "storagePoolType": "DEDUPLICATION",
        "status": pool.status,
        "capacity": pool.capacity,
        "freeSpace": pool.free,
    }


def shown_pool_detail(pool: StoragePool) -> dict[str, Any]:
    """Return a storage pool with its encryption."""
    encryption: dict[str, Any] = {"encrypt": pool.encrypted}
    if pool.encrypted:
        encryption |= {"cipher": "AES", "keyLength": 256}
    used = pool.capacity - pool.free
    general = {"capacity": pool.capacity, "freeSpace": pool.free, "sizeOnDisk": used, "dedupeSavingsPercent": 0}
    return {"id": pool.id, "name": pool.name, "general": general, "encryption": encryption}


def shown_copy(copy: Copy, plan: Plan) -> dict[str, Any]:
    """Return a copy of a plan in a storage pool."""
    return {
        "copy": {"id": copy.id, "name": copy.name},
        "plan": {"id": plan.id, "name": plan.name},
        "planType": "Server",
        "isSnapCopy": False,
        "copyType": "SYNCHRONOUS",
        "retentionPeriodDays": 30,
    }


def shown_kept_job(job: Job, copy: int, *, encrypted: bool) -> dict[str, Any]:
    """Return a job as one copy has it."""
    until = job.retained[copy]
    return {
        "jobId": job.id,
        "status": "Available",
        "jobType": "Backup",
        "server": {"id": job.subclient.client.id, "name": job.subclient.client.name},
        "subClient": {"id": job.subclient.id, "name": job.subclient.name},
        "startTime": job.started_at,
        "endTime": job.ended_at,
        "sizeOfApplication": job.size,
        "username": job.user,
        "retainUntil": until,
        "strRetainedBy": "User" if until else "Basic Retention",
        "strDataVerificationStatus": job.checked,
        "encrypted": encrypted,
        "isAged": False,
    }
