"""Steps a second of two workers on PostgreSQL, against DBOS alone that carries out the same actions with the same ledger.

Run: python bench/workers.py [RUNS] [STEPS]. The target is 0.8 of DBOS alone. It starts a PostgreSQL of its own, as the tests
do. Writes bench/results/workers.json.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from snaphold.action import AnyAction, Effect, Recovery, Request, Result, action, describe, exercise_with
from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.incident import Incident
from snaphold.domain.outcome import Outcome
from snaphold.domain.people import Actor
from snaphold.engine.plan import Plan, make_plan
from snaphold.execute import execute
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Entry, Event
from snaphold.playbook.load import read_playbook
from snaphold.runtime import Runtime

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
RUNS, STEPS, ROUNDS, WORKERS, AT_ONCE = 40, 10, 3, 2, 8
TARGET = 0.8
QUEUE = "raw"
LONGEST_SECONDS = 300.0
VARIABLE = "SNAPHOLD_BENCH_DATABASE"
RESULT = Path(__file__).parent / "results/workers.json"
HEAD = """apiVersion: snaphold/v1
kind: Playbook
metadata: {name: bench, id: playbook--11111111-1111-4111-8111-111111111111, version: "1.0.0", change_record: CHG1}
steps:
"""


@action("bench.write", title="Do nothing", effect=Effect.WRITES, recovery=Recovery.IDEMPOTENT)
def write(request: Request, context: Context) -> Result:
    """Do nothing, as an action that writes."""
    return Result(outcome=Outcome.SUCCEEDED)


def actions() -> dict[str, AnyAction]:
    """Return the catalogue of the benchmark."""
    entry = describe(write)
    return {entry.name: entry}


def open_bench(folder: Path) -> Runtime:
    """Return the runtime of one process."""
    exercise_with(actions())
    document: dict[str, Any] = {
        "organisation": {"name": "Bench"},
        "database": f"env:{VARIABLE}",
        "tiers": [{"id": "T0", "level": 0, "impact": "None.", "rto": "1h", "rpo": "1h"}],
        "people": [{"id": "ana", "name": "Ana Ruiz", "logins": ["ana"]}],
        "roles": [{"name": "bench", "members": ["ana"], "may": ["bench.*"]}],
    }
    configuration, clock = Configuration.model_validate(document).placed_at(folder), SystemClock()
    actor = Actor(id="ana", name="Ana Ruiz", roles=("bench",), login="ana")
    return Runtime(configuration, DatabaseLedger.open(configuration, clock), clock, actor)


def incident_of(number: int) -> Incident:
    """Return an incident of its own for each run."""
    return Incident.model_validate(
        {
            "id": f"INC-{number}",
            "title": "Bench",
            "severity": 1,
            "category": "bench",
            "assets": ["a"],
            "declared_at": "2026-11-22T18:00:00Z",
        }
    )


def plan_of(number: int, steps: int) -> Plan:
    """Return a run of so many steps, one after another."""
    body = "".join(f"  - {{id: step{index}, do: bench.write}}\n" for index in range(steps))
    return make_plan(read_playbook(HEAD + body, Path("bench.yaml")), {}, {}, incident_of(number))


def wait_for_all(folder: Path, number: int) -> None:
    """Say that this process could begin, and wait until all can: to start a process is no step."""
    (folder / f"ready-{number}").touch()
    deadline = time.monotonic() + LONGEST_SECONDS
    while sum(1 for _ in folder.glob("ready-*")) < WORKERS:
        if time.monotonic() > deadline:
            raise SystemExit("the other worker did not start")
        time.sleep(0.01)


def work(folder: Path, number: int) -> None:
    """Be a worker until SIGTERM."""
    from snaphold.engine.worker import Settings, Worker

    runtime = open_bench(folder)
    worker = Worker(runtime, lambda _: runtime.actor, Settings(at_once=AT_ONCE), sys.exit)
    worker.work(lambda: wait_for_all(folder, number))


def work_raw(folder: Path, number: int) -> None:
    """Be a process that does the same with DBOS alone."""
    from dbos import DBOS, DBOSPortableJSONSerializer

    runtime = open_bench(folder)

    @DBOS.workflow(name="raw")
    def raw(incident: str, steps: int) -> str:
        for index in range(steps):
            DBOS.run_step({"name": f"step{index}"}, act, incident, index)
        return "done"

    def act(incident: str, index: int) -> str:
        context = runtime.context(incident_of(int(incident.partition("-")[2])), key=f"{incident}/bench.step{index}/-/1")
        return str(execute("bench.write", {}, context).outcome.value)

    DBOS(
        config={"name": "raw", "system_database_url": os.environ[VARIABLE], "executor_id": f"raw-{number}",
                "application_version": "raw", "serializer": DBOSPortableJSONSerializer(), "run_migrations": False,
                "log_level": "WARNING"}
    )  # fmt: skip
    DBOS.launch()
    wait_for_all(folder, number)
    DBOS.register_queue(QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=0.1)
    time.sleep(LONGEST_SECONDS * WORKERS)


def measure(url: str, folder: Path, runs: int, steps: int, *, raw: bool) -> float:
    """Return steps a second, from the first intent to the last outcome."""
    os.environ[VARIABLE] = url
    runtime = open_bench(folder)
    if raw:
        _enqueue(url, runs, steps)
    else:
        from snaphold.engine.shared_runs import register_run

        for number in range(1, runs + 1):
            register_run(runtime, plan_of(number, steps))
    argv = [sys.executable, __file__, "raw" if raw else "ours", str(folder)]
    children = [subprocess.Popen([*argv, str(number)]) for number in range(WORKERS)]
    try:
        return _rate(runtime, runs * steps)
    finally:
        for child in children:
            child.kill()
            child.wait()
        runtime.ledger.close()


def _enqueue(url: str, runs: int, steps: int) -> None:
    from dbos import DBOSClient, DBOSPortableJSONSerializer

    client = DBOSClient(system_database_url=url, serializer=DBOSPortableJSONSerializer())
    for number in range(1, runs + 1):
        client.enqueue(
            {"queue_name": QUEUE, "workflow_name": "raw", "workflow_id": f"INC-{number}", "app_version": "raw"},
            f"INC-{number}", steps,
        )  # fmt: skip
    client.destroy()


def _rate(runtime: Runtime, wanted: int) -> float:
    deadline, ended = time.monotonic() + LONGEST_SECONDS, list[Entry]()
    while time.monotonic() < deadline:
        entries = [entry for entry in runtime.ledger.entries() if entry.action == "bench.write"]
        ended = [entry for entry in entries if entry.event is Event.OUTCOME]
        if len(ended) == wanted:
            return wanted / (ended[-1].at - entries[0].at).total_seconds()
        time.sleep(1)
    raise SystemExit(f"only {len(ended)} of {wanted} steps were done in {LONGEST_SECONDS:g} s")


def main() -> None:
    """Measure both, in turns, and write the result."""
    # The server of the tests is no part of the package, so its types are not known here.
    run_postgres: Any = importlib.import_module("support.postgres").run_postgres
    runs, steps = (int(sys.argv[1]) if len(sys.argv) > 1 else RUNS), (int(sys.argv[2]) if len(sys.argv) > 2 else STEPS)
    found: dict[str, list[float]] = {"ours": [], "raw": []}
    with run_postgres() as server:
        for _ in range(ROUNDS):
            for name, rates in found.items():
                with tempfile.TemporaryDirectory() as folder:
                    url = server.url(server.create(server.prepared))
                    rates.append(measure(url, Path(folder), runs, steps, raw=name == "raw"))
    ours, raw = (statistics.median(found[name]) for name in ("ours", "raw"))
    result = {
        "runs": runs, "steps_in_a_run": steps, "workers": WORKERS, "at_once": AT_ONCE, "rounds": ROUNDS,
        "steps_per_second": {"snaphold": round(ours, 1), "dbos_alone": round(raw, 1)}, "ratio": round(ours / raw, 2),
        "target": TARGET, "all": {name: [round(rate, 1) for rate in rates] for name, rates in found.items()},
        "python": platform.python_version(), "machine": f"{os.cpu_count()} cores", "postgresql": "fsync off",
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        work(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["raw"]:
        work_raw(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
