"""Starting, resuming and waking runs that workers share. A person who waits for a run drives it as a worker of one run."""

from __future__ import annotations

import logging
import os
import threading
from datetime import timedelta

from snaphold.engine.driver import new_run, run_exists
from snaphold.engine.plan import Plan
from snaphold.engine.run import Run, find_run, record_lock, write_run
from snaphold.engine.steps import Listener, StepEvent
from snaphold.engine.tenures import State, add_tenure, driver_of, wake
from snaphold.engine.worker import Settings, Worker
from snaphold.errors import EXIT_FAILED, BusyError
from snaphold.incident_register import remember_incident
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import canonical, digest
from snaphold.runtime import Runtime

_PATIENCE_SECONDS = 0.5
PATIENT_LEASE = timedelta(seconds=60)
"""Of a run that a person drives: its process is not to end over a short fault of the network."""
log = logging.getLogger(__name__)


def exit_at_once(why: str) -> None:
    """End this process now: its runs may be taken by others, and no thread of it may act any more."""
    log.error("this worker is lost: %s; what it did last is looked up by whoever goes on", why)
    os._exit(EXIT_FAILED)


def register_run(runtime: Runtime, plan: Plan, *, held_back: bool = False) -> Run:
    """Register a run for the workers, and return it. `held_back`: no worker takes it; the caller drives it.

    Raises InputError when this run exists already.
    """
    ledger = runtime.ledger
    existing = ledger.record(Run, plan.run)
    if existing is not None:
        raise run_exists(existing)
    remember_incident(plan.incident, ledger, runtime.actor, runtime.clock)
    document = plan.to_document()
    run = new_run(runtime, plan, digest(document))
    state = State.LEFT if held_back else State.WANTED
    with ledger.turn(record_lock(runtime.configuration, run.id)):
        existing = ledger.record(Run, plan.run)
        if existing is not None:
            raise run_exists(existing)
        now = runtime.clock.now()
        write_run(
            ledger, run, runtime.actor, "run.start",
            also=lambda connection: add_tenure(connection, run.id, canonical(document), state, now),
        )  # fmt: skip
    return run


def drive_here(runtime: Runtime, id: str, listener: Listener, stay_at_gates: bool) -> Run:
    """Drive one run in this process until it ends or is left; return it. If this process dies, a worker goes on with it.

    Raises BusyError when a worker drives it, KeyboardInterrupt after it was left in good order.
    """
    by = driver_of(runtime.ledger, id)
    if by is not None:
        raise BusyError(f"{id} is being driven by a live process", f"the worker {by} has it", "wait for it, or stop that worker")
    failure: list[BaseException] = []
    settings = Settings(at_once=1, lease=PATIENT_LEASE, only=id, stay_at_gates=stay_at_gates, listener=listener)
    worker = Worker(runtime, lambda _: runtime.actor, settings, exit_at_once)
    thread = threading.Thread(target=lambda: _work(worker, failure), name=f"driver of {id}")
    thread.start()
    interrupted = _wait(thread, worker, listener)
    if failure:
        raise failure[0]
    if interrupted:
        raise KeyboardInterrupt
    return find_run(runtime.ledger, id)


def _work(worker: Worker, failure: list[BaseException]) -> None:
    try:
        worker.work()
    except BaseException as error:  # noqa: BLE001  it is raised again by the thread that waits
        failure.append(error)


def _wait(thread: threading.Thread, worker: Worker, listener: Listener) -> bool:
    """Wait for the worker; return whether a person interrupted it."""
    interrupted = False
    while thread.is_alive():
        try:
            thread.join(_PATIENCE_SECONDS)
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            listener(StepEvent("leaving", ""))
            worker.stop()
    return interrupted


def wake_run(ledger: DatabaseLedger, id: str) -> bool:
    """Have whoever drives the run look at the register now, or have a waiting one taken up; return whether it is driven."""
    wake(ledger, id)
    return driver_of(ledger, id) is not None
