"""Kills runs at every boundary and takes them up again. A program of its own: `python -m support.kill_lab FOLDER [CASE...]`.

The parent imports everything once and never starts a thread, so that each process of a case is a cheap fork of it.
A boundary is a call that crosses from one store to another: ledger, run history, vendor. A case is a list of
boundary numbers; process 1 dies at the first, process 2 (which resumes) at the second, and so on; the last one finishes.
Prints one JSON line for each case. Product code has no hooks: this file patches.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from dbos._sys_db import SystemDatabase

from snaphold.engine.driver import resume_run
from snaphold.engine.run import Run
from snaphold.ledger.database import DatabaseLedger
from support.run_lab import Lab, World, make_world, plan_of, trial

PART = """inputs:
  asset: {type: string, required: true}
steps:
  - id: go
    do: lab.start
    with: {asset: $inputs.asset, text: $inputs.asset}
    out: {text: string}
    poll:
      do: lab.status
      with: {text: "$go.text of $inputs.asset"}
      until: $result.state == "done"
      fail: $result.state == "failed"
      every: 1s
      within: 1m
"""
PLAYBOOK = """steps:
  - {id: look, do: lab.read, out: {items: list}}
  - id: gate
    approve: {ask: "Go on?", from: group/managers, within: 10m}
  - {id: alone, do: lab.start, with: {asset: alone}}
  - id: both
    parallel:
      - - {id: left, do: lab.start, with: {asset: left}}
      - - {id: right, do: lab.start, with: {asset: right}}
  - {id: each, call: part, for_each: $look.items, at_once: 2, with: {asset: $item}}
  - {id: last, do: lab.start, with: {asset: last}}
"""
STARTS = [
    "INC-1/trial.alone/alone/1",
    "INC-1/trial.left/left/1",
    "INC-1/trial.right/right/1",
    "INC-1/trial.each.go/a/1",
    "INC-1/trial.each.go/b/1",
    "INC-1/trial.last/last/1",
]
importlib.import_module("snaphold.engine.durable")  # the slow imports happen before the first fork
CASES_AT_ONCE = 6
_SWITCHES = threading.Lock()


class Boundaries:
    """Counts the boundaries of one process and kills it at the chosen one."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.passed: list[str] = []

    def cross(self, name: str) -> None:
        """Pass a boundary, or die."""
        with _SWITCHES:
            self.passed.append(name)
            if len(self.passed) == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, method: str) -> None:
        """Put a boundary before and after a method."""
        inner: Callable[..., Any] = getattr(owner, method)

        @wraps(inner)
        def outer(*args: Any, **kwargs: Any) -> Any:
            self.cross(f"before {method}")
            result = inner(*args, **kwargs)
            self.cross(f"after {method}")
            return result

        setattr(owner, method, outer)


def _process(folder: Path, fatal: int, report: Path) -> None:
    boundaries = Boundaries(fatal)
    boundaries.around(DatabaseLedger, "append")
    boundaries.around(DatabaseLedger, "claim")
    boundaries.around(DatabaseLedger, "settle")
    boundaries.around(SystemDatabase, "record_operation_result")
    boundaries.around(Lab, "effect")
    world = make_world(folder)
    world.answers = {"gate": (("ben", "approved"),)}
    run = _drive(world)
    starts = world.lab.vendor.starts()
    told = {"status": run.status.value, "why": run.why, "starts": starts, "boundaries": boundaries.passed}
    report.write_text(json.dumps(told), encoding="utf-8")


def _drive(world: World) -> Run:
    plan = plan_of(PLAYBOOK, trial(PART, name="part"))
    if world.runtime().ledger.record(Run, plan.run) is None:
        return world.start(plan)
    return resume_run(world.runtime(), plan.run, listener=world.listen)


def run_case(folder: Path, fatal: Sequence[int]) -> dict[str, Any]:
    """Return how a case went: how each process ended, and what the last one found."""
    report = folder / "report.json"
    folder.mkdir(parents=True)
    ends: list[int] = []
    for number in (*fatal, 0):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _process(folder, number, report)
                code = 0
            finally:
                os._exit(code)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"status": "none", "starts": []}
    return {"case": list(fatal), "ends": ends, **found}


def main() -> None:
    """Run the cases of the command line, e.g. `7` or `7,20`, several at a time: a case mostly waits."""
    folder = Path(sys.argv[1])
    going = 0
    for text in sys.argv[2:]:
        if going == CASES_AT_ONCE:
            os.wait()
            going -= 1
        if os.fork() == 0:
            fatal = [int(part) for part in text.split(",") if part != "0"]
            line = json.dumps(run_case(folder / text.replace(",", "-"), fatal)) + "\n"
            os.write(1, line.encode())
            os._exit(0)
        going += 1
    for _ in range(going):
        os.wait()


if __name__ == "__main__":
    main()
