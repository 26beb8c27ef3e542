"""`GET /v1/evidence/{id}/archive`: a sealed package for whoever may have it. Each handing over is recorded before it begins."""

from __future__ import annotations

import asyncio
import threading
import uuid
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool
from starlette.types import Message, Receive, Scope, Send

from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.incident import IncidentRecord
from snaphold.errors import EvidenceError
from snaphold.evidence.archive import Archive, plan_archive
from snaphold.evidence.custody_record import CustodyEvent
from snaphold.evidence.later_custody import record_custody
from snaphold.ledger.entry import Event, NewEntry
from snaphold.service.callers import Authenticated, Caller
from snaphold.service.problems import RequestError
from snaphold.service.requests import read_justification
from snaphold.service.rights import DOWNLOAD, require_right

MEDIA_TYPE = "application/x-tar"
MOST_AT_ONCE = 8
"""Downloads at a time: each may hold its connection for as long as its client reads."""
CHUNK_WITHIN_SECONDS = 60.0
"""So long a client may take for a piece of 1 MiB; then it is cut off."""
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


async def download_evidence(id: str, request: Request, caller: Authenticated) -> StreamingResponse:
    """Return a sealed package as a tar file, for whom a role may `evidence.download`. Its chain of custody shows it."""
    justification = read_justification(request, needed=True)
    if not _places.acquire(blocking=False):
        raise RequestError(
            503, "the service is busy", f"{MOST_AT_ONCE} packages are being handed over", "try again later", {"Retry-After": "30"}
        )
    try:
        archive = await run_in_threadpool(_hand_over, caller, id, justification)
        headers = {"Content-Length": str(archive.size), "Content-Disposition": f'attachment; filename="{archive.name}.tar"'}
        return _Download(archive, headers)
    except BaseException:
        _places.release()
        raise


class _Download(StreamingResponse):
    """Streams an archive; cuts a client off that does not read, and gives its place back however it ends."""

    def __init__(self, archive: Archive, headers: dict[str, str]) -> None:
        super().__init__(iterate_in_threadpool(archive.chunks()), headers=headers, media_type=MEDIA_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            await asyncio.wait_for(send(message), CHUNK_WITHIN_SECONDS)

        try:
            await super().__call__(scope, receive, send_in_time)
        finally:
            _places.release()


def _hand_over(caller: Caller, id: str, justification: str) -> Archive:
    """Return the archive after its handing over is recorded in the package and in the ledger.

    Raises RequestError (404), NotAuthorisedError, EvidenceError, StorageError: then nothing is given away.
    """
    runtime = caller.runtime
    record = runtime.ledger.record(EvidenceRecord, id)
    if record is None:
        raise RequestError(404, f"there is no evidence {id[:128]!r}", None, "GET /v1/registers/evidence")
    require_right(caller, DOWNLOAD, id, record.incident)
    known = runtime.ledger.record(IncidentRecord, record.incident)
    if known is None:
        raise RequestError(404, f"the incident {record.incident} is not known here", "it was never sent whole")
    # Each handing over is one of its own, so that the same person may have it twice and both are shown.
    key = f"{record.incident}/{DOWNLOAD}/{id}/{uuid.uuid4().hex[:16]}"
    context = runtime.context(known.declared, justification=justification, key=key)
    package = _package(record, context)
    faults = record_custody(record, CustodyEvent.EXPORTED, context, reason=justification)
    if faults:
        raise EvidenceError(
            f"{id} is not handed over", "; ".join(faults), "mend what keeps its chain of custody from being written, then repeat"
        )
    archive = plan_archive(package, record.sealed_at)
    entry = NewEntry(
        event=Event.SERVICE, actor=caller.actor.id, login=caller.actor.login, incident=record.incident, action=DOWNLOAD,
        key=key, justification=justification, outcome="succeeded",
        detail={"evidence": id, "bytes": archive.size, "tag_manifest_sha256": record.tag_manifest_sha256},
    )  # fmt: skip
    runtime.ledger.append(entry)
    return archive


def _package(record: EvidenceRecord, context: Context) -> Path:
    """Return the folder of a package; a copy that was lost here is fetched from its vault. Raises EvidenceError."""
    folder = Path(record.path)
    if folder.is_dir() and not folder.is_symlink():
        return folder
    if record.vault is not None:
        from snaphold.vault.registry import open_vault

        found = open_vault(context.configuration, context.clock, holding=record.vault).find(record.id)
        if found is not None:
            return found
    raise EvidenceError(f"the package {record.id} is gone", f"{folder} is not there", "snaphold evidence verify")
