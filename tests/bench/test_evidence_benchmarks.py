"""The benchmarks of evidence run, small, and write their results as data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def run(name: str, out: Path, *options: str) -> None:
    subprocess.run([sys.executable, str(BENCH / name), "--out", str(out), *options], check=True, capture_output=True)


@pytest.mark.slow
def test_hashing_is_measured_against_openssl(tmp_path: Path) -> None:
    sizes = ("--large-files", "2", "--large-mib", "2", "--small-files", "200", "--rounds", "1", "--dir", str(tmp_path))
    run("hashing.py", tmp_path / "hashing.json", *sizes)
    result = json.loads((tmp_path / "hashing.json").read_text())
    assert result["large"]["ratio_to_openssl"] > 0
    assert result["small"]["files_per_second"]["snaphold"] > 0


@pytest.mark.slow
def test_comparing_is_measured(tmp_path: Path) -> None:
    run("compare.py", tmp_path / "compare.json", "--entries", "2000", "--rounds", "1")
    result = json.loads((tmp_path / "compare.json").read_text())
    assert result["counts"] == {"added": 2, "metadata_only": 0, "modified": 20, "moved": 0, "removed": 2, "unreadable": 0}


@pytest.mark.parametrize(("name", "part"), [("hashing.json", "small"), ("compare.json", "seconds")])
def test_the_recorded_result_is_data(name: str, part: str) -> None:
    assert part in json.loads((BENCH / "results" / name).read_text())
