"""Publishes a restore point's disks read-only to investigators, and marks a restore point as infected."""

from __future__ import annotations

import ipaddress
import time
from typing import Any, cast

from snaphold.clock import format_time
from snaphold.config import Pool
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError, TimedOutError
from snaphold.platforms.marker import marker_of
from snaphold.providers.base import Publication
from snaphold.providers.veeam_answers import MalwareEvent, Mount, Page, PointAnswer, Started, as_document, is_id
from snaphold.providers.veeam_session import VeeamSession, after_effect
from snaphold.providers.veeam_storage import POINTS, backup_objects

MOUNTS = "/api/v1/dataIntegration"
EVENTS = "/api/v1/malwareDetection/events"
ENGINE = "Snaphold"
LOOKS = 60
LOOK_PAUSE_SECONDS = 5.0
_ISCSI_PORT = 3260


def publish(session: VeeamSession, pool: Pool, point: RestorePoint, name: str) -> Publication:
    """Offer the disks of a restore point as an iSCSI target to the addresses of the pool's setting `investigators`.

    A restore point that is published already is not published again. Raises TimedOutError while it is not ready.
    """
    allowed = _addresses(pool)
    mount = _mount_of(session, point)
    if mount is None:
        document = {
            "type": "ISCSITarget",
            "restorePointId": point.reference,
            "allowedIps": allowed,
            "reason": f"{name}: evidence for {point.incident} {marker_of(point.key)}",
        }

        def look_up() -> Started | None:
            found = _mount_of(session, point)
            return Started(id=found.id) if found else None

        session.write("POST", f"{MOUNTS}/publish", Started, f"publishing {point.id}", document=document, look_up=look_up)
    with after_effect(f"{point.id} is being published"):
        return _wait_until_mounted(session, point)


def _wait_until_mounted(session: VeeamSession, point: RestorePoint) -> Publication:
    mount = None
    for look in range(LOOKS):
        mount = _mount_of(session, point)
        if mount is not None and mount.state == "mounted":
            return Publication(reference=mount.id, address=_address(mount))
        time.sleep(LOOK_PAUSE_SECONDS if look < LOOKS - 1 else 0.0)
    raise TimedOutError(
        f"the publication of {point.id} is not ready", f"Veeam says: {mount.state if mount else 'nothing'}", "repeat it later"
    )


def _addresses(pool: Pool) -> list[str]:
    given = [text.strip() for text in pool.settings.get("investigators", "").split(",") if text.strip()]
    if not given:
        raise InputError(
            f"the pool {pool.name} does not say to whom restore points may be published",
            "its setting investigators is empty",
            "write the addresses of the investigators' machines there, with commas between them",
        )
    for text in given:
        try:
            ipaddress.ip_address(text)
        except ValueError as error:
            raise InputError(f"{text!r} in investigators of the pool {pool.name} is no address", None, "correct it") from error
    return given


def _mount_of(session: VeeamSession, point: RestorePoint) -> Mount | None:
    """Return the publication of a restore point that stands or comes up. Raises ProviderError when it failed last."""
    listed = session.list(MOUNTS, Mount, "the publications")
    mine = [mount for mount in listed if mount.restore_point == point.reference]
    standing = [mount for mount in mine if mount.state in ("mounted", "mounting")]
    return standing[0] if standing else None


def _address(mount: Mount) -> str:
    info = as_document(mount.info)
    servers = [str(server) for server in cast("list[Any]", info.get("serverIps") or [])]
    port = info.get("serverPort") or _ISCSI_PORT
    links = [str(as_document(disk).get("accessLink") or "") for disk in cast("list[Any]", info.get("disks") or [])]
    places = ",".join(f"{f'[{server}]' if ':' in server else server}:{port}" for server in servers)
    return f"iscsi://{places}/{','.join(filter(None, links))}" if places else ",".join(filter(None, links))


def end_publication(session: VeeamSession, reference: str) -> None:
    """End a publication; one that ended already, or that Veeam has forgotten, is left alone."""
    if not is_id(reference):
        raise InputError(f"{reference!r} is not a publication of Veeam", None, "check the reference")

    def gone() -> bool:
        mount = session.find(f"{MOUNTS}/{reference}", Mount, "the publication")
        return mount is None or mount.state == "unmounted"

    if gone():
        return
    shape = dict[str, Any]
    session.write(
        "POST", f"{MOUNTS}/{reference}/unpublish", shape, "ending the publication", look_up=lambda: {} if gone() else None
    )
    with after_effect(f"the publication {reference} is being ended"):
        for look in range(LOOKS):
            if gone():
                return
            time.sleep(LOOK_PAUSE_SECONDS if look < LOOKS - 1 else 0.0)
    raise TimedOutError(f"the publication {reference} has not ended", None, "repeat it; look at it in Veeam's console")


def mark_infected(session: VeeamSession, point: RestorePoint, reason: str) -> RestorePoint:
    """Report malware in the machine and restore point to Veeam, once per restore point and reason."""
    revision = session.revision()
    if not revision.events_name_points:
        raise ProviderError(
            f"Veeam's API {revision.name} cannot mark a restore point",
            "its malware events name a machine only by its network addresses",
            "mark it in Veeam's console, or update the server to version 13",
        )
    kept = session.find(f"{POINTS}/{point.reference}", PointAnswer, "the restore point")
    if kept is None:
        raise ProviderError(f"Veeam has no restore point {point.reference} any more", None, "use another restore point")
    objects = backup_objects(session, kept.name, kept.backup)
    if len(objects) != 1:
        raise ProviderError(f"Veeam shows the machine {kept.name} {len(objects)} times in its backup", None, "look at the backup")
    marker = marker_of(f"{point.key}\n{reason}")

    def look_up() -> Page | None:
        query = {"backupObjectIdFilter": objects[0].id, "engineFilter": ENGINE}
        events = session.list(EVENTS, MalwareEvent, "the malware events", query)
        found = [event for event in events if marker in event.details]
        return _NOTHING if found else None

    if look_up() is None:
        document = {
            "detectionTimeUtc": format_time(point.taken_at),
            "machine": {"backupObjectId": objects[0].id, "restorePointId": point.reference},
            "details": f"{reason} ({point.incident}, {point.id}) {marker}",
            "engine": ENGINE,
            "severity": "Infected",
        }
        session.write("POST", EVENTS, Page, f"marking {point.id}", document=document, look_up=look_up)
    finding = f"marked as infected in Veeam: {reason}"
    if finding in point.findings:
        return point
    return point.model_copy(update={"findings": (*point.findings, finding)})


_NOTHING = Page.model_validate({"data": [], "pagination": {"total": 0}})
