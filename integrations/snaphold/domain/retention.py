"""How long what an incident left is kept: while its case is open, after it was closed, and what was deleted for ever.

Pure rules, and the records that the registers keep. A retention never gets shorter, and a hold goes before all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum

from pydantic import Field

from snaphold.domain.incident import Incident, IncidentStatus
from snaphold.domain.value import Identifier, Moment, Value

DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


class CaseRecord(Value):
    """Where the case of an incident stands, as its platform last showed it, or as a person said where there is none."""

    id: Identifier
    incident: Identifier
    status: IncidentStatus
    integration: str = Field(default="", description="The system that was asked; empty: the incident itself said so.")
    reference: str = Field(default="", description="The incident in that system.")
    vendor_status: str = ""
    declared: Incident | None = Field(default=None, description="The incident as it was given when the case was looked at.")
    seen_at: Moment
    closed_at: Moment | None = Field(default=None, description="When it was first seen closed; the retention counts from it.")
    reopened: int = Field(default=0, ge=0, description="How often it was open again after it had been closed.")


class Retention(Value):
    """Until when one restore point or one evidence package is kept. `until` None: no rule says how long, so for good."""

    id: Identifier = Field(description="The id of what is kept.")
    incident: Identifier
    subject_kind: str = Field(description="restore_point or evidence.")
    until: Moment | None
    reason: str = Field(min_length=1, description="Why so long.")
    running: bool = Field(default=False, description="Whether the clock runs: the case was closed.")
    set_by: Identifier
    set_at: Moment
    enforced_by: str = Field(description="How the storage enforces it, or `register only` with the reason.")
    enforced_until: Moment | None = Field(default=None, description="Until when the storage itself refuses to delete it.")


class DeletionState(str, Enum):
    """Where a permanent deletion stands. `deleting` goes before the storage is touched, so that no hold comes too late."""

    DELETING = "deleting"
    DELETED = "deleted"
    GIVEN_UP = "given_up"


class Deletion(Value):
    """What is left of a restore point that was deleted for ever: what it was, why it went, and who decided."""

    id: Identifier = Field(description="The id of the restore point.")
    incident: Identifier
    asset: Identifier
    pool: Identifier
    reference: str
    state: DeletionState
    reason: str = Field(min_length=1)
    requested_by: Identifier
    approved_by: tuple[Identifier, ...] = Field(description="The second persons: who approved the grant.")
    grant: Identifier
    key: str
    kept_until: Moment | None = None
    began_at: Moment
    ended_at: Moment | None = None


@dataclass(frozen=True)
class Rule:
    """A retention rule of the configuration: one data class, or everything that has no rule of its own (None)."""

    data_class: str | None
    keep: timedelta
    basis: str


@dataclass(frozen=True)
class Term:
    """How long something is kept after the case was closed, and by which rule."""

    keep: timedelta
    why: str


def longest_term(rules: Iterable[Rule], data_classes: Collection[str]) -> Term | None:
    """Return the longest term that the rules give to data of these classes; None when no rule is about them.

    The rule of a data class goes before the one for all data; among several classes the longest term wins.
    """
    by_class = {rule.data_class: rule for rule in rules}
    fitting = [rule for name in (data_classes or {None}) if (rule := by_class.get(name, by_class.get(None))) is not None]
    if not fitting:
        return None
    longest = max(fitting, key=lambda rule: (rule.keep, rule.basis))
    about = f"data class {longest.data_class}" if longest.data_class else "all data"
    return Term(longest.keep, f"{longest.basis} ({about})")


def extended(before: datetime | None, now: datetime, at_least: timedelta) -> datetime:
    """Return the end of a retention that reaches at least so far beyond now, and never ends sooner than before.

    It is rounded up to a whole day (UTC), to a whole second when less than a day is asked for: asking again on the same
    day changes nothing.
    """
    unit = DAY if at_least >= DAY else _SECOND
    wanted = _rounded_up(now + at_least, unit)
    return wanted if before is None else max(before, wanted)


def after_closing(before: datetime | None, closed_at: datetime, term: Term) -> datetime:
    """Return the end of a retention whose clock started when the case was closed; never sooner than before."""
    counted = _rounded_up(closed_at + term.keep, _SECOND)
    return counted if before is None else max(before, counted)


def why_kept(
    *, holds: Collection[str], status: IncidentStatus, retention: Retention | None, now: datetime
) -> tuple[tuple[str, str], ...]:
    """Return every reason, as (kind, sentence), for which something must not be deleted now; none when it may be.

    The kinds are `hold`, `case` and `retention`. What nobody decided (no retention, no rule) is kept.
    """
    reasons: list[tuple[str, str]] = []
    if holds:
        reasons.append(("hold", f"it is held by {', '.join(sorted(holds))}"))
    if status is not IncidentStatus.CLOSED:
        reasons.append(("case", "its case is open"))
    if retention is None or not retention.running:
        reasons.append(("retention", "its retention has not begun to run"))
    elif retention.until is None:
        reasons.append(("retention", "no retention rule says how long it is kept"))
    elif now < retention.until:
        reasons.append(("retention", f"it is kept until {retention.until.isoformat(timespec='seconds')}: {retention.reason}"))
    return tuple(reasons)


def _rounded_up(moment: datetime, unit: timedelta) -> datetime:
    start = datetime(1970, 1, 1, tzinfo=timezone.utc)
    over = (moment - start) % unit
    return moment if not over else moment + (unit - over)
