"""The vendor of a drill: it starts whatever it is told to, and its book counts every start. One line for each.

The last asset of each run it takes only when the deaths are over: without work left there would be nobody to die at it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from pydantic import Field

from snaphold.action import AnyAction, Effect, Recovery, Request, Result, action, describe
from snaphold.context import Attempt, Context
from snaphold.domain.outcome import Outcome
from snaphold.drill.estate import LAST
from snaphold.standing import check_standing

_PAUSE_SECONDS = 0.1
"""How long the vendor takes for a start, before and after it writes its book: that is when a worker may die."""


class StartDrill(Request):
    """What the drill's vendor is to start."""

    asset: str = Field(description="The asset.", examples=["asset-1"])


class DrillStarted(Result):
    """What the drill's vendor started."""

    job: str = Field(description="The job.", examples=["JOB-1"])


def read_book(book: Path) -> list[str]:
    """Return the key of every start, in order."""
    return book.read_text(encoding="utf-8").splitlines() if book.exists() else []


def take_all(book: Path) -> None:
    """Have the vendor take the last assets too, from now on."""
    _mark_of(book).touch()


def _mark_of(book: Path) -> Path:
    return book.with_name("vendor.takes-all")


def drill_actions(book: Path) -> dict[str, AnyAction]:
    """Return a catalogue with the one action of a drill; it asks the vendor for its key before it starts again."""

    def start(request: StartDrill, context: Context) -> DrillStarted:
        """Start at the drill's vendor."""
        while request.asset.endswith(LAST) and not _mark_of(book).exists():
            check_standing()
            time.sleep(_PAUSE_SECONDS)
        if context.attempt is Attempt.FRESH or context.key not in read_book(book):
            time.sleep(_PAUSE_SECONDS)
            check_standing()
            descriptor = os.open(book, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, f"{context.key}\n".encode())
            finally:
                os.close(descriptor)
            time.sleep(_PAUSE_SECONDS)
        return DrillStarted(outcome=Outcome.SUCCEEDED, job=f"JOB-{request.asset}")

    start.__annotations__ = {"request": StartDrill, "context": Context, "return": DrillStarted}
    tagged = action("drill.start", title="Start at the drill's vendor", effect=Effect.WRITES, recovery=Recovery.LOOKS_UP,
                    key_fields=("asset",))(start)  # fmt: skip
    entry = describe(tagged)
    return {entry.name: entry}
