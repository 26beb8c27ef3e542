"""The vCenter simulator of govmomi: built once per checkout from Debian's Go packages, run once per test."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from support.golden import ROOT
from support.needs import missing

USER, PASSWORD = "backup@vsphere.local", "simulated-password"
_SOURCE = Path(__file__).with_name("govmomi_vcenter") / "main.go"
_PACKAGES = Path("/usr/share/gocode")
_FOLDER = ROOT / "build/vsim"
_BUILD_SECONDS = 550


def simulator_program() -> Path:
    """Return the simulator's program; the first test that asks builds it, the others wait for that."""
    compilers = sorted(Path("/usr/lib").glob("go-1.*/bin/go"))
    if not compilers or not (_PACKAGES / "src/github.com/vmware/govmomi/simulator").is_dir():
        missing("golang-1.19-go and golang-github-vmware-govmomi-dev are not installed: there is no vCenter simulator")
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    program = _FOLDER / f"vsim-{digest}"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(compilers[-1], program)
    return program


def _build(compiler: Path, program: Path) -> None:
    beside = program.with_name(program.name + ".new")
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(_FOLDER),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOPATH": str(_PACKAGES),
        "GOCACHE": str(_FOLDER / "cache"),
        "CGO_ENABLED": "0",
    }
    argv = [str(compiler), "build", "-o", str(beside), str(_SOURCE)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    beside.replace(program)


class VCenter:
    """A running simulator. It speaks plain HTTP on this machine; the rig puts TLS before it."""

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)

    def control(self, what: str, **given: str) -> Any:
        """Change or look at what is behind the API; return what it answers."""
        with urlopen(f"http://127.0.0.1:{self.address[1]}/control/{what}?{urlencode(given)}", timeout=240) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def machines(self) -> list[str]:
        """Return the ids of the machines, in a fixed order."""
        found: dict[str, str] = self.control("machines")
        return sorted(found, key=lambda id: (found[id], id))

    def started(self, machine: str) -> int:
        """Return how many snapshots of a machine were begun."""
        return int(self.control("started").get(machine, 0))

    def let_tasks_end(self, fault: str = "") -> None:
        """End every task that makes a snapshot, with a fault of vSphere when one is named."""
        self.control("release", fault=fault)


@contextmanager
def run_vcenter() -> Generator[VCenter]:
    """Run a simulator with four machines for the length of the block."""
    program = simulator_program()
    with subprocess.Popen(
        [str(program), USER, PASSWORD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield VCenter(int(process.stdout.readline()))
        finally:
            process.terminate()
            process.wait(240)
