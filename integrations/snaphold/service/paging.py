"""Pages of lists that grow: the newest first, joined by a cursor, so that what is written meanwhile moves nothing."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Annotated, Any

from fastapi import Query

from snaphold.domain.value import IDENTIFIER_PATTERN
from snaphold.ledger.registers import Place
from snaphold.service.problems import RequestError

MOST_RECORDS = 200
DEFAULT_RECORDS = 50
LONGEST_CURSOR = 400
CURSOR_PATTERN = r"^[A-Za-z0-9_-]*$"
_LARGEST_SEQUENCE = 2**63 - 1

OfIncident = Annotated[str | None, Query(max_length=128, description="Only of this incident.")]
Limit = Annotated[int, Query(ge=1, le=MOST_RECORDS, description="Records of a page.")]
Cursor = Annotated[
    str, Query(max_length=LONGEST_CURSOR, pattern=CURSOR_PATTERN, description="`next` of the page before; empty: the first.")
]


def write_cursor(place: Place | None) -> str:
    """Return the cursor of the page that begins after a place; empty when there is none."""
    if place is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps(place).encode("utf-8")).decode("ascii").rstrip("=")


def read_cursor(cursor: str) -> Place | None:
    """Return the place that a cursor stands for; None for the first page. Raises RequestError (422)."""
    if not cursor:
        return None
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
