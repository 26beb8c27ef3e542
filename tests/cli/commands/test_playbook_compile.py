"""`snaphold playbook compile`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snaphold.cli.main import main
from snaphold.targets.cacao_signature import verify_cacao
from support.every_construct import ASSET_JOB
from support.needs import need_program
from support.playbooks import HEAD, shipped_files

CLEAN = "steps:\n  - {id: a, title: Write it, do: report.summary}\n"


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder without a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)


def write(name: str, body: str = CLEAN, id: str = "1") -> str:
    head = HEAD.replace("name: trial", f"name: {Path(name).stem}").replace("11111111-1111", f"{id * 8}-1111")
    Path(name).write_text(head + body)
    return name


def test_files_and_report_are_written_and_the_losses_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Path("asset-job.yaml").write_text(ASSET_JOB)
    assert main(["playbook", "compile", "asset-job.yaml", "--target", "cacao", "--out", "out"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "TARGET PLACE CONSTRUCT WHAT IS LOST OR ONLY APPROXIMATED"
    assert lines[1].startswith("cacao asset-job.yaml:4:3 metadata the date is made from the version")
    assert lines[-1] == "2 files in out"
    report = json.loads(Path("out/losses.json").read_text())
    assert [loss["construct"] for loss in report["losses"]] == ["metadata"]
    assert json.loads(Path("out/cacao/asset-job.json").read_text())["name"] == "asset-job"


def test_a_runbook_without_gates_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "compile", write("plain.yaml"), "--target", "runbook", "--out", "out", "--strict"]) == 0
    assert capsys.readouterr().out == "nothing is lost\n\n3 files in out\n"


def test_strict_refuses_with_every_loss_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "compile", "ransomware-response", "--target", "cacao", "--out", "out", "--strict"]) == 2
    told = capsys.readouterr().err
    assert "cacao cannot express retry" in told
    assert "cacao cannot express quorum" not in told
    assert "without --strict" in told
    assert not Path("out").exists()


def test_an_unknown_target_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "compile", write("plain.yaml"), "--target", "runbok", "--out", "out"]) == 2
    assert 'did you mean "runbook"?' in capsys.readouterr().err
    assert not Path("out").exists()


def test_two_playbooks_with_one_id_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    names = [write("one.yaml"), write("two.yaml")]
    assert main(["playbook", "compile", *names, "--target", "runbook", "--out", "out"]) == 2
    assert "two.yaml:5:7" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_playbook_with_faults_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    name = write("wrong.yaml", "steps:\n  - {id: a, do: report.sumary}\n")
    assert main(["playbook", "compile", name, "--target", "runbook", "--out", "out"]) == 2
    assert "wrong.yaml:9:17" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_folder_of_somebody_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    assert main(["playbook", "compile", write("plain.yaml"), "--target", "runbook", "--out", "out"]) == 2
    assert "were not compiled" in capsys.readouterr().err
    assert [path.name for path in Path("out").iterdir()] == ["mine.txt"]


def test_a_new_build_replaces_the_whole_old_one() -> None:
    one, two = write("one.yaml"), write("two.yaml", id="2")
    assert main(["playbook", "compile", one, two, "--target", "runbook", "--out", "out"]) == 0
    assert main(["playbook", "compile", two, "--target", "runbook", "--out", "out"]) == 0
    assert sorted(path.name for path in Path("out/runbook").iterdir()) == ["two.html", "two.md"]


def test_json_lists_files_and_losses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "compile", write("plain.yaml"), "--target", "cacao", "--out", "out", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == ["cacao/plain.json", "losses.json"]
    assert document["targets"] == ["cacao"]
    assert document["losses"][0]["target"] == "cacao"


def test_a_signed_export_verifies_and_only_cacao_is_signed(capsys: pytest.CaptureFixture[str]) -> None:
    openssl = need_program("openssl")
    subprocess.run([openssl, "genpkey", "-quiet", "-algorithm", "ED25519", "-out", "key.pem"], check=True)
    name = write("plain.yaml")
    assert main(["playbook", "compile", name, "--target", "cacao", "--out", "out", "--sign", "key.pem"]) == 0
    made = json.loads(Path("out/cacao/plain.json").read_text())
    verify_cacao(made, made["signatures"][0])
    capsys.readouterr()
    assert main(["playbook", "compile", name, "--target", "runbook", "--out", "two", "--sign", "key.pem"]) == 2
    assert "only CACAO can be signed" in capsys.readouterr().err


@pytest.mark.slow
def test_all_shipped_playbooks_to_all_targets_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    names = [path.stem for path in shipped_files() if path.parent.name != "parts"]
    made: list[dict[str, bytes]] = []
    for seed, folder in (("1", tmp_path / "one"), ("4242", tmp_path / "two")):
        folder.mkdir()
        command = [sys.executable, "-m", "snaphold", "playbook", "compile", *names, "--target", "all", "--out", "out"]
        subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        out = folder / "out"
        made.append({path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert len(made[0]) > 50
    assert made[0] == made[1]
