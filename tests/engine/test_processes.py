"""Runs in processes of their own: killed while they wait, cancelled from outside, driven by only one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from snaphold.domain.authority import Approval
from snaphold.engine import durable
from snaphold.engine.driver import cancel_run, resume_run
from snaphold.engine.run import RunStatus
from snaphold.errors import BusyError
from support.run_lab import World, make_world, outcomes

LONGEST_SECONDS = 240.0
"""For a machine that is busy with other things; it is no part of any claim."""
AT_ONCE_SECONDS = 400.0
"""Less than the longest wait of a run for a lost message, which is ten minutes here, so it shows that the message arrived."""
TESTS = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow
PROGRAM = """
import sys
from pathlib import Path
from snaphold.engine import durable
from support.run_lab import make_world, plan_of

durable.LONGEST_RECEIVE_SECONDS = 600.0
GATE = '''steps:
  - {id: before, do: lab.start}
  - {id: gate, approve: {ask: "Do it?", from: group/managers, within: 10m}}
  - {id: after, do: lab.start, with: {asset: second}}
'''
run = make_world(Path(sys.argv[1])).start(plan_of(GATE))
print(run.status.value, run.exit_code)
"""
INTERRUPTED = """
import os, signal
from snaphold.engine import durable

begin = durable.begin

def begin_and_interrupt(drive):
    begin(drive)
    os.kill(os.getpid(), signal.SIGINT)

durable.begin = begin_and_interrupt
"""
"""Before PROGRAM: the run's own process is interrupted when it has just begun."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which another process starts a run."""
    monkeypatch.setattr(durable, "LONGEST_RECEIVE_SECONDS", 600.0)
    return make_world(tmp_path, monkeypatch)


@pytest.fixture
def child(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    """A process that starts a run and waits at its gate."""
    with _start(tmp_path) as process:
        yield process
        process.kill()


def _start(folder: Path, program: str = PROGRAM) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def _waits(world: World) -> Callable[[], bool]:
    ledger = world.runtime().ledger
    return lambda: bool(ledger.records(Approval))


def test_a_run_that_is_killed_while_it_waits_goes_on_after_the_answer(world: World, child: subprocess.Popen[str]) -> None:
    _until(_waits(world))
    child.send_signal(signal.SIGKILL)
    child.communicate()
    approval = world.runtime().ledger.records(Approval)[0]
    world.vote(approval.id, "ben", "approved")
    began = time.monotonic()
    run = resume_run(world.runtime(), approval.run)
    assert (run.status, outcomes(run)[-1]) == (RunStatus.DONE, ("after", "succeeded"))
    assert time.monotonic() - began < AT_ONCE_SECONDS, "the answer is seen at once, not at the end of the interrupted wait"
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1", "INC-1/trial.after/second/1"]


def test_a_cancel_from_another_process_ends_a_waiting_run_at_once(world: World, child: subprocess.Popen[str]) -> None:
    _until(_waits(world))
    approval = world.runtime().ledger.records(Approval)[0]
    with pytest.raises(BusyError, match=str(child.pid)):
        resume_run(world.runtime(), approval.run)
    began = time.monotonic()
    cancel_run(world.runtime("ben"), approval.run)
    told, complaints = child.communicate(timeout=LONGEST_SECONDS)
    assert told.split() == ["cancelled", "1"], complaints
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert resume_run(world.runtime(), approval.run).status is RunStatus.CANCELLED
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1"]


def test_an_interrupt_leaves_the_run_in_good_order(world: World, child: subprocess.Popen[str]) -> None:
    _until(_waits(world))
    child.send_signal(signal.SIGINT)
    _, complaints = child.communicate(timeout=LONGEST_SECONDS)
    assert "KeyboardInterrupt" in complaints, "the command line turns it into exit code 130"
    approval = world.runtime().ledger.records(Approval)[0]
    world.vote(approval.id, "cleo", "approved")
    assert resume_run(world.runtime(), approval.run).status is RunStatus.DONE


def test_an_interrupt_that_comes_when_a_run_has_just_begun_leaves_it_in_good_order_too(world: World, tmp_path: Path) -> None:
    with _start(tmp_path, INTERRUPTED + PROGRAM) as process:
        try:
            _, complaints = process.communicate(timeout=LONGEST_SECONDS)
        finally:
            process.kill()
    assert "KeyboardInterrupt" in complaints
    run = resume_run(world.runtime(), world.run().id, stay_at_gates=False)
    assert run.status is RunStatus.WAITING
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1"]
