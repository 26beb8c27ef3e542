"""What a delivery tells, in one form for all sources. Words stay the source's own; the configuration says what they mean."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from snaphold.domain.value import IDENTIFIER_PATTERN
from snaphold.platforms.base import CaseStatus

LONGEST_TITLE = 500
LONGEST_DESCRIPTION = 20_000
_HEX_DIGITS = 12
_IDENTIFIER = re.compile(IDENTIFIER_PATTERN)


@dataclass(frozen=True)
class Alert:
    """One alert of a delivery. `key` is the same each time the source tells of it; paths of triggers lead into `document`."""

    key: str
    firing: bool
    document: Mapping[str, Any]
    asset_words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """One delivery. `severity_words` are alternatives in order of preference; in one alternative the worst counts.

    `declares`: it may start a playbook. `status` is None when it says nothing about where the incident stands.
    `group` is that of alerts that belong together; `key` is what whoever raised the incident calls it.
    """

    delivery: str
    event: str
    incident: str
    title: str
    occurred_at: datetime | None = None
    severity_words: tuple[tuple[str, ...], ...] = ()
    category_words: tuple[str, ...] = ()
    asset_words: tuple[str, ...] = ()
    description: str = ""
    status: CaseStatus | None = None
    vendor_status: str = ""
    declares: bool = False
    text: str = ""
    alerts: tuple[Alert, ...] = ()
    group: str = ""
    key: str = ""


def incident_id(source: str, reference: str, *, own: bool) -> str:
    """Return the incident's id for what a source calls it: the same each time.

    `own`: the source is a system of incidents, whose ids stay as they are, so that notes find their way back. Others get
    the source's name in front, so that two sources never mean one incident by chance.
    """
    plain = reference if own else f"{source}-{reference}"
    return plain if _IDENTIFIER.fullmatch(plain) else short_id(source.upper()[:40], source, reference)


def short_id(prefix: str, *parts: str) -> str:
    """Return an identifier made of a prefix and a digest of the parts."""
    return f"{prefix}-{hashlib.sha256(chr(0).join(parts).encode('utf-8')).hexdigest()[:_HEX_DIGITS]}"


def one_line(text: str, longest: int = LONGEST_TITLE) -> str:
    """Return text in one line, shortened."""
    return " ".join(text.split())[:longest].strip()
