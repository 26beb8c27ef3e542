"""Jobs in Veeam: the one of our own that backs up one machine for one key, and what it takes over from the regular one.

A backup in Veeam has no key, but a job has a name. Each key gets a job of its own whose name carries its mark: it never
runs by itself, so every run of it is ours. Its restore point lies apart from the regular backups and their retention.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

from snaphold.config import Pool
from snaphold.errors import InputError, ProviderError, UnknownOutcomeError
from snaphold.platforms.marker import is_ours, marker_of
from snaphold.providers.base import BackupOrder
from snaphold.providers.veeam_answers import JobAnswer, as_document, is_id
from snaphold.providers.veeam_revision import Revision
from snaphold.providers.veeam_session import VeeamSession

JOBS = "/api/v1/jobs"
OWN_RUN, QUICK = "this job", "quick backup in job "
"""How the backup is made: by running this job, or within a regular one whose id follows; this job then never runs."""
KEPT_DAYS = 365
"""For how long our job keeps its restore point when nobody sets another retention; nothing runs it again meanwhile."""
SESSION_LINE = "Session"
_LONGEST_PART = 40
_HEAD = "Emergency backup by Snaphold; runs only when told. Do not rename."
_LINES = {
    "incident": "Incident",
    "asset": "Asset",
    "machine": "Machine",
    "pool": "Pool",
    "key": "Key",
    "aware": "Guest processing",
    "way": "Way",
    "asked": "Asked",
}


@dataclass(frozen=True)
class OwnJob:
    """What a job of ours tells of itself in its description."""

    incident: str
    asset: str
    machine: str
    pool: str
    key: str
    aware: str
    asked: str
    way: str = OWN_RUN
    session: str = ""


def job_name(incident: str, asset: str, key: str) -> str:
    """Return the name of our job for a key."""
    return f"{name_prefix(incident)}{asset[:_LONGEST_PART]} {marker_of(key)}"


def name_prefix(incident: str) -> str:
    """Return how the names of all our jobs of an incident begin."""
    return f"Snaphold {incident[:_LONGEST_PART]} "


def describe_job(job: OwnJob) -> str:
    """Return the description of our job: read by people, and by `read_description`."""
    return "\n".join([_HEAD, *(f"{label}: {getattr(job, name)}" for name, label in _LINES.items())])


def read_description(job: JobAnswer) -> OwnJob:
    """Return what a job of ours says of itself. Raises InputError when it is not ours."""
    told = dict(line.split(": ", 1) for line in job.description.replace("\r", "").split("\n") if ": " in line)
    fields = {name: told.get(label, "") for name, label in _LINES.items()}
    if not is_ours(job.name) or not all(fields.values()):
        raise InputError(f"the job {job.name!r} in Veeam is not one of ours", "its name or description does not say so")
    return OwnJob(**fields, session=told.get(SESSION_LINE, ""))


def find_job(session: VeeamSession, key: str) -> JobAnswer | None:
    """Return our job for a key, or None. Raises UnknownOutcomeError when there are two."""
    marker = marker_of(key)
    listed = session.list(JOBS, JobAnswer, "the jobs", {"nameFilter": f"*{marker.strip('[]')}*"})
    found = [job for job in listed if marker in job.name]
    if len(found) > 1:
        names = ", ".join(job.name for job in found)
        raise UnknownOutcomeError("Veeam has two jobs for one key", names, "look at both, and delete the one that never ran")
    return found[0] if found else None


def regular_jobs(session: VeeamSession, machine: str) -> list[dict[str, Any]]:
    """Return the jobs of other people that name a machine, in order of name."""
    listed = session.list(JOBS, dict[str, Any], "the jobs")
    mine = [job for job in listed if not is_ours(str(job.get("name", ""))) and machine in _machines(job)]
    return sorted(mine, key=lambda job: str(job.get("name", "")))


def job_called(session: VeeamSession, name: str) -> dict[str, Any]:
    """Return the job of that name. Raises ProviderError when there is none, or more than one."""
    listed = session.list(JOBS, dict[str, Any], "the jobs", {"nameFilter": name})
    found = [job for job in listed if job.get("name") == name]
    if len(found) != 1:
        raise ProviderError(
            f"Veeam has {'no' if not found else 'more than one'} job {name!r}", None, "correct the setting job of the pool"
        )
    return found[0]


def _machines(job: dict[str, Any]) -> set[str]:
    included = as_document(job.get("virtualMachines")).get("includes")
    items = cast("list[Any]", included) if isinstance(included, list) else []
    return {str(as_document(item).get("name", "")) for item in items}


def model_of(session: VeeamSession, pool: Pool, machine: str) -> dict[str, Any] | None:
    """Return the regular job whose proxies, guest credentials and encryption ours takes over, or None.

    It is the one that the pool's setting `job` names, else the first that names the machine and processes its guest.
    """
    if pool.settings.get("job"):
        return job_called(session, pool.settings["job"])
    jobs = regular_jobs(session, machine)
    aware = [job for job in jobs if _aware(job)]
    return next(iter([*aware, *jobs]), None)


def _aware(job: dict[str, Any]) -> bool:
    processing = as_document(as_document(job.get("guestProcessing")).get("appAwareProcessing"))
    return processing.get("isEnabled") is True


def job_document(
    order: BackupOrder, own: OwnJob, repository: str, model: dict[str, Any] | None, pool: Pool, revision: Revision
) -> dict[str, Any]:
    """Return the document of our job for an order. `repository` is the id of the pool's repository."""
    machine = machine_of(order, revision)
    taken = copy.deepcopy(model or {})
    storage = as_document(taken.get("storage"))
    advanced = as_document(storage.get("advancedSettings"))
    settings: dict[str, Any] = {
        "backupRepositoryId": repository,
        "backupProxies": storage.get("backupProxies") or {"autoSelectEnabled": True},
        "retentionPolicy": {"type": revision.spell("Days"), "quantity": KEPT_DAYS},
    }
    kept = {name: advanced[name] for name in ("storageData", "vSphere") if as_document(advanced.get(name))}
    if pool.settings.get("encryption_password"):
        kept["storageData"] = {
            **as_document(kept.get("storageData")),
            "encryption": _encryption(pool.settings["encryption_password"]),
        }
    if kept:
        settings["advancedSettings"] = {"backupModeType": "Incremental", **kept}
    return {
        "name": job_name(own.incident, own.asset, own.key),
        "type": revision.job_type,
        "description": describe_job(own),
        "isHighPriority": True,
        "virtualMachines": {"includes": [machine]},
        "storage": settings,
        "guestProcessing": _guest_processing(as_document(taken.get("guestProcessing")), machine, own.aware, revision),
        "schedule": {"runAutomatically": False},
    }


def machine_of(order: BackupOrder, revision: Revision) -> dict[str, Any]:
    """Return the machine of an order as Veeam's inventory names it."""
    host, _, object_id = order.workload.reference.rpartition("/")
    return {
        "platform": revision.platform,
        "hostName": host,
        "name": order.workload.name,
        "type": "VirtualMachine",
        "objectId": object_id,
    }


def _encryption(password: str) -> dict[str, Any]:
    if not is_id(password):
        raise InputError("encryption_password is not an id of Veeam", None, "write the id of a password that Veeam keeps")
    return {"isEnabled": True, "encryptionType": "ByUserPassword", "encryptionPasswordId": password}


def _guest_processing(taken: dict[str, Any], machine: dict[str, Any], aware: str, revision: Revision) -> dict[str, Any]:
    """Return guest processing that must succeed and leaves the guest's logs alone: they are evidence."""
    processing: dict[str, Any] = {"isEnabled": aware != "off"}
    if aware != "off":
        processing["appSettings"] = [
            {
                "vmObject": machine,
                "vss": revision.spell("RequireSuccess" if aware == "required" else "IgnoreFailures"),
                "transactionLogs": revision.spell("CopyOnly"),
                "oracle": {"useGuestCredentials": True, "archiveLogs": revision.spell("Preserve")},
            }
        ]
    document: dict[str, Any] = {"appAwareProcessing": processing, "guestFSIndexing": {"isEnabled": False}}
    kept = {name: taken[name] for name in ("guestInteractionProxies", "guestCredentials") if as_document(taken.get(name))}
    if "guestCredentials" in kept:
        kept["guestCredentials"] = _credentials_for(kept["guestCredentials"], machine)
    return {**document, **kept}


def _credentials_for(taken: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """Return the credentials of the regular job, of its machines only those of this one."""
    listed = taken.get("credentialsPerMachine")
    entries = [as_document(entry) for entry in cast("list[Any]", listed)] if isinstance(listed, list) else []
    mine = [entry for entry in entries if as_document(entry.get("vmObject")).get("name") == machine["name"]]
    rest = {name: value for name, value in taken.items() if name != "credentialsPerMachine" and value is not None}
    return {**rest, "credentialsPerMachine": mine} if mine else rest
