"""`snaphold simulate`: lists, serves, records, ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snaphold import http
from snaphold.cli.main import main


def test_without_a_name_systems_and_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate"]) == 0
    shown = capsys.readouterr().out
    assert "pagerduty" in shown
    assert "reset_after" in shown


@pytest.mark.parametrize(
    "words", [["pagerduti"], ["pagerduty", "--fault", "eror"], ["pagerduty", "--port", "99999"], ["pagerduty", "--for", "soon"]]
)
def test_wrong_input_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *words]) == 2
    assert capsys.readouterr().err


def test_it_serves_with_its_faults_until_interrupted_and_writes_the_record(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    words = ["simulate", "pagerduty", "--json", "--folder", str(tmp_path / "tls"), "--record", str(record), "--fault", "error"]
    process = subprocess.Popen(
        [sys.executable, "-m", "snaphold", *words], stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    headers = {"Authorization": f"Token token={ready['credentials']['token']}"}
    ca_file = Path(ready["ca_file"])
    statuses = [
        http.send("POST", ready["url"] + "/incidents", body=b"{}", headers=headers, ca_file=ca_file, timeout=240).status,
        http.send("GET", ready["url"] + "/abilities", headers=headers, ca_file=ca_file, timeout=240).status,
    ]
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == 0
    process.stdout.close()
    assert statuses == [500, 200]
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    assert [(line["path"], line["fault"], line["status"]) for line in lines] == [
        ("/incidents", "error", 500),
        ("/abilities", "", 200),
    ]
    assert ready["credentials"]["token"] not in record.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["pagerduty", "servicenow"])
def test_a_platform_has_an_incident_to_practise_on(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", name, "--for", "0s", "--folder", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["holds"].startswith("incident ")


def test_it_ends_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "pagerduty", "--for", "0s", "--folder", str(tmp_path)]) == 0
    assert "https://127.0.0.1:" in capsys.readouterr().out
