from __future__ import annotations

import json
from pathlib import Path

import pytest

from snaphold.cli.main import main


def test_the_sample_that_is_printed_passes_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)
    assert main(["config", "sample"]) == 0
    sample = capfdbinary.readouterr().out
    assert b"password: file:keys/isolated-01" in sample, "the sample was taken for a secret"
    (tmp_path / "snaphold.yaml").write_bytes(sample)
    assert main(["config", "check"]) == 3
    out = capfdbinary.readouterr().out.decode()
    assert "isolated-01 (restic)" in out
    assert "the signing key is missing" in out
    assert "snaphold.yaml is valid; " in out


def test_the_check_gives_one_json_document(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("organisation: {name: X}\ntiers:\n  - {id: T0, level: 0, impact: a, rto: 1h, rpo: 1h}\n")
    assert main(["config", "check", "--config", str(path), "--json"]) == 3
    document = json.loads(capfd.readouterr().out)
    assert document["contents"]["tiers"] == 1
    assert {"part": "routes", "text": "no route for T0"} in document["findings"]


def test_a_faulty_configuration_is_bad_input(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("organisation: {name: X}\n")
    assert main(["config", "check", "--config", str(path)]) == 2
    assert "c.yaml:1:1: tiers: is missing" in capfd.readouterr().err


@pytest.mark.parametrize("document", ["configuration", "incident", "playbook"])
def test_schemas_are_printed_whole(document: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["config", "schema", document]) == 0
    assert json.loads(capfdbinary.readouterr().out)["$schema"].startswith("https://json-schema.org/")


def test_the_schema_of_the_configuration_is_the_default(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["title"] == "Snaphold configuration"
