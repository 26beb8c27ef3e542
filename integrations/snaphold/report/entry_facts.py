"""What the report says of an incident's ledger entries, gathered while they are read once: there may be very many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from snaphold.domain.outcome import Outcome
from snaphold.ledger.entry import Entry, Event
from snaphold.report.excerpt import MOST_SHOWN


@dataclass(frozen=True)
class EntryFacts:
    """How many entries there are, the first of them, the newest, and one sentence for each fault and each finding."""

    count: int = 0
    shown: tuple[Entry, ...] = ()
    newest: Entry | None = None
    faults: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


def read_entries(entries: Iterable[Entry]) -> EntryFacts:
    """Return what the report says of entries. Of several outcomes under one key only the last counts."""
    count, shown, newest = 0, list[Entry](), None
    refusals, ends, findings = list[str](), dict[str, str](), dict[str, None]()
    for entry in entries:
        count, newest = count + 1, entry
        if count <= MOST_SHOWN:
            shown.append(entry)
        if entry.event is Event.REFUSED:
            refusals.append(f"{entry.action} was refused to {entry.actor}: {entry.detail.get('error', 'not authorised')}")
        elif entry.event is Event.OUTCOME:
            ends[entry.key or str(entry.sequence)] = _fault_of(entry)
        if entry.outcome == Outcome.SUCCEEDED.value:
            findings.update((f"{entry.action}: {finding}", None) for finding in entry.detail.get("findings") or ())
    return EntryFacts(count, tuple(shown), newest, (*refusals, *(fault for fault in ends.values() if fault)), tuple(findings))


def _fault_of(entry: Entry) -> str:
    if not entry.outcome or entry.outcome == Outcome.SUCCEEDED.value:
        return ""
    reasons = [str(entry.detail[name]) for name in ("error", "why") if entry.detail.get(name)]
    reasons += [str(finding) for finding in entry.detail.get("findings") or ()]
    return f"{entry.action} ended {entry.outcome}" + (f": {'; '.join(reasons)}" if reasons else "")
