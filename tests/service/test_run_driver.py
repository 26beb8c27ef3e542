"""The process that drives runs beside the service: begun again when it ends, stopped with it, and missed when it is gone."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from snaphold.service import run_driver
from snaphold.service.readiness import Readiness
from snaphold.service.run_driver import RunDriver
from support.service_lab import ServiceLab
from support.waiting import wait_for

PROGRAM = """import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
folder = sys.argv[1]
open(f"{folder}/begun-{os.getpid()}", "w").close()
os.write(1, b"working\\n")
while os.read(0, 100):
    open(f"{folder}/rung", "w").close()
"""
BROKEN = "import sys; sys.exit(1)"


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str = PROGRAM) -> RunDriver:
    """Return a driver whose process is a small program."""
    driver = RunDriver(folder / "snaphold.yaml")
    monkeypatch.setattr(driver, "_words", [sys.executable, "-c", program, str(folder)])
    monkeypatch.setattr(run_driver, "FIRST_WAIT_SECONDS", 0.01)
    return driver


def test_it_is_begun_again_when_it_is_killed_and_hears_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = make(tmp_path, monkeypatch)
    driver.ring()
    driver.open()
    try:
        wait_for(lambda: driver.process is not None and list(tmp_path.glob("begun-*")))
        first = driver.process
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: len(list(tmp_path.glob("begun-*"))) == 2)
        assert driver.process != first
        wait_for(lambda: [driver.ring(), (tmp_path / "rung").exists()][1])
        monkeypatch.setattr(run_driver, "DOWN_SECONDS", -1.0)
        wait_for(lambda: not driver.is_down)  # the keeper has heard that the second one works
    finally:
        driver.close()
    assert driver.process is None
    driver.ring()


def test_one_that_cannot_work_is_tried_again_and_the_service_is_not_ready(
    lab: ServiceLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make(tmp_path, monkeypatch, BROKEN)
    monkeypatch.setattr(run_driver, "DOWN_SECONDS", 3600.0)
    readiness = Readiness(lab.runtime, driver)
    assert readiness.faults() == [], "it is given time to begin"
    monkeypatch.setattr(run_driver, "DOWN_SECONDS", 0.0)
    driver.open()
    try:
        wait_for(lambda: readiness.faults() == ["nothing drives the runs"])
    finally:
        driver.close()


def test_a_driver_that_was_never_begun_is_closed_without_waiting(tmp_path: Path) -> None:
    RunDriver(tmp_path / "snaphold.yaml").close()
