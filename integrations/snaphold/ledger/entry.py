"""Ledger entries: what one line of the audit trail says, and how it is chained to the line before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from snaphold.domain.value import Moment, Value

GENESIS = "0" * 64


class Event(str, Enum):
    """What an entry records."""

    INTENT = "intent"
    TAKEN_OVER = "taken_over"
    OUTCOME = "outcome"
    REFUSED = "refused"
    APPROVAL = "approval"
    GRANT = "grant"
    DELETION = "deletion"
    """A permanent deletion that begins, or is given up; its end is the outcome of the action."""
    RUN = "run"
    CHECKPOINT = "checkpoint"
    SERVICE = "service"
    """What the service keeps for itself: a token, an incident that it was told of, a job that goes on."""


class NewEntry(Value):
    """An entry before it is chained. `inputs_digest` is the SHA-256 of the canonical input; inputs stay out of it."""

    event: Event
    actor: str
    login: str = ""
    incident: str
    run: str = ""
    action: str
    key: str = ""
    justification: str = ""
    inputs_digest: str = ""
    outcome: str = ""
    detail: Mapping[str, Any] = {}


class Entry(NewEntry):
    """A chained entry. `hash` covers every other field and the hash of the entry before."""

    sequence: int
    at: Moment
    previous: str
    registers: tuple[str, ...] = ()
    """`kind/id/sha256` of every register record that changed in the same transaction."""
    hash: str


def canonical(document: Any) -> str:
    """Return JSON text that is the same for equal documents: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(document: Any) -> str:
    """Return the SHA-256 (hex) of a document's canonical JSON."""
    return hashlib.sha256(canonical(document).encode("utf-8", "surrogatepass")).hexdigest()


def hash_entry(fields: Mapping[str, Any]) -> str:
    """Return the hash (hex) of an entry from its JSON fields without `hash`."""
    return digest({name: value for name, value in fields.items() if name != "hash"})
