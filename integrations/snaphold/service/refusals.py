"""Refused callers in the audit trail. A flood of wrong tokens is counted, so that it cannot fill the ledger."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from snaphold.identity import current_login
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.ledger import Ledger

EVERY = timedelta(minutes=1)
MOST_SOURCES = 1000
"""How many sources are counted apart; all further ones count as one."""
_OTHERS = "others"


class RefusalLog:
    """Writes each source's first refusal at once, and those of the next minute as one entry with their number."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[datetime, int]] = {}

    def note(self, source: str, why: str, now: datetime) -> None:
        """Record that a caller from `source` was refused."""
        with self._lock:
            if source not in self._counted and len(self._counted) >= MOST_SOURCES:
                source = _OTHERS
            began, count = self._counted.get(source, (now - EVERY, 0))
            if now - began < EVERY:
                self._counted[source] = (began, count + 1)
                return
            self._counted[source] = (now, 0)
            self._write(source, why, count + 1)

    def close(self) -> None:
        """Record what was counted and not yet written."""
        with self._lock:
            for source, (_, count) in self._counted.items():
                if count:
                    self._write(source, "several, in the minute after the last entry", count)
            self._counted.clear()

    def _write(self, source: str, why: str, count: int) -> None:
        detail = {"from": source, "why": why, "count": count}
        entry = NewEntry(
            event=Event.REFUSED, actor="service", login=current_login(), incident="", action="service.authenticate",
            detail=detail,
        )  # fmt: skip
        self._ledger.append(entry)
