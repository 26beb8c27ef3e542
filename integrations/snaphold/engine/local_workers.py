"""Workers on a ledger in a file are all on one machine: each holds a lock, which the kernel lets go of when it dies.

So nobody waits for the end of a lease to know that a process is gone. The lease stands beside it for one that hangs.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from snaphold.engine.locks import is_held, sole_driver
from snaphold.ledger.connection import SqliteStore
from snaphold.ledger.database import DatabaseLedger


def life_of(ledger: DatabaseLedger, worker: str) -> AbstractContextManager[None]:
    """Return the block in which a worker of this process lives; to be entered before the worker is registered."""
    path = _lock_of(ledger, worker)
    return nullcontext() if path is None else sole_driver(path, worker)


def is_gone(ledger: DatabaseLedger, worker: str) -> bool:
    """Return True when the worker's process is certainly gone. False: it lives, or only its lease can tell."""
    path = _lock_of(ledger, worker)
    return path is not None and not is_held(path)


def forget_lock(ledger: DatabaseLedger, worker: str) -> None:
    """Remove the lock of a worker that has ended; a missing lock says the same as a free one."""
    path = _lock_of(ledger, worker)
    if path is not None:
        path.unlink(missing_ok=True)


def _lock_of(ledger: DatabaseLedger, worker: str) -> Path | None:
    store = ledger.store
    return store.path.parent / "runs" / f"worker-{worker}.lock" if isinstance(store, SqliteStore) else None
