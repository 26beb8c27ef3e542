"""Durable runs on DBOS: every answer that the interpreter gets is recorded, in the run's own SQLite file or in PostgreSQL.

A process that dies loses nothing but the step that it was in; the ledger keeps that step from happening twice. Branches
that run side by side are child workflows, each with a history of its own: threads that share one history would number
their steps in the order of chance, and a queue polls once a second (docs/reference/durable-runs.md has the measurements).
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SetWorkflowID, WorkflowHandle, WorkflowStatus

from snaphold.clock import parse_time
from snaphold.config import Configuration
from snaphold.engine.drive import Drive
from snaphold.engine.interpreter import Interpreter
from snaphold.engine.items import brief
from snaphold.engine.leaving import OtherVersionError, RunLeftError
from snaphold.engine.plan import plan_from
from snaphold.engine.recorded import (
    answer_from,
    answer_to,
    branch_from,
    branch_to,
    result_from,
    result_to,
)
from snaphold.engine.run import Reason, runs_folder
from snaphold.engine.run_file import file_engine
from snaphold.engine.steps import Act, Answer, Branch, BranchResult, Gate, RunBranch, StepEvent, Tick
from snaphold.errors import LedgerError
from snaphold.ledger.entry import digest

APPLICATION_VERSION = "snaphold-run-1"
"""Changes only when the interpreter records other steps for the same playbook; open runs then need the old version."""
WAKE = "wake"
LONGEST_RECEIVE_SECONDS = 30.0
"""A lost wake-up call delays a run by no more than this."""
NOTICE_SECONDS = 0.1
RESULT_POLL_SECONDS = 0.02
LONGEST_SETTLE_SECONDS = 10.0
_TERMINAL = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_OPEN = ["PENDING", "ENQUEUED"]
drives: dict[str, Drive] = {}
"""The runs that this process drives, by id."""
Recorded = TypeVar("Recorded")


def state_path(configuration: Configuration, run: str) -> Path:
    """Return the SQLite file that holds the recorded steps of a run."""
    return runs_folder(configuration) / f"{run}.sqlite"


def prepare_database(url: str) -> None:
    """Make DBOS's tables in a PostgreSQL database, or bring them to this version. Raises LedgerError."""
    try:
        DBOS.migrate(url)
    except Exception as error:
        raise LedgerError("the tables of the run engine cannot be made", str(error), "check the user's rights") from error


@contextmanager
def launched(drive: Drive) -> Generator[None, None, None]:
    """Have DBOS drive the run for the length of the block; what an earlier process left unfinished starts by itself."""
    configuration = drive.runtime.configuration
    log = log_to(runs_folder(configuration) / f"{drive.run.id}.log")
    path = state_path(configuration, drive.run.id)
    engine = file_engine(path)
    drives[drive.run.id] = drive
    try:
        DBOS(
            config={
                "name": "snaphold",
                "system_database_url": f"sqlite:///{path}",
                "system_database_engine": engine,
                "executor_id": drive.run.id,
                "application_version": APPLICATION_VERSION,
                "serializer": DBOSPortableJSONSerializer(),
                "notification_listener_polling_interval_sec": NOTICE_SECONDS,
                "log_level": "WARNING",
                "enable_otlp": False,
            }
        )
        DBOS.launch()
        yield
    finally:
        DBOS.destroy()
        engine.dispose()
        del drives[drive.run.id]
        logging.getLogger("dbos").removeHandler(log)
        log.close()


def begin(drive: Drive) -> None:
    """Start the run's workflow. One that was started before goes on by itself, and looks at the register at once."""
    known = DBOS.get_workflow_status(drive.run.id)
    check_version(drive, known)
    with SetWorkflowID(drive.run.id):
        DBOS.start_workflow(run_workflow, drive.plan.to_document())
    if known is not None:
        wake_here(drive)


def check_version(drive: Drive, known: WorkflowStatus | None) -> None:
    """Raise SnapholdError when a run's history was begun by another version of the run engine."""
    if known is not None and known.app_version != APPLICATION_VERSION:
        raise OtherVersionError(
            f"{drive.run.id} was started by another version of the run engine",
            f"it recorded {known.app_version}, this is {APPLICATION_VERSION}",
            "finish it with the version that started it, or cancel it and start a new generation",
        )


def open_parts(drive: Drive) -> list[str]:
    """Return the workflows of a run that have not ended: its own and those of its branches."""
    id = drive.run.id
    found = DBOS.list_workflows(status=_OPEN, workflow_id_prefix=id, load_input=False, load_output=False)
    return [one.workflow_id for one in found if one.workflow_id == id or one.workflow_id.startswith(f"{id}/")]


def settle(drive: Drive) -> None:
    """Wait until the run's end stands in its own history too, so that nothing is left to do for the next process."""
    deadline = time.monotonic() + LONGEST_SETTLE_SECONDS
    while drive.run.id not in drive.left and time.monotonic() < deadline:
        known = DBOS.get_workflow_status(drive.run.id)
        if known is not None and known.status in _TERMINAL:
            return
        time.sleep(RESULT_POLL_SECONDS)


def leave(drive: Drive) -> None:
    """Ask every part of the run to let go at its next step, and wake those that wait."""
    drive.leaving.set()
    wake_here(drive)


def wake_here(drive: Drive) -> None:
    """Have every part of a run that this process drives look at the register now."""
    for part in open_parts(drive):
        DBOS.send(part, {}, WAKE)


def wake(configuration: Configuration, run: str) -> None:
    """Have the process that drives the run look at the register now. The register is the truth, not this message."""
    path = state_path(configuration, run)
    if not path.exists():
        return
    engine = file_engine(path)
    client = DBOSClient(system_database_engine=engine, serializer=DBOSPortableJSONSerializer())
    try:
        for workflow in client.list_workflows(status=_OPEN, load_input=False):
            client.send(workflow.workflow_id, {}, WAKE)
    finally:
        client.destroy()
        engine.dispose()


@DBOS.workflow(name="run", max_recovery_attempts=None)
def run_workflow(document: dict[str, Any]) -> str:
    """Run the pinned plan and return the run's status."""
    drive = _drive_here()
    plan = plan_from(document)

    def body() -> str:
        result = _interpreter(drive).run(plan.playbook, plan.inputs)
        return _step("end", lambda: drive.end(result))[0]

    return drive.watch(drive.run.id, body)


@DBOS.workflow(name="branch", max_recovery_attempts=None)
def branch_workflow(document: dict[str, Any]) -> dict[str, Any]:
    """Run one branch and return how it went."""
    drive = _drive_here()
    branch = branch_from(document)
    return drive.watch(str(DBOS.workflow_id), lambda: result_to(_interpreter(drive).run_branch(branch)))


def _drive_here() -> Drive:
    """Return the drive of the workflow that calls. One that this process does not drive any more is left as it is."""
    drive = drives.get(str(DBOS.workflow_id).partition("/")[0])
    if drive is None:
        raise RunLeftError
    return drive


def _interpreter(drive: Drive) -> Interpreter:
    return Interpreter(drive.plan.playbooks, drive.plan.incident.id, DurableSteps(drive), drive.listener)


def _branch_id(drive: Drive, branch: Branch) -> str:
    """Return the id of a branch's workflow. The same path runs once for each item of the loops around it.

    A branch that an earlier process has started is found by the history of its parent, whatever it was called then.
    """
    around = branch.items if branch.list_index is not None else branch.items[:-1]
    return f"{drive.run.id}/{branch.path}" + (f"@{digest(list(around))[:16]}" if around else "")


def _in_brief(branch: Branch) -> Branch:
    """Return a branch as it is recorded: each of thousands must not hold the names of all the others."""
    return replace(branch, items=(*brief(branch.items[:-1]), *branch.items[-1:]))


class DurableSteps:
    """The surroundings of an interpreter inside a workflow: each answer is a recorded step."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self._begun = Counter[str]()

    def act(self, act: Act) -> Answer:
        """See `Steps.act`."""
        recorded, before = _step(f"act {act.path}", lambda: answer_to(self.drive.act(act)))
        return answer_from(recorded, before=before)

    def pause(self, length: timedelta) -> Tick:
        """See `Steps.pause`."""
        tick, _ = self._tick()
        end = parse_time(tick.at) + length
        while not tick.cancelled and parse_time(tick.at) < end:
            _receive((end - parse_time(tick.at)).total_seconds())
            tick, _ = self._tick()
        return tick

    def _tick(self) -> tuple[Tick, bool]:
        recorded, before = _step("tick", lambda: vars(self.drive.tick()))
        return Tick(**recorded), before

    def ask(self, gate: Gate) -> Answer:
        """See `Steps.ask`."""
        opened, before = _step(f"ask {gate.path}", lambda: dict(self.drive.open_gate(gate)))
        began = opened["began"]
        if opened["fault"]:
            return Answer("failed", began, began, detail=opened["fault"], reason=Reason.FAILED, before=before)
        told = ""
        while True:
            seen, before = _step(f"look {gate.path}", lambda: self._look(gate))
            if seen["state"] != "waiting":
                break
            if seen["asked_of"] != told and not before:
                told = seen["asked_of"]
                self.drive.listener(StepEvent("waiting", gate.path, detail=self.drive.describe_gate(gate)))
            _receive(seen["left"])
        return self._decided(gate, began, seen, before)

    def _look(self, gate: Gate) -> dict[str, Any]:
        try:
            return dict(self.drive.look_at_gate(gate))
        except RunLeftError as left:
            if left.waiting:
                self.drive.listener(StepEvent("waiting", gate.path, detail=self.drive.describe_gate(gate)))
            raise

    def _decided(self, gate: Gate, began: str, seen: Mapping[str, Any], before: bool) -> Answer:
        outcome, detail = str(seen["state"]), str(seen["detail"])
        if outcome == "approved" and gate.grants is not None:
            granted, before = _step(f"grant {gate.path}", lambda: dict(self.drive.grant(gate, list(seen["by"]))))
            if granted["fault"]:
                return Answer("failed", began, seen["at"], detail=granted["fault"], reason=Reason.FAILED, before=before)
            detail = f"{detail}; {granted['grant']} gives {gate.grants.role}"
        return Answer(outcome, began, seen["at"], detail=detail, before=before)

    def side_by_side(self, branches: Sequence[Branch], at_once: int, run: RunBranch) -> list[BranchResult]:
        """See `Steps.side_by_side`. One at a time needs no child workflows."""
        if at_once == 1 or len(branches) == 1:
            return _one_by_one(branches, run)
        going: dict[int, WorkflowHandle[dict[str, Any]]] = {}
        results: dict[int, BranchResult] = {}
        upcoming = list(enumerate(branches))
        while upcoming or going:
            while upcoming and len(going) < at_once:
                index, branch = upcoming.pop(0)
                with SetWorkflowID(self._name(branch)):
                    going[index] = DBOS.start_workflow(branch_workflow, branch_to(_in_brief(branch)))
            # Which one was first is a recorded step: what happens next must not depend on the speed of a replay.
            index, _ = _step("first", lambda: self._first(going))
            results[index] = result_from(going.pop(index).get_result(polling_interval_sec=RESULT_POLL_SECONDS))
            if results[index].reason is not Reason.NONE:
                upcoming.clear()
        return [results[index] for index in sorted(results)]

    def _name(self, branch: Branch) -> str:
        """Return the id of a branch that is begun here; a handler that runs a second time has branches of its own."""
        id = _branch_id(self.drive, branch)
        self._begun[id] += 1
        return id if self._begun[id] == 1 else f"{id}#{self._begun[id]}"

    def _first(self, going: Mapping[int, WorkflowHandle[dict[str, Any]]]) -> int:
        """Wait until a branch has ended and return its number; let go when every branch that is left has let go."""
        drive = self.drive
        while True:
            with drive.changed:
                ended = [index for index, handle in going.items() if handle.workflow_id in drive.finished]
                if not ended:
                    ended = [index for index, handle in going.items() if _was_recorded(handle)]
                done = [index for index in ended if going[index].workflow_id not in drive.left]
                if done:
                    return done[0]
                if len(ended) == len(going):
                    raise _worst([drive.left[handle.workflow_id] for handle in going.values()])
                drive.changed.wait(1.0)


def _one_by_one(branches: Sequence[Branch], run: RunBranch) -> list[BranchResult]:
    results: list[BranchResult] = []
    for branch in branches:
        results.append(run(branch))
        if results[-1].reason is not Reason.NONE:
            break
    return results


def _was_recorded(handle: WorkflowHandle[Any]) -> bool:
    """Return whether the branch has ended, also when that was in an earlier process."""
    return handle.get_status().status in _TERMINAL


def _worst(left: Sequence[RunLeftError]) -> RunLeftError:
    for one in left:
        if one.cause is not None:
            return RunLeftError(cause=one.cause)
    return RunLeftError(waiting=all(one.waiting for one in left))


def _step(name: str, work: Callable[[], Recorded]) -> tuple[Recorded, bool]:
    """Return what a recorded step gave, and whether it was recorded by an earlier process.

    A failure of a playbook's step is an answer. An exception is a fault of the surroundings: the run is left, and
    nothing is recorded, so that the next process does the step again.
    """
    ran: list[bool] = []

    def once() -> Recorded:
        ran.append(True)
        try:
            return work()
        except Exception as error:
            raise RunLeftError(cause=error) from error

    return DBOS.run_step({"name": name}, once), not ran


def _receive(seconds: float) -> None:
    """Wait so long at most, or until somebody sends a wake-up call."""
    DBOS.recv(WAKE, timeout_seconds=min(max(seconds, 0.0), LONGEST_RECEIVE_SECONDS))


class _PrivateFile(logging.FileHandler):
    """A log that nobody else can read, as everything beside it."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600))


def log_to(path: Path) -> logging.Handler:
    """Send what DBOS logs to the run's own file; people and programs read our output, not the engine's."""
    logger = logging.getLogger("dbos")
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = _PrivateFile(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    return handler
