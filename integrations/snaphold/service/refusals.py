"""Refused callers in the audit trail. A flood of refusals is counted, so that it cannot fill the ledger.

In a minute the first refusal of each source is written at once, for the first few sources. All others of that minute
become one entry for each sort of refusal, with their number and the sources that had most of them.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from snaphold.errors import SnapholdError
from snaphold.identity import current_login
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.ledger import Ledger
from snaphold.secrets import redact

EVERY = timedelta(minutes=1)
MOST_APART = 20
"""Refusals that are written at once in a minute, each of another source."""
MOST_SOURCES = 1000
"""How many sources are counted apart; all further ones count as one."""
MOST_NAMED = 10
"""Sources that the entry about many refusals names."""
LONGEST_WHY = 1000
_OTHERS = "others"
AUTHENTICATE = "service.authenticate"
REFUSE = "service.refuse"
"""A request of somebody known, or one that nobody needs a token for, that was refused for what it asks."""
log = logging.getLogger(__name__)


@dataclass
class Refusals:
    """Refusals of one sort, counted by source. `why` is of the last one."""

    action: str
    why: str = ""
    sources: Counter[str] = field(default_factory=Counter[str])

    def add(self, source: str, why: str, count: int = 1) -> None:
        """Count refusals of a source."""
        known = source in self.sources or len(self.sources) < MOST_SOURCES
        self.sources[source if known else _OTHERS] += count
        self.why = why

    def entry(self) -> NewEntry:
        """Return the entry that tells of them."""
        named = dict(self.sources.most_common(MOST_NAMED))
        only = next(iter(named)) if len(self.sources) == 1 else ""
        detail: dict[str, object] = {"from": only or f"{len(self.sources)} sources", "why": self.why,
                                     "count": self.sources.total()}  # fmt: skip
        if not only:
            detail["most"] = named
        return NewEntry(
            event=Event.REFUSED, actor="service", login=current_login(), incident="", action=self.action, detail=detail
        )


class RefusalLog:
    """Counts refusals and writes them down. What cannot be written is kept and written later."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._began: datetime | None = None
        self._apart: set[tuple[str, str]] = set()
        self._counted: dict[str, Refusals] = {}

    def count(self, source: str, why: str, now: datetime, action: str = AUTHENTICATE) -> list[Refusals]:
        """Count that a caller from `source` was refused at `action`; return what is to be written now. Never waits long."""
        told = redact(why)[:LONGEST_WHY]
        with self._lock:
            due = self._end_minute(now)
            place = (source, action)
            if place not in self._apart and len(self._apart) < MOST_APART:
                self._apart.add(place)
                due.append(Refusals(action, told, Counter({source: 1})))
            else:
                self._counted.setdefault(action, Refusals(action)).add(source, told)
        return due

    def note(self, source: str, why: str, now: datetime, action: str = AUTHENTICATE) -> None:
        """Count a refusal, and write what is to be written now."""
        self.write(self.count(source, why, now, action))

    def settle(self, now: datetime) -> None:
        """Write what was counted in a minute that is over. To be called every few seconds."""
        with self._lock:
            due = self._end_minute(now)
        self.write(due)

    def close(self) -> None:
        """Write what was counted and not yet written."""
        with self._lock:
            due = list(self._counted.values())
            self._counted = {}
        self.write(due)

    def write(self, due: Iterable[Refusals]) -> None:
        """Write refusals down, one entry for each. A refusal stands whether or not the ledger can be written to."""
        for one in due:
            try:
                self._ledger.append(one.entry())
            except SnapholdError as error:
                log.error("%d refusals at %s could not be recorded yet: %s", one.sources.total(), one.action, redact(str(error)))
                with self._lock:
                    kept = self._counted.setdefault(one.action, Refusals(one.action))
                    for source, count in one.sources.items():
                        kept.add(source, one.why, count)

    def _end_minute(self, now: datetime) -> list[Refusals]:
        """Return what was counted, and begin to count anew, when the minute is over; also when the clock went back."""
        if self._began is not None and self._began <= now < self._began + EVERY:
            return []
        due = list(self._counted.values())
        self._began, self._counted = now, {}
        self._apart.clear()
        return due
