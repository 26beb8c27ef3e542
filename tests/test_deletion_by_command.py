"""From hold to deletion with the real commands, a real engine and the playbook of the how-to, by two people."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from snaphold.config import load_configuration
from snaphold.evidence.signature import create_key
from snaphold.evidence.trust import write_trust
from snaphold.identity import current_login
from support.needs import need_program
from support.small_estate import CONFIGURATION, INCIDENT, build, snaphold

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[1] / "docs/how-to/retain-and-release.md"
LONGEST_WAIT_SECONDS = 240.0
PEOPLE = """\
people:
  - {id: ana, name: Ana Ruiz, logins: [LOGIN]}
  - {id: bruno, name: Bruno Costa, logins: [LOGIN]}
roles:
  - {name: soc, members: [ana], may: ["backup.st*", "hold.place", "retention.*", "evidence.*"]}
  - {name: legal-counsel, members: [bruno]}
  - {name: deletion, may: [hold.release, backup.delete]}
retention:
  - {keep: 0s, basis: An exercise}
"""


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    need_program("restic")
    folder = build(tmp_path)
    text = CONFIGURATION.partition("people:")[0] + PEOPLE
    (folder / "snaphold.yaml").write_text(text.replace("LOGIN", current_login()))
    (folder / "closed.json").write_text(json.dumps({**INCIDENT, "status": "closed"}))
    public = create_key(folder / "keys/custodian")
    write_trust(load_configuration(folder / "snaphold.yaml"), public, datetime(2020, 1, 1, tzinfo=timezone.utc))
    blocks = re.findall(r"^```yaml\n(apiVersion.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (folder / "delete-restore-point.yaml").write_text(blocks[0])
    return folder


def do(folder: Path, action: str, *words: str, incident: str = "closed.json") -> dict[str, Any]:
    reason = [] if action in ("retention.show", "backup.status") else ["--justification", "An exercise"]
    said = snaphold(folder, "do", action, *words, "--incident", incident, "--as", "ana", "--json", *reason)
    assert said.code in (0, 3), said
    return json.loads(said.out)


def run_playbook(folder: Path, **inputs: str) -> tuple[int, str]:
    """Run the playbook of the page as ana; bruno approves. Returns its exit code and what it wrote."""
    words = [f"--input={name}={value}" for name, value in inputs.items()]
    argv = [sys.executable, "-m", "snaphold", "run", "delete-restore-point.yaml", "--incident", "closed.json", "--as", "ana"]
    argv += ["--json", "--justification", "Retention is over", *words]
    lines: list[str] = []
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            found = re.search(r'"id": ?"(APR-[0-9a-f]+)"', line)
            if found and '"waiting"' in line:
                approved = snaphold(folder, "approvals", "approve", found[1], "--as", "bruno", "--reason", "It is over")
                assert approved.code == 0, approved
        code = process.wait(LONGEST_WAIT_SECONDS)
    return code, "".join(lines)


def test_a_restore_point_goes_when_nothing_keeps_it_and_two_people_say_so(estate: Path) -> None:
    job = do(estate, "backup.start", "--asset", "files-01", incident="incident.json")
    until = time.monotonic() + LONGEST_WAIT_SECONDS
    words = ("--asset", "files-01", "--pool", job["pool"], "--job", job["job"])
    while (status := do(estate, "backup.status", *words, incident="incident.json"))["state"] == "running":
        assert time.monotonic() < until
        time.sleep(0.2)
    point = status["restore_point"]
    (hold,) = do(estate, "hold.place", "--reason", "A court", incident="incident.json")["holds"]
    do(estate, "retention.extend", "--at-least", "1s", incident="incident.json")
    do(estate, "retention.release")
    while len(do(estate, "retention.show")["kept"][0].split(";")) > 1:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert do(estate, "retention.show")["kept"] == [f"{point}: it is held by {hold}"]
    refused = snaphold(
        estate, "do", "backup.delete", "--restore-point", point, "--reason", "over", "--incident", "closed.json", "--as", "ana",
        "--justification", "over",
    )  # fmt: skip
    assert refused.code == 4
    assert "there is no grant in this incident" in refused.err
    assert snaphold(estate, "playbook", "lint", "delete-restore-point.yaml").code == 0
    code, told = run_playbook(estate, holds=hold, restore_point=point, reason="Retention is over")
    assert code == 0, told
    shown = do(estate, "retention.show")
    assert (shown["kept"], shown["free"]) == ([], [])
    assert f"{point}: " in shown["deleted"][0]
    assert "by ana, allowed by bruno: Retention is over" in shown["deleted"][0]
    assert snaphold(estate, "audit", "verify").code == 0
