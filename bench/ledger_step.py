"""Measures what execute() adds to a step: milliseconds per trivial write, alone and beside other writers.

Run: python bench/ledger_step.py [STEPS] [FOLDER]. The folder decides which disk is measured: every commit is synced.
The budget of a playbook step is 5 ms. On a busy machine each sync also waits for the processor: look at the least.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydantic import Field

import snaphold.execute
from snaphold.action import AnyAction, Effect, Recovery, Request, Result, action, describe
from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.incident import Incident
from snaphold.domain.outcome import Outcome
from snaphold.domain.people import Actor
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.verify import verify_ledger

STEPS = 1000
WRITERS = 4
CONFIGURATION = {
    "organisation": {"name": "Bench"},
    "tiers": [{"id": "T0", "level": 0, "impact": "None.", "rto": "1h", "rpo": "1h"}],
    "roles": [{"name": "analyst", "may": ["bench.*"]}],
}
INCIDENT = {
    "id": "INC-1", "title": "Bench", "severity": 1, "category": "bench", "declared_at": "2026-11-22T18:00:00Z", "assets": ["a"],
}  # fmt: skip


class Trivial(Request):
    """Input of the trivial write."""

    asset: str = Field(default="a", description="An asset.", examples=["a"])


@action("bench.write", title="Do nothing", effect=Effect.WRITES, recovery=Recovery.IDEMPOTENT)
def write(request: Trivial, context: Context) -> Result:
    """Do nothing."""
    return Result(outcome=Outcome.SUCCEEDED)


def only(entry: AnyAction) -> None:
    """Let execute() find this action and no other."""

    def find(name: str) -> AnyAction:
        return entry

    snaphold.execute.find_action = find


def measure(steps: int, folder: Path) -> None:
    """Print one line for each measurement."""
    clock = SystemClock()
    ledger = DatabaseLedger(folder / "ledger.sqlite", clock)
    actor = Actor(id="ana", name="Ana", roles=("analyst",))
    context = Context(Configuration.model_validate(CONFIGURATION), Incident.model_validate(INCIDENT), actor, clock, ledger)
    note = NewEntry(event=Event.INTENT, actor="ana", incident="INC-1", action="bench.write")
    only(describe(write))

    def step(key: str) -> float:
        started = time.perf_counter()
        execute_once(context, key)
        return time.perf_counter() - started

    def append(_key: str) -> float:
        started = time.perf_counter()
        ledger.append(note)
        return time.perf_counter() - started

    def keys(prefix: str) -> list[str]:
        return [f"INC-1/{prefix}/{number}/1" for number in range(steps)]

    step("first")
    tell("append one entry", [append(key) for key in keys("append")])
    tell("execute() of a trivial write", [step(key) for key in keys("one")])
    tell("the same again, settled before", [step(key) for key in keys("one")])
    with ThreadPoolExecutor(WRITERS) as pool:
        tell(f"execute() in {WRITERS} threads at once", list(pool.map(step, keys("many"))))
    started = time.perf_counter()
    report = verify_ledger(ledger, trust_all)
    seconds = time.perf_counter() - started
    print(f"{'verify':34} {len(report.faults)} faults in {report.entries} entries, {report.entries / seconds:,.0f} entries/s")


def execute_once(context: Context, key: str) -> None:
    """Run the trivial write under a key."""
    snaphold.execute.execute("bench.write", {}, replace(context, key=key))


def trust_all(message: bytes, signature: str, at: datetime) -> None:
    """Accept every signature; there is none."""


def tell(what: str, seconds: list[float]) -> None:
    """Print the distribution in milliseconds."""
    times = sorted(second * 1000 for second in seconds)
    p95 = times[int(len(times) * 0.95)]
    print(f"{what:34} least {times[0]:6.2f}  median {statistics.median(times):6.2f}  p95 {p95:6.2f} ms")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as name:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else STEPS, Path(name))
