"""Starts, follows and removes snapshots. A job is the machine and a digest of the key: any process can ask for it."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError, SnapholdError, TimedOutError, UnknownOutcomeError
from snaphold.http import NoAnswerError
from snaphold.providers.base import JobState, JobStatus
from snaphold.providers.vsphere_faults import reason_of
from snaphold.providers.vsphere_inventory import (
    RUNNING_TASKS,
    Machine,
    SnapshotTask,
    read_machine,
    read_task_error,
    snapshot_tasks,
)
from snaphold.providers.vsphere_notes import TaskNote, keep_note, read_note
from snaphold.providers.vsphere_snapshots import Facts, Snapshot, describe, digest_of, our_snapshots, restore_point, snapshot_name
from snaphold.providers.vsphere_soap import Connection, explained

REMOVAL_SECONDS = 120.0
"""Longest wait for a removal. Its data is merged into the machine's disks, which may take hours: then it is asked again."""
POLL_SECONDS = 2.0
_JOB = re.compile(r"([A-Za-z0-9-]{1,100})\.([0-9a-f]{16})")


def job_id(machine: str, key: str) -> str:
    """Return the job that makes the snapshot of a key."""
    return f"{machine}.{digest_of(key)}"


def start_snapshot(connection: Connection, machine: Machine, facts: Facts, notes: Path) -> str:
    """Have vCenter make the snapshot and return its job. Nothing of this key is there yet.

    Raises ProviderError (retryable) while another snapshot of the machine is being made: it may be ours, of an attempt
    whose answer was lost. Raises UnknownOutcomeError when an answer was lost and vCenter shows no trace of the call.
    """
    working = [task for task in snapshot_tasks(connection, machine.id) if task.state in RUNNING_TASKS]
    if working:
        raise ProviderError(
            f"a snapshot of {machine.name} is being made already",
            f"{working[0].id} since {working[0].queued:%H:%M:%S}",
            "wait until it has ended, then repeat under the same key: if it was ours, it is found",
            retryable=True,
        )
    job, before = job_id(machine.id, facts.key), connection.now()
    name = snapshot_name(facts.key, facts.asset)
    target = connection.object(connection.vim.VirtualMachine, machine.id)
    try:
        with explained(connection.channel.host):
            task = target.CreateSnapshot_Task(name, describe(facts), False, facts.quiesce)
    except NoAnswerError as error:
        if not error.sent:
            raise
        return _found_after(connection, machine, job, before, str(error.why))
    except UnknownOutcomeError as error:
        return _found_after(connection, machine, job, before, f"{error.what}: {error.why}")
    keep_note(notes, digest_of(facts.key), TaskNote(machine=machine.id, task=str(task._moId)))
    return job


def find_running(connection: Connection, key: str, notes: Path) -> str | None:
    """Return the job of this key that vCenter still works on, as far as it is noted here."""
    note = read_note(notes, digest_of(key))
    if note is None:
        return None
    working = [task.id for task in snapshot_tasks(connection, note.machine) if task.state in RUNNING_TASKS]
    return job_id(note.machine, key) if note.task in working else None


def _found_after(connection: Connection, machine: Machine, job: str, before: datetime, why: str) -> str:
    """Return the job when vCenter shows that the call whose answer was lost was carried out."""
    try:
        with explained(connection.channel.host):
            tasks = [task for task in snapshot_tasks(connection, machine.id) if task.queued >= before]
            found = _find(connection, job) is not None
    except SnapholdError as error:
        why, tasks, found = f"{why}; it cannot be looked up: {error.what}", [], False
    if found or len(tasks) == 1:
        return job
    raise UnknownOutcomeError(
        f"it is not known whether the snapshot of {machine.name} was started",
        f"{why}; vCenter shows {len(tasks) or 'no'} such tasks since",
        "look at the machine's tasks in vCenter, then repeat under the same key: a snapshot that is there is found",
    )


def status_of(connection: Connection, job: str, engine: str, notes: Path) -> JobStatus:
    """Return where a job stands. Raises InputError when it is no job of ours, ProviderError when its machine is gone."""
    matched = _JOB.fullmatch(job)
    if matched is None:
        raise InputError(
            f"{job!r} is not a job of vSphere", "it is a machine's id and a digest", "use what backup.start returned"
        )
    # Tasks first: one that ends between the two questions has then left its snapshot in the tree.
    tasks = snapshot_tasks(connection, matched[1])
    note = read_note(notes, matched[2])
    if note is not None:
        tasks = [task for task in tasks if task.id == note.task]
    found = _find(connection, job)
    working = [task for task in tasks if task.state in RUNNING_TASKS]
    if working:
        percent = max(task.progress for task in working)
        return JobStatus(job=job, state=JobState.RUNNING, findings=(f"vCenter: {percent} % done",) if percent else ())
    if found is None:
        return JobStatus(job=job, state=JobState.FAILED, outcome=Outcome.FAILED, findings=(_why_none(tasks),))
    if found.facts is None:
        said = f"the description of the snapshot {found.reference} was changed: what it is of cannot be told"
        return JobStatus(job=job, state=JobState.DONE, outcome=Outcome.UNKNOWN, findings=(said,))
    point = restore_point(found, found.facts, engine)
    return JobStatus(
        job=job,
        state=JobState.DONE,
        outcome=point.outcome,
        bytes_done=point.size,
        bytes_total=point.size,
        restore_point=point,
        findings=point.findings,
    )


def _why_none(tasks: list[SnapshotTask]) -> str:
    failed = [task for task in tasks if task.state == "error"]
    if not failed:
        return "there is no such snapshot, and vCenter knows of no task that makes it: it failed or was removed"
    error = failed[-1].error
    fault = getattr(error, "fault", None) or error
    name = type(fault).__name__.rpartition(".")[2]
    return f"no snapshot was made: {reason_of(fault, name)}"


def _find(connection: Connection, job: str) -> Snapshot | None:
    machine, _, digest = job.rpartition(".")
    found = [item for item in our_snapshots(machine, read_machine(connection, machine).trees) if item.digest == digest]
    return found[0] if found else None


def remove_snapshot(connection: Connection, point: RestorePoint) -> None:
    """Remove the snapshot of a restore point and wait until it is gone."""
    machine, _, snapshot = point.reference.partition("/")
    found = _snapshot(connection, machine, snapshot)
    if found is None:
        return
    if found.digest != digest_of(point.key):
        raise ProviderError(
            f"the snapshot {point.reference} is not that of {point.id}", "it was made under another key", "look at it in vCenter"
        )
    lost: NoAnswerError | UnknownOutcomeError | None = None
    try:
        with explained(connection.channel.host):
            target = connection.object(connection.vim.vm.Snapshot, snapshot)
            task = target.RemoveSnapshot_Task(False)
    except NoAnswerError as error:
        if not error.sent:
            raise
        lost, task = error, None
    except UnknownOutcomeError as error:
        lost, task = error, None
    end = time.monotonic() + (REMOVAL_SECONDS if lost is None else 0.0)
    while _snapshot(connection, machine, snapshot) is not None:
        if task is not None:
            _check_removal(connection, str(task._moId), point)
        if time.monotonic() >= end:
            break
        time.sleep(POLL_SECONDS)
    else:
        return
    if lost is not None:
        raise UnknownOutcomeError(
            f"it is not known whether the removal of {point.id} was started",
            str(lost.why),
            "repeat it: one that is gone stays gone",
        ) from lost
    raise TimedOutError(
        f"{point.id} is still being removed",
        f"not done after {REMOVAL_SECONDS:g} s",
        "repeat it later: vCenter goes on by itself",
    )


def _snapshot(connection: Connection, machine: str, snapshot: str) -> Snapshot | None:
    every = our_snapshots(machine, read_machine(connection, machine).trees)
    return next((item for item in every if item.id == snapshot), None)


def _check_removal(connection: Connection, task: str, point: RestorePoint) -> None:
    """Raise when the removal failed. The task's result is not read: simulators tell it in a form that cannot be."""
    error = read_task_error(connection, task)
    if error is None:
        return
    fault = getattr(error, "fault", None) or error
    name = type(fault).__name__.rpartition(".")[2]
    raise ProviderError(f"{point.id} was not removed", reason_of(fault, name), "look at the machine's tasks in vCenter")
