"""Is a delivery genuine, and of now. Pure functions; every comparison takes the same time whatever it finds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from snaphold.clock import format_time, parse_time
from snaphold.errors import NotAuthorisedError

TIME_HEADER = "X-Snaphold-Timestamp"
EARLIEST = timedelta(minutes=5)
"""How far ahead of ours the source's clock may be."""
_SIGNATURE = re.compile(r"(?:^|[,\s])(?:v1|sha256)=([0-9a-f]{64}|[A-Za-z0-9+/]{43}=)(?=$|[,\s])")
_MOST_SIGNATURES = 20


def verify_signature(body: bytes, header: str, header_name: str, secrets: Sequence[str], sent_at: str = "") -> None:
    """Return when the raw body was signed with one of the secrets: HMAC-SHA256, as hex or base64.

    A time that was sent along (`sent_at`) is signed too: TIME, a dot, and the body. Raises NotAuthorisedError.
    """
    given = [_raw(text) for text in _SIGNATURE.findall(header)[:_MOST_SIGNATURES]]
    signed = f"{sent_at}.".encode("latin-1", "replace") + body if sent_at else body
    expected = [hmac.new(secret.encode("utf-8"), signed, hashlib.sha256).digest() for secret in secrets if secret]
    # Every pair is compared, so that the time taken tells nothing about which one came near.
    matches = [hmac.compare_digest(mine, theirs) for mine in expected for theirs in given]
    if not any(matches):
        why = "no signature of ours is in the header" if given else f"the header {header_name} is missing or malformed"
        raise NotAuthorisedError("the delivery is not genuine", why, "compare the secret and the header with the source's")


def verify_bearer(header: str, secrets: Sequence[str]) -> None:
    """Return when the header Authorization carries one of the secrets. Raises NotAuthorisedError."""
    kind, _, presented = header.partition(" ")
    # Digests have one length, so that the comparison does not tell how long a secret is.
    theirs = hashlib.sha256(presented.strip().encode("utf-8", "replace")).digest()
    matches = [
        hmac.compare_digest(hashlib.sha256(secret.encode("utf-8")).digest(), theirs) for secret in secrets if secret
    ]  # fmt: skip
    if kind.lower() != "bearer" or not any(matches):
        why = "its token is not the one of this webhook" if presented else "the header Authorization has no Bearer token"
        raise NotAuthorisedError("the delivery is not genuine", why, "compare the secret with the source's")


def check_sent_at(text: str, now: datetime, window: timedelta) -> None:
    """Return when a signed time (RFC 3339 or Unix seconds) is of now. Raises NotAuthorisedError."""
    try:
        moment = datetime.fromtimestamp(int(text), now.tzinfo) if text.isascii() and text.isdigit() else parse_time(text)
    except (ValueError, OverflowError, OSError) as error:
        raise NotAuthorisedError(f"the header {TIME_HEADER} is no time", None, "send RFC 3339 or Unix seconds") from error
    check_fresh(moment, now, window)


def check_fresh(moment: datetime, now: datetime, window: timedelta) -> None:
    """Return when a delivery's time lies in the window before now. Raises NotAuthorisedError for older and later ones."""
    if not -EARLIEST <= now - moment <= window:
        raise NotAuthorisedError(
            "the delivery is not of now", f"it is of {format_time(moment)}", "compare the clocks; a replay is refused"
        )


def _raw(text: str) -> bytes:
    return bytes.fromhex(text) if len(text) == 2 * hashlib.sha256().digest_size else base64.b64decode(text)
