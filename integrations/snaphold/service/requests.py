"""What a request carries: its body under a cap and a deadline, and its headers as text."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import unquote

from fastapi import Request

from snaphold.errors import InputError
from snaphold.service.problems import RequestError
from snaphold.service.strict_json import parse_object

LARGEST_BODY_BYTES = 1024 * 1024
DRAINED_BYTES = 8 * 1024 * 1024
"""So much of a body that is too large is still read and thrown away: who is cut off while sending sees no answer."""
BODY_WITHIN_SECONDS = 15.0
LONGEST_JUSTIFICATION = 2000
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})(?:$|[,;\s])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


async def read_document(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body. Raises RequestError (400, 408, 413, 415)."""
    data = await read_body(request)
    try:
        return parse_object(data)
    except InputError as error:
        raise RequestError(400, error.what, error.why, error.do) from error


async def read_body(request: Request) -> bytes:
    """Return the raw body of a request that says it is JSON, unread. Raises RequestError (408, 413, 415)."""
    return await _read(request, "application/json")


async def read_form(request: Request) -> bytes:
    """Return the raw body of a request that says it is a form, unread. Raises RequestError (408, 413, 415)."""
    return await _read(request, "application/x-www-form-urlencoded")


async def _read(request: Request, wanted: str) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise RequestError(415, f"the body is {kind or 'of no type'}", f"only {wanted} is understood")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > DRAINED_BYTES:
        raise _too_large()
    try:
        data = await asyncio.wait_for(_receive(request), BODY_WITHIN_SECONDS)
    except asyncio.TimeoutError as error:
        raise RequestError(408, "the body came too slowly", f"not within {BODY_WITHIN_SECONDS:g} s") from error
    return data


async def _receive(request: Request) -> bytes:
    received, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > DRAINED_BYTES:
            raise _too_large()
        if size <= LARGEST_BODY_BYTES:
            received += chunk
    if size > LARGEST_BODY_BYTES:
        raise _too_large()
    return bytes(received)


def _too_large() -> RequestError:
    return RequestError(413, "the body is too large", f"at most {LARGEST_BODY_BYTES} bytes", headers={"Connection": "close"})


def read_key(request: Request, *, needed: bool) -> str:
    """Return the idempotency key. Raises RequestError (400) when it is needed and missing, or malformed."""
    key = request.headers.get("idempotency-key", "").strip()
    if key.startswith('"') and key.endswith('"') and len(key) > 1:  # as a structured field: a quoted string
        key = key[1:-1]
    if not key and not needed:
        return ""
    if not _KEY.fullmatch(key):
        raise RequestError(
            400,
            "the header Idempotency-Key is malformed" if key else "the header Idempotency-Key is missing",
            "what writes needs one: 1 to 200 printable ASCII characters without spaces",
            "send the same key when you repeat a request, and a new one for a new deed",
        )
    return key


def read_justification(request: Request, *, needed: bool) -> str:
    """Return why the request is made; percent-encoded UTF-8 is decoded. Raises RequestError (400)."""
    raw = request.headers.get("x-snaphold-justification", "")
    try:
        text = unquote(raw.encode("latin-1").decode("utf-8"), errors="strict").strip()
    except UnicodeError as error:
        raise RequestError(400, "the header X-Snaphold-Justification is not UTF-8") from error
    if not text and needed:
        raise RequestError(
            400,
            "the header X-Snaphold-Justification is missing",
            "what writes needs a reason, and the audit trail keeps it",
            "say in a sentence why this is done; beyond ASCII, percent-encode UTF-8",
        )
    if len(text) > LONGEST_JUSTIFICATION or _CONTROL.search(text):
        raise RequestError(
            400, "the header X-Snaphold-Justification is malformed", f"at most {LONGEST_JUSTIFICATION} characters in one line"
        )
    return text


def read_patience(request: Request, longest: float) -> float:
    """Return how many seconds the caller wants to wait for the result (RFC 7240 `Prefer`); never more than `longest`."""
    preferred = ", ".join(request.headers.getlist("prefer")).lower()
    if "respond-async" in re.split(r"[,;\s]+", preferred):
        return 0.0
    found = _WAIT.search(preferred)
    return min(float(found[1]), longest) if found else longest
