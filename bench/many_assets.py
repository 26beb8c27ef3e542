"""One incident with thousands of assets: seconds for each asset, and the peak memory of the process that drives the run.

Run: python bench/many_assets.py [--full]. A playbook as the shipped ones do it (classify, order, check, then wave by wave
the backup of each asset with its status, then hold, retention and report) against a simulated backup product that answers
at once: with PostgreSQL in a `snaphold worker`, with SQLite in a `snaphold run`. Targets: at most 300 MB; an asset of the
largest incident takes at most 1.3 times as long as one of the smallest; no page of the service takes more than 100 ms. It
starts a PostgreSQL of its own, as the tests do. Writes bench/results/many_assets.json.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import itertools
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from snaphold.clock import Clock, SystemClock, parse_time
from snaphold.config import Configuration, Pool, load_configuration
from snaphold.domain.asset import Asset
from snaphold.domain.incident import Incident
from snaphold.domain.outcome import Outcome
from snaphold.domain.people import Actor
from snaphold.domain.restore_point import RestorePoint
from snaphold.engine.run import Run
from snaphold.evidence.signature import create_key
from snaphold.ledger.database import DatabaseLedger
from snaphold.providers.base import (
    BackupOrder,
    Capability,
    Capacity,
    Description,
    Estimate,
    Health,
    JobState,
    JobStatus,
    Support,
    Verb,
    Workload,
)
from snaphold.providers.vendor import restore_point_id
from snaphold.runtime import Runtime
from snaphold.service.server import Listening, Place
from snaphold.service.tokens import create_token

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
SIZES, FULL_SIZES = (250, 1_000), (1_000, 2_500, 5_000, 10_000)
STORES = ("postgresql", "sqlite")
AT_ONCE = 16
MOST_MB, MOST_RATIO, MOST_PAGE_MS = 300.0, 1.3, 100.0
PAGE_ROUNDS = 5
IDLE_CPU_SECONDS = 2.0
"""What a process takes to begin, whatever the incident."""
LONGEST_SECONDS = 7200.0
VARIABLE, STARTS, USED = "SNAPHOLD_BENCH_DATABASE", "starts.txt", "used.json"
RESULT = Path(__file__).parent / "results/many_assets.json"
HEAD = """apiVersion: snaphold/v1
kind: Playbook
metadata: {{name: {name}, id: playbook--{digit}1111111-1111-4111-8111-111111111111, version: "1.0.0", change_record: CHG1}}
"""
PLAYBOOKS = {
    "bench": """inputs:
  assets: {type: list, default: [], description: The assets; empty means those of the incident.}
steps:
  - {id: classify, do: triage.classify_assets, with: {assets: $inputs.assets}, out: {assets: list, top_tier: string}}
  - {id: order, do: triage.order_by_dependency, with: {assets: $classify.assets}, out: {waves: list, ordered: list}}
  - {id: health, do: backup.check_health, with: {assets: $order.ordered}, out: {healthy: boolean}}
  - {id: capacity, do: backup.check_capacity, with: {assets: $order.ordered}, out: {route: string}}
  - {id: authority, do: authority.check_emergency, with: {assets: $order.ordered}, out: {approvals: integer}}
  - {id: back_up, call: bench-wave, for_each: $order.waves, with: {assets: $item}}
  - {id: hold, do: hold.place, with: {reason: Bench}}
  - {id: keep, do: retention.extend}
  - {id: report, do: report.summary}
""",
    "bench-wave": f"""inputs:
  assets: {{type: list, required: true, description: The assets of the wave.}}
steps:
  - {{id: each, call: bench-asset, for_each: $inputs.assets, at_once: {AT_ONCE}, with: {{asset: $item}}}}
""",
    "bench-asset": """inputs:
  asset: {type: string, required: true, description: The asset.}
steps:
  - id: start
    do: backup.start
    with: {asset: $inputs.asset}
    out: {pool: string, job: string, restore_point: string}
    poll:
      do: backup.status
      with: {asset: $inputs.asset, pool: $start.pool, job: $start.job}
      until: $result.state == "done"
      fail: $result.state == "failed"
      every: 2s
      within: 6h
""",
}
DESCRIPTION = Description(
    provider="bench",
    engine="bench 1",
    proved_on="nothing",
    capabilities={
        verb: Capability(support=Support.UNSUPPORTED, detail="it is simulated") for verb in (Verb.HOLD, Verb.SET_RETENTION)
    },
)
_orders: dict[str, tuple[str, str]] = {}
"""Key and asset of each job that was started in this process."""


class Bench:
    """A backup product that answers at once, and writes each start into a file, so that they can be counted."""

    def __init__(self, pool: Pool, configuration: Configuration, incident: str, clock: Clock) -> None:
        self.pool = pool
        self.configuration = configuration
        self.incident = incident
        self.clock = clock

    def describe(self) -> Description:
        """See `Provider.describe`."""
        return DESCRIPTION

    def find_workload(self, asset: Asset) -> Workload:
        """See `Provider.find_workload`."""
        return Workload(asset=asset.id, name=asset.id)

    def check_health(self) -> Health:
        """See `Provider.check_health`."""
        return Health(fit=True)

    def capacity(self) -> Capacity:
        """See `Provider.capacity`."""
        return Capacity(total=10**15, free=10**15)

    def estimate(self, workload: Workload) -> Estimate:
        """See `Provider.estimate`."""
        return Estimate(bytes=1024, files=1, method="as configured")

    def find_started(self, key: str) -> str | None:
        """See `Provider.find_started`."""
        return job_of(key) if job_of(key) in _orders else None

    def start(self, order: BackupOrder) -> str:
        """See `Provider.start`."""
        job = job_of(order.key)
        _orders[job] = (order.key, order.workload.asset)
        with (self.configuration.state_folder / STARTS).open("a", encoding="utf-8") as starts:
            starts.write(order.key + "\n")
        return job

    def status(self, job: str) -> JobStatus:
        """See `Provider.status`."""
        key, asset = _orders[job]
        point = RestorePoint(
            id=restore_point_id(asset, key), incident=self.incident, asset=asset, pool=self.pool.name, provider="bench",
            engine="bench 1", reference=job, key=key, taken_at=self.clock.now(), outcome=Outcome.SUCCEEDED, size=1024, files=1,
            encryption="none", consistency="crash-consistent",
        )  # fmt: skip
        return JobStatus(
            job=job, state=JobState.DONE, outcome=Outcome.SUCCEEDED, bytes_done=1024, bytes_total=1024, restore_point=point
        )


def job_of(key: str) -> str:
    """Return the job that is started under a key."""
    return f"JOB-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def connect(pool: Pool, configuration: Configuration, incident: str, clock: Clock) -> Bench:
    """Return the simulated product as the adapter of a pool."""
    return Bench(pool, configuration, incident, clock)


def be_snaphold(folder: Path, arguments: Sequence[str]) -> int:
    """Be the program itself with the simulated product; leave in a file what memory and time of the processor it took."""
    from snaphold.cli.main import main as snaphold

    sys.modules["snaphold.providers.bench"] = sys.modules[__name__]
    try:
        return snaphold(list(arguments))
    finally:
        times = os.times()
        used = {"peak_mb": round(peak_of("self"), 1), "cpu_seconds": round(times.user + times.system, 1)}
        (folder / USED).write_text(json.dumps(used), encoding="utf-8")


def peak_of(process: int | str) -> float:
    """Return the most memory (MB, resident) that a process has had; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), default=0.0)


def make_site(folder: Path, size: int, store: str) -> Path:
    """Write a configuration with so many assets, the playbooks and the incident; return the configuration's path."""
    names = [f"asset-{number:05}" for number in range(size)]
    database = {"database": f"env:{VARIABLE}"} if store == "postgresql" else {}
    document: dict[str, Any] = {
        **database,
        "organisation": {"name": "Bench"},
        "playbooks": "playbooks",
        "tiers": [{"id": f"T{level}", "level": level, "impact": "None.", "rto": "1h", "rpo": "1h"} for level in range(3)],
        "classification": [
            {"name": "databases", "match": {"kinds": ["database"]}, "tier": "T0", "why": "Databases hold the records."}
        ],
        # Each tenth asset is a database that the nine after it need: two waves, a tenth of all in the first.
        "assets": [
            {"id": name, "kind": "database", "owner": "bench", "data_classes": ["personal-data"], "tags": {"site": "north"}}
            if number % 10 == 0
            else {"id": name, "kind": "server", "tier": "T1", "owner": "bench", "depends_on": [names[number // 10 * 10]]}
            for number, name in enumerate(names)
        ],
        "pools": [{"name": name, "provider": "bench", "location": name} for name in ("isolated-01", "isolated-02")],
        "routes": [{"tiers": ["T0", "T1", "T2"], "primary": "isolated-01", "alternate": "isolated-02"}],
        "people": [{"id": "ana", "name": "Ana Ruiz", "logins": [_login()]}],
        "roles": [{"name": "bench", "members": ["ana"], "may": ["*"]}],
    }
    path = folder / "snaphold.yaml"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    (folder / "playbooks").mkdir()
    for digit, (name, body) in enumerate(PLAYBOOKS.items(), start=1):
        text = HEAD.format(name=name, digit=digit) + body
        (folder / f"playbooks/{name}.yaml").write_text(text, encoding="utf-8")
    incident = {
        "id": "INC-1", "title": "Bench", "severity": 1, "category": "bench", "assets": names,
        "declared_at": (datetime.now(timezone.utc) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    (folder / "incident.json").write_text(json.dumps(incident), encoding="utf-8")
    create_key(folder / "keys/custodian")
    return path


def _login() -> str:
    import getpass

    return getpass.getuser()


def measure(folder: Path, size: int, store: str) -> dict[str, Any]:
    """Respond to one incident with so many assets; return seconds and memory."""
    path = make_site(folder, size, store)
    began = time.monotonic()
    configuration = load_configuration(path)
    configuration.state_folder.mkdir(parents=True, exist_ok=True)
    actor = Actor(id="ana", name="Ana Ruiz", roles=("bench",), login=_login())
    runtime = Runtime(configuration, DatabaseLedger.open(configuration, SystemClock()), SystemClock(), actor)
    me = [sys.executable, __file__, "be-snaphold", str(folder)]
    if store == "postgresql":
        _register(runtime, folder)
        command = [*me, "worker", "--config", str(path), "--quiet"]
    else:
        command = [*me, "run", "bench", "--config", str(path), "--incident", str(folder / "incident.json"), "--json"]
    with (folder / "out.txt").open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            run = _wait(runtime, child, folder, store)
            whole = time.monotonic() - began
            if store == "postgresql":
                child.send_signal(signal.SIGTERM)
            child.wait(120)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if run.status.value != "done":
        raise SystemExit(f"{run.status.value}: {run.why}")
    starts = (configuration.state_folder / STARTS).read_text(encoding="utf-8").splitlines()
    if len(starts) != size or len(set(starts)) != size:
        raise SystemExit(f"{len(starts)} starts of {len(set(starts))} keys, {size} assets")
    found = {**_told(runtime, run, size), "pages_ms": _pages(runtime, run, folder)}
    runtime.ledger.close()
    used = json.loads((folder / USED).read_text(encoding="utf-8"))
    used["cpu_ms_per_asset"] = round((used["cpu_seconds"] - IDLE_CPU_SECONDS) / size * 1000, 2)
    return {"assets": size, **found, "seconds_whole": round(whole, 1), **used}


def _register(runtime: Runtime, folder: Path) -> None:
    from snaphold.engine.plan import make_plan
    from snaphold.engine.shared_runs import register_run
    from snaphold.playbook.lint import load_checked

    loaded, parts = load_checked("bench", runtime.configuration)
    incident = Incident.model_validate_json((folder / "incident.json").read_bytes())
    register_run(runtime, make_plan(loaded, parts, {}, incident))


def _wait(runtime: Runtime, child: subprocess.Popen[bytes], folder: Path, store: str) -> Run:
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        gone = child.poll() is not None
        run = next(iter(runtime.ledger.records(Run, "INC-1")), None)
        if run is not None and run.has_ended and (gone or store == "postgresql"):
            return run
        if gone:
            break
        time.sleep(1)
    told = (folder / "out.txt").read_text(encoding="utf-8", errors="replace")[-3000:]
    raise SystemExit(f"the run did not end: {told}")


def _told(runtime: Runtime, run: Run, size: int) -> dict[str, Any]:
    """Return what the audit trail says: seconds for all, and for each asset among the first and the last tenth."""
    fields = [one for one in runtime.ledger.each_stored(run=run.id) if one["event"] == "outcome"]
    ended = [parse_time(one["at"]) for one in fields if one["action"] == "backup.start"]
    tenth = size // 10
    seconds = ((run.ended_at or run.started_at) - parse_time(fields[0]["at"])).total_seconds()
    others = {
        one["action"]: (parse_time(one["at"]) - parse_time(before["at"])).total_seconds()
        for before, one in itertools.pairwise(fields)
        if not one["action"].startswith("backup.st")
    }
    return {
        "seconds": round(seconds, 1),
        "ms_per_asset": round(seconds / size * 1000, 2),
        "ms_per_asset_first_tenth": round((ended[tenth] - ended[0]).total_seconds() / tenth * 1000, 2),
        "ms_per_asset_last_tenth": round((ended[-1] - ended[-1 - tenth]).total_seconds() / tenth * 1000, 2),
        "seconds_of_steps": {name: round(value, 2) for name, value in others.items()},
    }


def _pages(runtime: Runtime, run: Run, folder: Path) -> dict[str, float]:
    """Return the median milliseconds of the pages that show this incident."""
    pages: Any = importlib.import_module("pages")
    token = create_token(runtime, "ana", may_approve=True)[1]
    listening = Listening(runtime, folder / "snaphold.yaml", Place(port=0))
    thread = threading.Thread(target=listening.serve)
    thread.start()
    try:
        address = listening.url.partition("://")[2]
        cookie = pages.sign_in(address, token)
        places = ("/ui", "/ui/restore-points", f"/ui/incidents/{run.incident}", f"/ui/runs/{run.id}")
        return {place: round(statistics.median(pages.measure(address, cookie, place, PAGE_ROUNDS)), 1) for place in places}
    finally:
        listening.stop()
        thread.join()


def judge(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the ratio of the largest to the smallest incident, and whether the targets are met."""
    first, last = found[0], found[-1]
    ratio = round(last["ms_per_asset"] / first["ms_per_asset"], 2)
    peak = max(one["peak_mb"] for one in found)
    # A few assets take less than a process needs to begin: then there is nothing to compare with.
    cpu = round(last["cpu_ms_per_asset"] / first["cpu_ms_per_asset"], 2) if first["cpu_ms_per_asset"] > 0 else None
    page = max(value for one in found for value in one["pages_ms"].values())
    met = ratio <= MOST_RATIO and peak <= MOST_MB and page <= MOST_PAGE_MS
    return {"ratio": ratio, "cpu_ratio": cpu, "peak_mb": peak, "slowest_page_ms": page, "met": met, "sizes": found}


def main() -> int:
    """Measure, print and keep the result; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--full", action="store_true", help=f"{FULL_SIZES} assets in place of {SIZES}; takes half an hour")
    parser.add_argument("--sizes", default="", help="other numbers of assets, with commas")
    parser.add_argument("--stores", default=",".join(STORES), help="postgresql, sqlite or both")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    sizes = [int(text) for text in given.sizes.split(",") if text] or list(FULL_SIZES if given.full else SIZES)
    result: dict[str, Any] = {
        "at_once": AT_ONCE, "target_mb": MOST_MB, "target_ratio": MOST_RATIO, "target_page_ms": MOST_PAGE_MS,
        "python": platform.python_version(), "machine": f"{os.cpu_count()} cores", "server": "fsync off",
    }  # fmt: skip
    # The server of the tests is no part of the package, so its types are not known here.
    run_postgres: Any = importlib.import_module("support.postgres").run_postgres if "postgresql" in given.stores else None
    for store in given.stores.split(","):
        found: list[dict[str, Any]] = []
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder, run_postgres() if run_postgres else nullcontext() as server:
                if server is not None and store == "postgresql":
                    os.environ[VARIABLE] = server.url(server.create(server.prepared))
                found.append(measure(Path(folder), size, store))
            sys.stderr.write(f"{store}: {json.dumps(found[-1])}\n")
        result[store] = judge(found)
    result["load_average"] = round(os.getloadavg()[2], 1)
    text = json.dumps(result, indent=2) + "\n"
    given.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0 if all(result[store]["met"] for store in given.stores.split(",")) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["be-snaphold"]:
        sys.exit(be_snaphold(Path(sys.argv[2]), sys.argv[3:]))
    sys.exit(main())
