"""A run is killed inside the start of a real restic backup and taken up again: there is one job and one snapshot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.needs import need_program
from support.small_estate import build, snaphold

pytestmark = pytest.mark.slow
PROGRAM = """
import functools, importlib, os, signal, sys
module, owner, name, when = sys.argv[1].split(":")
place = importlib.import_module(module)
place = getattr(place, owner) if owner else place
inner = getattr(place, name)

@functools.wraps(inner)
def outer(*args, **kwargs):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    inner(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(place, name, outer)
from snaphold.cli.main import main
main(sys.argv[2:])
"""
RUN = ("run", "snapshot-asset", "--incident", "incident.json", "--input", "asset=files-01", "--json")
LEDGER = "snaphold.ledger.database:DatabaseLedger"
JOBS = "snaphold.providers.jobs"
POINTS = {
    "before the intent": f"{LEDGER}:claim:before",
    "after the intent": f"{LEDGER}:claim:after",
    "after the job's folder": "snaphold.providers.job_folder:JobFolder:publish_order:before",
    "after the job's order": "snaphold.providers.job_folder:JobFolder:publish_order:after",
    "after the launch": f"{JOBS}::_launch:after",
    "after the start, before its record": f"{LEDGER}:settle:before",
    "after the record": f"{LEDGER}:settle:after",
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_backup_is_started_once_wherever_its_run_is_killed(point: str, tmp_path: Path) -> None:
    restic = need_program("restic")
    folder = build(tmp_path)
    killed = subprocess.run([sys.executable, "-c", PROGRAM, point, *RUN], cwd=folder, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run = json.loads(killed.stdout.splitlines()[0])["run"]
    resumed = snaphold(folder, "runs", "resume", run)
    assert resumed.code == 0, resumed.out + resumed.err
    assert len(list((folder / "state/jobs").glob("JOB-*"))) == 1
    environment = {**os.environ, "RESTIC_PASSWORD_FILE": str(folder / "keys/isolated-01")}
    asked = [restic, "--repo", str(folder / "pools/isolated-01/INC-1"), "--no-lock", "--json", "snapshots"]
    listed = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    assert len(json.loads(listed.stdout)) == 1
