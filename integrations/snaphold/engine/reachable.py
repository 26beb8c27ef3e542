"""The ledger as a run's actions see it: when it is out of reach, the process lets go of the run.

Without this, a full disk would look like a failed step, and the handlers that follow would fail over it too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, cast

from snaphold.engine.leaving import RunLeftError
from snaphold.errors import LedgerError, StorageError
from snaphold.ledger.entry import Entry
from snaphold.ledger.ledger import Ledger


class _Reachable:
    """Passes every call on, and raises RunLeftError where the ledger itself fails."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @contextmanager
    def turn(self, path: Path) -> Generator[None, None, None]:
        """See `Ledger.turn`; only what is wrong with the lock itself leaves the run, not what happens while it is held."""
        with ExitStack() as held:
            _leaving(held.enter_context)(self._ledger.turn(path))
            yield

    def each_entry(self, incident: str | None = None, run: str | None = None) -> Generator[Entry, None, None]:
        """See `Ledger.each_entry`: the ledger may fail at any entry."""
        entries = self._ledger.each_entry(incident, run)
        following = _leaving(lambda: next(entries, None))
        while (entry := following()) is not None:
            yield entry

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        return _leaving(found) if callable(found) else found


def _leaving(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except (LedgerError, StorageError) as error:
            raise RunLeftError(cause=error) from error

    return guarded


def reachable(ledger: Ledger) -> Ledger:
    """Return the ledger whose own failures leave the run."""
    return cast("Ledger", _Reachable(ledger))
