"""A worker in this process, for tests that look at what it does with one run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from snaphold.domain.people import Actor
from snaphold.engine.run import Run
from snaphold.engine.worker import Settings, Worker
from snaphold.ledger.schema import tenure
from snaphold.runtime import Runtime
from support.waiting import PATIENCE_SECONDS

LONG_LEASE = timedelta(hours=1)
"""Nothing here is about being late, and a busy machine must not make it so. The first sign of life comes after a fifth of it:
in PostgreSQL that tells the server's time, which is not that of a clock that a test holds."""
LONG_GRACE_SECONDS = 200.0
"""So long a worker that stops lets its steps go on."""


def _never(why: str) -> None:
    raise AssertionError(why)


@contextmanager
def working(
    runtime: Runtime, actor_of: Callable[[Run], Actor] | None = None, *, census_seconds: float = 0.5
) -> Generator[Worker, None, None]:
    """Have a worker work for the length of the block; runs act in the runtime's name unless `actor_of` says another."""
    settings = Settings(lease=LONG_LEASE, look_seconds=0.05, again_in=timedelta(seconds=1), census_seconds=census_seconds)
    worker = Worker(runtime, actor_of or (lambda _: runtime.actor), settings, _never)
    thread = threading.Thread(target=worker.work)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snaphold.engine.worker.GRACE_SECONDS", LONG_GRACE_SECONDS)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


def stands(runtime: Runtime, run: str) -> tuple[str, timedelta | None]:
    """Return the state of a run among the workers, and how long it is let alone after its last change."""
    wanted = sa.select(tenure.c.state, tenure.c.wake_at, tenure.c.changed_at).where(tenure.c.run == run)
    with runtime.ledger.reading() as connection:
        row = connection.execute(wanted).one()
    return row.state, None if row.wake_at is None else timedelta(milliseconds=row.wake_at - row.changed_at)
