"""Real workers in processes of their own that die at random points: `python -m support.worker_lab FOLDER FATAL LEASE`.

FATAL is the number of the boundary (a call that crosses from one store to another) at which the process kills itself, 0
for never. `WorkerLab` launches them, and launches another one for each that ends, as systemd would.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from snaphold.context import Attempt, Context
from snaphold.engine import tenures
from snaphold.engine.plan import Plan, make_plan
from snaphold.engine.run import Run
from snaphold.engine.shared_runs import exit_at_once, register_run
from snaphold.engine.worker import Settings, Worker
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Entry
from support.ledgers import INCIDENT
from support.run_lab import Lab, LabRequest, LabResult, World, make_world, trial

TESTS = Path(__file__).resolve().parents[1]
LEASE_SECONDS = 10
"""Short, because the tests wait for it; a worker that stands still for most of it ends, and another one is launched."""
LONGEST_SECONDS = 480.0
"""For a machine that is busy with other things; it is no part of any claim."""
PLAYBOOK = """inputs:
  assets: {type: list, required: true}
steps:
  - {id: look, do: lab.read}
  - {id: each, call: part, for_each: $inputs.assets, at_once: 4, with: {asset: $item}}
  - {id: last, do: lab.read, with: {text: last}}
"""
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
      within: 10m
"""
HELD = "held"
"""The asset whose first start waits, after its effect, until the file `release` is there."""


def plan_for(number: int, assets: list[str]) -> Plan:
    """Return the plan of a run for an incident of its own."""
    incident = INCIDENT.model_copy(update={"id": f"INC-{number}"})
    return make_plan(trial(PLAYBOOK), {"part": trial(PART, name="part")}, {"assets": assets}, incident, justification="a drill")


def world_of(folder: Path) -> World:
    """Return the world in a folder, with its database in PostgreSQL ($SNAPHOLD_TEST_DATABASE), or in a file without one."""
    if os.environ.get("SNAPHOLD_TEST_DATABASE"):
        return make_world(folder, database="env:SNAPHOLD_TEST_DATABASE")
    return make_world(folder)


class Deaths:
    """Counts the boundaries of this process and kills it at the chosen one."""

    def __init__(self, fatal: int) -> None:
        self._left = fatal
        self._lock = threading.Lock()

    def cross(self) -> None:
        """Pass a boundary, or die."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, method: str) -> None:
        """Put a boundary before and after a method."""
        inner: Callable[..., Any] = getattr(owner, method)

        def outer(*args: Any, **kwargs: Any) -> Any:
            self.cross()
            result = inner(*args, **kwargs)
            self.cross()
            return result

        setattr(owner, method, outer)


def serve(folder: Path, fatal: int, lease: float) -> None:
    """Be a worker until SIGTERM."""
    from dbos._sys_db import SystemDatabase

    faulthandler.register(signal.SIGUSR1, all_threads=True)
    deaths = Deaths(fatal)
    for owner, method in ((DatabaseLedger, "append"), (DatabaseLedger, "claim"), (DatabaseLedger, "settle"),
                          (SystemDatabase, "record_operation_result"), (Lab, "effect"), (tenures, "let_go_all")):  # fmt: skip
        deaths.around(owner, method)
    _hold(folder)
    world = world_of(folder)
    runtime = world.runtime()
    settings = Settings(at_once=4, lease=timedelta(seconds=lease), again_in=timedelta(seconds=1))
    worker = Worker(runtime, lambda _: runtime.actor, settings, exit_at_once)
    signal.signal(signal.SIGTERM, lambda _number, _frame: worker.stop())
    worker.work(lambda: print(worker.id, flush=True))
    os._exit(0)


def _hold(folder: Path) -> None:
    """Have the first start of the asset HELD wait between its effect and its record."""
    start = Lab.start

    def held(self: Lab, request: LabRequest, context: Context) -> LabResult:
        result = start(self, request, context)
        while request.asset == HELD and context.attempt is Attempt.FRESH and not (folder / "release").exists():
            time.sleep(0.02)
        return result

    Lab.start = held  # type: ignore[method-assign]


@dataclass
class Child:
    """A worker's process; `id` once it works, `died` when it was seen to have ended."""

    process: subprocess.Popen[str]
    id: str = ""
    died: datetime | None = None
    is_mortal: bool = False


@dataclass
class WorkerLab:
    """Workers on one PostgreSQL, or on one file when there is no URL."""

    folder: Path
    url: str = ""
    seed: int = 0
    lease: float = LEASE_SECONDS
    children: list[Child] = field(default_factory=list[Child])
    keys: list[str] = field(default_factory=list[str])
    registered: int = 0
    world: World = field(init=False)

    def __post_init__(self) -> None:
        os.environ["SNAPHOLD_TEST_DATABASE"] = self.url
        self.world = world_of(self.folder)
        self.runtime = self.world.runtime()
        self.dice = random.Random(self.seed)  # noqa: S311  a drill that can be repeated, not a secret

    def register(self, runs: int, assets: int) -> None:
        """Register runs of so many assets each; `keys` are those that each asset must start under, once."""
        for _ in range(runs):
            self.registered += 1
            number = self.registered
            names = [f"asset-{number}-{index}" for index in range(assets)]
            register_run(self.runtime, plan_for(number, names))
            self.keys += [f"INC-{number}/trial.each.go/{name}/1" for name in names]

    def launch(self, fatal: int = 0, url: str = "") -> Child:
        """Start a worker that dies at the boundary of that number."""
        environment = {**os.environ, "PYTHONPATH": str(TESTS), "SNAPHOLD_TEST_DATABASE": url or self.url}
        command = [sys.executable, "-m", "support.worker_lab", str(self.folder), str(fatal), str(self.lease)]
        with (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        child = Child(process, is_mortal=fatal > 0)
        threading.Thread(target=self._watch, args=(child,), daemon=True).start()
        self.children.append(child)
        return child

    def _watch(self, child: Child) -> None:
        if child.process.stdout is not None:
            child.id = child.process.stdout.readline().strip()
        child.process.wait()
        child.died = datetime.now(timezone.utc)

    @property
    def alive(self) -> list[Child]:
        """The workers whose process lives."""
        return [child for child in self.children if child.process.poll() is None]

    def runs(self) -> list[Run]:
        """Return all runs."""
        return self.runtime.ledger.records(Run)

    def keep(self, count: int, kills: int, *, during: Callable[[], bool] = lambda: False) -> None:
        """Keep so many workers alive until every run has ended, `kills` of them have died at random points, and `during`,
        which is called again and again, says that nothing more is to come.

        On a slow machine the others may be done before a worker reaches its point, or it ends because it stood still for
        too long: another one dies then, and there are more runs to do.
        """
        deadline = time.monotonic() + LONGEST_SECONDS
        while True:
            more_to_come = during()
            found = [(child, child.process.poll()) for child in self.children]
            killed = sum(code == -signal.SIGKILL for _, code in found)
            doomed = sum(child.is_mortal for child, code in found if code is None)
            for _ in range(count - sum(code is None for _, code in found)):
                is_mortal = killed + doomed < kills
                self.launch(self.dice.randint(15, 120) if is_mortal else 0)
                doomed += is_mortal
            if all(run.has_ended for run in until_it_answers(self.runs)):
                if killed == kills and not more_to_come:
                    return
                until_it_answers(lambda: self.register(1, 4))
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def stop(self) -> None:
        """End every worker."""
        for child in self.alive:
            child.process.send_signal(signal.SIGCONT)
            child.process.terminate()
        for child in self.children:
            try:
                child.process.wait(30)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    def log(self) -> str:
        """Return where every run and every living worker stands, and the end of what they said."""
        stands = [f"{run.id} {run.status.value}" for run in until_it_answers(self.runs) if not run.has_ended]
        for child in self.alive:
            child.process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        logs = [self.folder / "workers.log", *sorted(self.folder.rglob("worker-*.log"))]
        said = [f"== {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-6000:]}" for path in logs]
        return "\n".join([*stands, *said])

    def killed(self) -> list[Child]:
        """Return the workers that died by SIGKILL."""
        return [child for child in self.children if child.process.returncode == -signal.SIGKILL]

    def takeovers(self) -> list[float]:
        """Return, for each run of a killed worker, the seconds from its death until another worker had the run."""
        entries = self.runtime.ledger.entries()
        died = {child.id: child.died for child in self.killed() if child.id and child.died}
        found: list[float] = []
        for index, entry in enumerate(entries):
            if entry.action == "run.orphan" and entry.detail["worker"] in died:
                taken = next((later for later in entries[index:] if _took(later, entry.run)), None)
                if taken is not None:
                    found.append((taken.at - died[entry.detail["worker"]]).total_seconds())
        return sorted(found)


def _took(entry: Entry, run: str) -> bool:
    return entry.action == "run.take" and entry.run == run


def until_it_answers(ask: Callable[[], Any]) -> Any:
    """Ask until PostgreSQL, which a test restarts, answers."""
    from snaphold.errors import LedgerError

    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        try:
            return ask()
        except LedgerError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
