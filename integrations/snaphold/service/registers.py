"""The registers over the API: restore points, holds, grants and the rest, the newest first, in pages that a cursor joins."""

from __future__ import annotations

import base64
import binascii
import json
import re
from enum import Enum
from typing import Annotated, Any

from fastapi import Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from snaphold.domain.authority import Approval, EvidenceRecord, Grant, Hold
from snaphold.domain.incident import IncidentRecord
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Retention
from snaphold.domain.value import IDENTIFIER_PATTERN
from snaphold.service.callers import Authenticated, Caller
from snaphold.service.problems import RequestError

MOST_RECORDS = 200
LONGEST_CURSOR = 400
CURSOR_PATTERN = r"^[A-Za-z0-9_-]*$"
_LARGEST_SEQUENCE = 2**63 - 1


class RegisterKind(str, Enum):
    """The registers that can be read."""

    RESTORE_POINTS = "restore-points"
    HOLDS = "holds"
    GRANTS = "grants"
    APPROVALS = "approvals"
    EVIDENCE = "evidence"
    INCIDENTS = "incidents"
    RETENTION = "retention"


AnyRecord = RestorePoint | Hold | Grant | Approval | EvidenceRecord | IncidentRecord | Retention
_MODELS: dict[RegisterKind, Any] = {
    RegisterKind.RESTORE_POINTS: RestorePoint,
    RegisterKind.HOLDS: Hold,
    RegisterKind.GRANTS: Grant,
    RegisterKind.APPROVALS: Approval,
    RegisterKind.EVIDENCE: EvidenceRecord,
    RegisterKind.INCIDENTS: IncidentRecord,
    RegisterKind.RETENTION: Retention,
}


class RegisterPage(BaseModel):
    """One page of a register."""

    kind: RegisterKind
    records: list[AnyRecord] = Field(description="The newest first.")
    next: str = Field(description="The cursor of the next page; empty after the last one.")


async def list_register(
    kind: RegisterKind,
    caller: Authenticated,
    incident: Annotated[str | None, Query(max_length=128, description="Only of this incident.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_RECORDS, description="Records of a page.")] = 50,
    cursor: Annotated[
        str, Query(max_length=LONGEST_CURSOR, pattern=CURSOR_PATTERN, description="`next` of the page before; empty: the first.")
    ] = "",
) -> JSONResponse:
    """List a register, the newest records first. `next` is the cursor of the next page, and empty after the last."""
    return JSONResponse(await run_in_threadpool(_page, caller, kind, incident, limit, cursor))


def _page(caller: Caller, kind: RegisterKind, incident: str | None, limit: int, cursor: str) -> dict[str, Any]:
    after = _read_cursor(cursor) if cursor else None
    records, more = caller.runtime.ledger.page(_MODELS[kind], incident, limit, after)
    shown = [record.model_dump(mode="json") for record in records]
    return {"kind": kind.value, "records": shown, "next": _write_cursor(more) if more else ""}


def _write_cursor(place: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode("utf-8")).decode("ascii").rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    """Return the place that a cursor stands for. Raises RequestError (422)."""
    try:
        place: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        sequence, id = place
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise _no_cursor() from error
    good = type(sequence) is int and 0 < sequence <= _LARGEST_SEQUENCE
    if not good or not isinstance(id, str) or not re.fullmatch(IDENTIFIER_PATTERN, id):
        raise _no_cursor()
    return sequence, id


def _no_cursor() -> RequestError:
    return RequestError(422, "the cursor is not one of this service", None, "begin again without a cursor")
