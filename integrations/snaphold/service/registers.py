"""The registers over the API: restore points, holds, grants and the rest, the newest first, in pages that a cursor joins."""

from __future__ import annotations

from enum import Enum
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from snaphold.domain.authority import Approval, EvidenceRecord, Grant, Hold
from snaphold.domain.change import CoveringChange
from snaphold.domain.incident import IncidentRecord
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Retention
from snaphold.service.callers import Authenticated, Caller
from snaphold.service.paging import DEFAULT_RECORDS, Cursor, Limit, OfIncident, read_cursor, write_cursor


class RegisterKind(str, Enum):
    """The registers that can be read."""

    RESTORE_POINTS = "restore-points"
    HOLDS = "holds"
    GRANTS = "grants"
    APPROVALS = "approvals"
    EVIDENCE = "evidence"
    INCIDENTS = "incidents"
    RETENTION = "retention"
    CHANGES = "changes"


AnyRecord = RestorePoint | Hold | Grant | Approval | EvidenceRecord | IncidentRecord | Retention | CoveringChange
_MODELS: dict[RegisterKind, Any] = {
    RegisterKind.RESTORE_POINTS: RestorePoint,
    RegisterKind.HOLDS: Hold,
    RegisterKind.GRANTS: Grant,
    RegisterKind.APPROVALS: Approval,
    RegisterKind.EVIDENCE: EvidenceRecord,
    RegisterKind.INCIDENTS: IncidentRecord,
    RegisterKind.RETENTION: Retention,
    RegisterKind.CHANGES: CoveringChange,
}


class RegisterPage(BaseModel):
    """One page of a register."""

    kind: RegisterKind
    records: list[AnyRecord] = Field(description="The newest first.")
    next: str = Field(description="The cursor of the next page; empty after the last one.")


async def list_register(
    kind: RegisterKind, caller: Authenticated, incident: OfIncident = None, limit: Limit = DEFAULT_RECORDS, cursor: Cursor = ""
) -> JSONResponse:
    """List a register, the newest records first. `next` is the cursor of the next page, and empty after the last."""
    return JSONResponse(await run_in_threadpool(_page, caller, kind, incident, limit, cursor))


def _page(caller: Caller, kind: RegisterKind, incident: str | None, limit: int, cursor: str) -> dict[str, Any]:
    records, more = caller.runtime.ledger.page(_MODELS[kind], incident, limit, read_cursor(cursor))
    shown = [record.model_dump(mode="json") for record in records]
    return {"kind": kind.value, "records": shown, "next": write_cursor(more)}
