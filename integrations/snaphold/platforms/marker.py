"""The mark by which a text of ours is found again in a system that has no keys for it."""

from __future__ import annotations

import hashlib

_PREFIX = "snaphold-"


def marker_of(key: str) -> str:
    """Return the mark of a key: short, without a secret, the same on every attempt."""
    return f"[{_PREFIX}{hashlib.sha256(key.encode('utf-8')).hexdigest()[:20]}]"


def is_ours(text: str) -> bool:
    """Return whether a text carries a mark of ours; what listens to a system uses it to leave our own echo alone."""
    return f"[{_PREFIX}" in text
