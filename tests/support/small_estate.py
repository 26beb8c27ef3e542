"""One file share, one pool, one person: enough to run real commands against real engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snaphold.identity import current_login

CONFIGURATION = """\
organisation: {name: Example Ltd}
tiers:
  - {id: T0, level: 0, impact: No orders can be taken, rto: 1h, rpo: 15m}
assets:
  - {id: files-01, kind: file-share, tier: T0, owner: team-files, protection: {paths: [share]}}
pools:
  - {name: isolated-01, provider: restic, location: pools/isolated-01, password: "file:keys/isolated-01", reserve: 0.0}
routes:
  - {tiers: [T0], primary: isolated-01}
people:
  - {id: ana, name: Ana Ruiz, logins: [LOGIN]}
roles:
  - {name: soc, members: [ana], may: ["*"]}
"""
INCIDENT = {
    "id": "INC-1",
    "title": "Ransomware on the file server",
    "severity": 1,
    "category": "ransomware",
    "declared_at": "2026-11-22T18:00:00Z",
    "assets": ["files-01"],
}


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


def build(folder: Path) -> Path:
    """Make the estate in an empty folder and return it."""
    (folder / "snaphold.yaml").write_text(CONFIGURATION.replace("LOGIN", current_login()))
    (folder / "incident.json").write_text(json.dumps(INCIDENT))
    (folder / "share").mkdir()
    (folder / "share/orders.csv").write_text("order,amount\n1,10\n")
    (folder / "keys").mkdir(mode=0o700)
    (folder / "keys/isolated-01").write_text("a-long-test-password\n")
    (folder / "keys/isolated-01").chmod(0o600)
    return folder


def snaphold(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> Said:
    """Run the real command line in the folder, as a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SNAPHOLD_")}
    done = subprocess.run(
        [sys.executable, "-m", "snaphold", *words],
        cwd=folder,
        env={**clean, "HOME": str(folder), "COLUMNS": "80", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
