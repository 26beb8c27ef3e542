"""From a delivery to a run, with the real service, and one that was accepted by a service that was killed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import requests

from snaphold.clock import SystemClock, format_time
from support.service_process import Serving
from support.small_estate import build, snaphold
from support.webhook_lab import SECRET, signature

PLAYBOOK = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: told
  id: playbook--33333333-3333-4333-8333-333333333333
  version: "1.0.0"
  change_record: CHG1
steps:
  - id: look
    title: Classify
    do: triage.classify_assets
"""
MORE = """playbooks: playbooks
severities: [{severity: 1, playbook: told}]
webhooks:
  - {name: siem, kind: generic, mapping: siem.yaml, secrets: ["env:SNAPHOLD_TEST_WEBHOOK"], person: ana, severity: 1}
"""


@pytest.mark.slow
def test_a_delivery_starts_its_run_also_when_the_service_is_killed_after_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPHOLD_TEST_WEBHOOK", SECRET)
    folder = build(tmp_path)
    (folder / "snaphold.yaml").write_text((folder / "snaphold.yaml").read_text() + MORE)
    (folder / "siem.yaml").write_text("incident: id\nassets: hosts\noccurred_at: at\n")
    (folder / "playbooks").mkdir()
    (folder / "playbooks/told.yaml").write_text(PLAYBOOK)
    made = snaphold(folder, "token", "create", "--person", "ana", "--json")
    token = {"Authorization": f"Bearer {json.loads(made.out)['token']}"}

    def send(url: str, id: str) -> requests.Response:
        body = json.dumps({"id": id, "hosts": ["files-01"], "at": format_time(SystemClock().now())}).encode()
        headers = {"Content-Type": "application/json", "X-Snaphold-Signature": signature(body)}
        return requests.post(f"{url}/v1/webhooks/siem", data=body, headers=headers, timeout=240)

    def send_until_accepted(url: str, id: str) -> None:
        """A loaded machine may ask for a repeat, as it does of every source."""
        deadline = time.monotonic() + 240
        while (reply := send(url, id)).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert reply.status_code in (200, 202), reply.text

    first = Serving(folder)
    try:
        send_until_accepted(first.url, "case-1")
        send_until_accepted(first.url, "case-2")
    finally:
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.communicate(timeout=240)
    second = Serving(folder)
    try:
        deadline = time.monotonic() + 240
        runs: list[dict[str, str]] = []
        while time.monotonic() < deadline:
            runs = requests.get(f"{second.url}/v1/runs", headers=token, timeout=240).json()["runs"]
            if sorted(run["incident"] for run in runs if run["ended_at"]) == ["siem-case-1", "siem-case-2"]:
                break
            time.sleep(0.2)
        assert [(run["status"], run["requested_by"]) for run in runs] == [("done", "ana")] * 2, runs
    finally:
        second.end()
    trail = snaphold(folder, "audit", "verify")
    assert trail.code in (0, 3), trail.err
