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
AUTHENTICATE = "service.authenticate"


class RefusalLog:
    """Writes each source's first refusal at once, and those of the next minute as one entry with their number."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, str], tuple[datetime, int]] = {}

    def note(self, source: str, why: str, now: datetime, action: str = AUTHENTICATE) -> None:
        """Record that a caller from `source` was refused at `action`."""
        with self._lock:
            place = (source, action)
            if place not in self._counted and len(self._counted) >= MOST_SOURCES:
                place = (_OTHERS, action)
            began, count = self._counted.get(place, (now - EVERY, 0))
            if now - began < EVERY:
                self._counted[place] = (began, count + 1)
                return
            self._counted[place] = (now, 0)
            self._write(place, why, count + 1)

    def close(self) -> None:
        """Record what was counted and not yet written."""
        with self._lock:
            for place, (_, count) in self._counted.items():
                if count:
                    self._write(place, "several, in the minute after the last entry", count)
            self._counted.clear()

    def _write(self, place: tuple[str, str], why: str, count: int) -> None:
        source, action = place
        detail = {"from": source, "why": why, "count": count}
        entry = NewEntry(
            event=Event.REFUSED, actor="service", login=current_login(), incident="", action=action,
            detail=detail,
        )  # fmt: skip
        self._ledger.append(entry)
