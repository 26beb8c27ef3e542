"""Measures what a step of a durable run costs on SQLite: run history, ledger and cancel flag, for actions that do nothing.

Run: python bench/step_overhead.py [STEPS] [FOLDER]. The folder decides which disk is measured: every ledger commit is
synced. The budget is 5 ms a step. Also measured: starting a branch that runs beside others, and taking up a run again.
Writes bench/results/step_overhead.json.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import Field

import snaphold.action
from snaphold.action import Effect, Recovery, Request, Result, action, describe
from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.incident import Incident
from snaphold.domain.outcome import Outcome
from snaphold.domain.people import Actor
from snaphold.engine.driver import start_run
from snaphold.engine.plan import make_plan
from snaphold.ledger.database import DatabaseLedger
from snaphold.playbook.load import read_playbook
from snaphold.runtime import Runtime

STEPS = 300
BRANCHES = 100
ROUNDS = 5
BUDGET_MS = 5.0
RESULT = Path(__file__).parent / "results/step_overhead.json"
HEAD = """apiVersion: snaphold/v1
kind: Playbook
metadata: {name: bench, id: playbook--11111111-1111-4111-8111-111111111111, version: "1.0.0", change_record: CHG1}
steps:
"""
INCIDENT = Incident.model_validate(
    {"id": "INC-1", "title": "Bench", "severity": 1, "category": "bench", "declared_at": "2026-11-22T18:00:00Z", "assets": ["a"]}
)


class Trivial(Request):
    """Input of the trivial actions."""

    asset: str = Field(default="a", description="An asset.", examples=["a"])


@action("bench.write", title="Do nothing", effect=Effect.WRITES, recovery=Recovery.IDEMPOTENT)
def write(request: Trivial, context: Context) -> Result:
    """Do nothing, as an action that writes."""
    return Result(outcome=Outcome.SUCCEEDED)


@action("bench.read", title="Do nothing", effect=Effect.READS)
def read(request: Trivial, context: Context) -> Result:
    """Do nothing, as an action that reads."""
    return Result(outcome=Outcome.SUCCEEDED)


def run_once(folder: Path, steps: str, generation: int) -> float:
    """Run a playbook and return the seconds between its first and its last step."""
    configuration = Configuration.model_validate(
        {
            "organisation": {"name": "Bench"},
            "tiers": [{"id": "T0", "level": 0, "impact": "None.", "rto": "1h", "rpo": "1h"}],
            "roles": [{"name": "bench", "may": ["bench.*"]}],
        }
    ).placed_at(folder)
    ledger = DatabaseLedger.open(configuration, SystemClock())
    runtime = Runtime(configuration, ledger, SystemClock(), Actor(id="ana", name="Ana", roles=("bench",)))
    plan = make_plan(read_playbook(HEAD + steps, Path("bench.yaml")), {}, {}, INCIDENT, generation=generation)
    times: list[float] = []
    run = start_run(runtime, plan, listener=lambda _event: times.append(time.perf_counter()))
    if run.status.value != "done":
        raise SystemExit(f"the run ended {run.status.value}: {run.why}")
    ledger.close()
    return times[-1] - times[0]


def main() -> None:
    """Measure, print, and write the result."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    place = sys.argv[2] if len(sys.argv) > 2 else None
    known: dict[str, Any] = {entry.name: entry for entry in (describe(write), describe(read))}
    snaphold.action.catalogue = lambda: known  # type: ignore[assignment]
    found: dict[str, list[float]] = {"write": [], "read": [], "branch": []}
    with tempfile.TemporaryDirectory(dir=place) as folder:
        for turn in range(1, ROUNDS + 1):
            for kind in ("write", "read"):
                body = "".join(f"  - {{id: s{number}, do: bench.{kind}}}\n" for number in range(steps))
                found[kind].append(run_once(Path(folder) / kind, body, turn) / steps * 1000)
            branches = "".join(f"      - [{{id: b{number}, do: bench.read}}]\n" for number in range(BRANCHES))
            body = "  - {id: first, do: bench.read}\n  - id: fan\n    parallel:\n" + branches
            found["branch"].append(run_once(Path(folder) / "branch", body, turn) / BRANCHES * 1000)
    report = {
        "steps": steps,
        "rounds": ROUNDS,
        **{f"{kind}_step_ms_{name}": round(measure(times), 2) for kind, times in found.items()
           for name, measure in (("median", statistics.median), ("least", min))},
        "budget_ms": BUDGET_MS,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }  # fmt: skip
    RESULT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
