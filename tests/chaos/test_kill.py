"""A run that is killed with SIGKILL at any boundary is taken up again, finishes, and starts nothing twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from support.kill_lab import STARTS

TESTS = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def _run_cases(folder: Path, cases: Iterable[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "support.kill_lab", str(folder), *cases], cwd=TESTS, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _faults(cases: list[dict[str, Any]]) -> list[str]:
    return [
        f"killed at {case['case']}: {case['status']} {case.get('why')} starts {case['starts']}"
        for case in cases
        if case["status"] != "done" or case["ends"][-1] != 0 or sorted(case["starts"]) != sorted(STARTS)
    ]


def test_a_run_survives_a_kill_at_every_boundary_and_starts_nothing_twice(tmp_path: Path) -> None:
    whole = _run_cases(tmp_path / "whole", ["0"])[0]
    assert whole["status"] == "done"
    crossed = set(whole["boundaries"])
    assert crossed == {
        f"{when} {what}"
        for when in ("before", "after")
        for what in ("append", "claim", "effect", "settle", "record_operation_result")
    }, "before intent, after intent, after the effect before its record, and after the record are all among them"
    count = len(whole["boundaries"])
    cases = _run_cases(tmp_path / "killed", [str(number) for number in range(1, count + 1)])
    assert len(cases) == count
    killed = [case for case in cases if case["ends"][0] == -signal.SIGKILL]
    assert len(killed) >= count - 6, "the number of looks at the gate varies a little"
    assert _faults(cases) == []


def test_a_run_survives_being_killed_again_and_again(tmp_path: Path) -> None:
    chance = random.Random(20261122)  # noqa: S311  nothing here is secret
    texts = {",".join(str(chance.randint(1, 40)) for _ in range(chance.randint(2, 5))) for _ in range(24)}
    assert _faults(_run_cases(tmp_path, sorted(texts))) == []
