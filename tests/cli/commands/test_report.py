"""`snaphold report executive` before and after something was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snaphold.cli.main import main
from snaphold.config_sample import sample_text


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "snaphold.yaml").write_text(sample_text(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_people_see_the_figures_and_programs_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "executive", "--from", "2026-11-01", "--to", "2026-11-30"]) == 0
    assert "2026-11-01 to 2026-11-30" in capsys.readouterr().out
    assert main(["report", "executive", "--from", "2026-11-01", "--to", "2026-11-30", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["incidents"] == 0


@pytest.mark.parametrize(("name", "starts"), [("r.html", "<!DOCTYPE html>"), ("r.csv", "measure,tier"), ("r.json", "{")])
def test_the_name_of_the_file_gives_the_format(tmp_path: Path, name: str, starts: str) -> None:
    assert main(["report", "executive", "--out", name]) == 0
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(starts)


def test_a_format_goes_to_the_output_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "executive", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("measure,tier,value,unit\n")


@pytest.mark.parametrize(
    "words", [["--from", "yesterday"], ["--to", "2026-02-30"], ["--from", "2026-12-02", "--to", "2026-12-01"]]
)
def test_a_wrong_period_is_bad_input(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "executive", *words]) == 2
    assert "Traceback" not in capsys.readouterr().err
