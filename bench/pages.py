"""Measures the server time of every page with 10,000 runs in the register, over HTTP on this machine.

Run: python bench/pages.py [--runs N] [--rounds N] [--out FILE]. The budget is 100 ms for a page at the median of its rounds.
The incidents, approvals, restore points, holds and retentions grow with the runs. Writes bench/results/pages.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import platform
import statistics
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.domain.authority import Approval, ApprovalState, Hold
from snaphold.domain.incident import Incident, IncidentRecord
from snaphold.domain.outcome import Outcome
from snaphold.domain.people import Actor
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Retention
from snaphold.domain.value import Value
from snaphold.engine.run import Run, RunStatus, StepLine
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event, NewEntry
from snaphold.runtime import Runtime
from snaphold.service.server import Listening, Place
from snaphold.service.tokens import create_token

BUDGET_MS = 100.0
LONGEST_SECONDS = 240.0
RESULT = Path(__file__).parent / "results/pages.json"
STEPS = 20
AT_ONCE = 500
PAGES = ("/ui", "/ui?page=50", "/ui/approvals", "/ui/restore-points", "/ui/evidence", "/ui/integrations", "/ui/board")
CONFIGURATION: dict[str, Any] = {
    "organisation": {"name": "Example Ltd"},
    "tiers": [{"id": "T0", "level": 0, "impact": "No orders.", "rto": "1h", "rpo": "15m"}],
    "assets": [{"id": "orders-db", "kind": "database", "tier": "T0", "owner": "orders"}],
    "people": [{"id": "ana", "name": "Ana Ruiz"}, {"id": "ben", "name": "Ben Okoro"}],
    "roles": [{"name": "analyst", "members": ["ana", "ben"], "may": ["*"]}],
    "service": {"requests_per_second": 100_000.0, "burst": 1_000_000},
}


def records_of(number: int, runtime: Runtime) -> list[Value]:
    """Return everything that one incident leaves in the registers."""
    now = runtime.clock.now() - timedelta(minutes=number)
    id = f"INC-{number:06d}"
    told = Incident(
        id=id, title="Ransomware", severity=1, category="ransomware", declared_at=now, assets=("orders-db",)
    )  # fmt: skip
    line = StepLine(step="a/b", title="Start the backup", what="backup.start", outcome="succeeded", seconds=1.5)
    point = RestorePoint(
        id=f"RP-{number:08d}", incident=id, asset="orders-db", pool="isolated-01", provider="restic", engine="restic 0.14.0",
        reference="0a1b2c3d", key=f"{id}/a/orders-db/1", taken_at=now, outcome=Outcome.SUCCEEDED, size=4096, files=4,
        encryption="AES-256", consistency="application-consistent",
    )  # fmt: skip
    return [
        IncidentRecord(id=id, incident=id, declared=told, told_by="ana", told_at=now),
        Run(
            id=f"RUN-{number:08d}", incident=id, playbook="ransomware-response", version="1.0.0", digest="0" * 64,
            status=RunStatus.DONE, requested_by="ana", started_at=now, ended_at=now, steps=(line,) * STEPS,
        ),
        point,
        Retention(
            id=point.id, incident=id, subject_kind="restore_point", until=now, reason="Policy", set_by="ana", set_at=now,
            enforced_by="register only",
        ),
        Hold(
            id=f"HOLD-{number:08d}", incident=id, subject=point.id, subject_kind="restore_point", reason="Case",
            placed_by="ana", placed_at=now, released_at=now if number % 100 else None,
        ),
        Approval(
            id=f"APR-{number:08d}", incident=id, run=f"RUN-{number:08d}", step="gate", ask="Go on?", asked_of="group/analyst",
            requested_by="ben", requested_at=now, expires_at=now + timedelta(days=9),
            state=ApprovalState.APPROVED if number % 100 else ApprovalState.WAITING,
        ),
    ]  # fmt: skip


def fill(runtime: Runtime, runs: int) -> None:
    """Put so many runs, each with its incident, into the registers."""
    waiting: list[Value] = []
    for number in range(runs):
        waiting += records_of(number, runtime)
        if len(waiting) >= AT_ONCE or number == runs - 1:
            entry = NewEntry(event=Event.RUN, actor="ana", incident=f"INC-{number:06d}", run=f"RUN-{number:08d}", action="fill")
            runtime.ledger.append(entry, waiting)
            waiting = []


def sign_in(address: str, token: str) -> str:
    """Return the cookie of a session."""
    connection = http.client.HTTPConnection(address, timeout=LONGEST_SECONDS)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": f"http://{address}",
        "Sec-Fetch-Site": "same-origin",
    }
    connection.request("POST", "/ui/sign-in", urlencode({"token": token}), headers)
    reply = connection.getresponse()
    reply.read()
    return (reply.getheader("Set-Cookie") or "").partition(";")[0]


def measure(address: str, cookie: str, page: str, rounds: int) -> list[float]:
    """Return the milliseconds of each fetch of a page. The first, which fills what the service keeps ready, is left out."""
    times: list[float] = []
    for _ in range(rounds + 1):
        connection = http.client.HTTPConnection(address, timeout=LONGEST_SECONDS)
        began = time.perf_counter()
        connection.request("GET", page, headers={"Cookie": cookie})
        reply = connection.getresponse()
        body = reply.read()
        times.append((time.perf_counter() - began) * 1000)
        connection.close()
        if reply.status != 200:
            raise SystemExit(f"{page}: {reply.status} {body[:500]!r}")
    return times[1:]


def run(folder: Path, runs: int, rounds: int) -> dict[str, Any]:
    """Fill a register, serve it, and return what each page took."""
    configuration = Configuration.model_validate(CONFIGURATION).placed_at(folder)
    clock = SystemClock()
    ana = Actor(id="ana", name="Ana Ruiz", roles=("analyst",))
    runtime = Runtime(configuration, DatabaseLedger.open(configuration, clock), clock, ana)
    fill(runtime, runs)
    token = create_token(runtime, "ana", may_approve=True)[1]
    listening = Listening(runtime, folder / "snaphold.yaml", Place(port=0))
    thread = threading.Thread(target=listening.serve)
    thread.start()
    try:
        address = listening.url.partition("://")[2]
        cookie = sign_in(address, token)
        last = runs - 1
        pages = (*PAGES, f"/ui/incidents/INC-{last:06d}", f"/ui/runs/RUN-{last:08d}", f"/ui/approvals/APR-{0:08d}")
        found = {page: measure(address, cookie, page, rounds) for page in pages}
    finally:
        listening.stop()
        thread.join()
        runtime.ledger.close()
    return {
        page: {"median_ms": round(statistics.median(times), 1), "most_ms": round(max(times), 1)} for page, times in found.items()
    }


def main() -> int:
    """Measure, print and keep the result; 1 when a page is over the budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pages = run(Path(folder), given.runs, given.rounds)
    slow = sorted(page for page, times in pages.items() if times["median_ms"] > BUDGET_MS)
    result = {
        "runs": given.runs, "rounds": given.rounds, "budget_ms": BUDGET_MS, "pages": pages, "over_budget": slow,
        "python": platform.python_version(), "machine": platform.platform(),
    }  # fmt: skip
    text = json.dumps(result, indent=2) + "\n"
    given.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
