"""Starts runs and takes them up again. Only one live process drives a run; the kernel sees to that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from snaphold.engine.drive import Drive
from snaphold.engine.locks import is_held, sole_driver
from snaphold.engine.plan import Plan, read_plan, write_plan
from snaphold.engine.run import Run, RunStatus, change_run, driver_lock, find_run, record_lock, request_cancel, write_run
from snaphold.engine.steps import Listener, StepEvent, nobody
from snaphold.errors import InputError, MissingToolError, SnapholdError
from snaphold.incident_register import remember_incident
from snaphold.runtime import Runtime

_PATIENCE_SECONDS = 0.5


def start_run(runtime: Runtime, plan: Plan, *, listener: Listener = nobody, stay_at_gates: bool = True) -> Run:
    """Register a run, drive it, and return it as it ended, or as it was left.

    Raises InputError when this run exists already, BusyError when a live process drives it, KeyboardInterrupt after it
    was left in good order, and what kept the process from going on (disk full, ledger unreachable).
    """
    if runtime.configuration.database:
        shared = _shared_module()
        run = shared.register_run(runtime, plan, held_back=True)
        return shared.drive_here(runtime, run.id, listener, stay_at_gates)
    with sole_driver(driver_lock(runtime.configuration, plan.run), plan.run):
        existing = runtime.ledger.record(Run, plan.run)
        if existing is not None:
            raise run_exists(existing)
        remember_incident(plan.incident, runtime.ledger, runtime.actor, runtime.clock)
        with runtime.ledger.turn(record_lock(runtime.configuration, plan.run)):  # a service may register it at this moment
            existing = runtime.ledger.record(Run, plan.run)
            if existing is not None:
                raise run_exists(existing)
            run = new_run(runtime, plan, write_plan(runtime.configuration, plan))
            write_run(runtime.ledger, run, runtime.actor, "run.start")
        return _drive(runtime, plan, run, listener, stay_at_gates)


def new_run(runtime: Runtime, plan: Plan, plan_sha256: str) -> Run:
    """Return the record of a run that starts now, at the request of the runtime's actor."""
    root = plan.root
    return Run(
        id=plan.run,
        incident=plan.incident.id,
        playbook=plan.playbook,
        version=root.metadata.version,
        digest=root.digest,
        change_record=root.metadata.change_record,
        plan_sha256=plan_sha256,
        requested_by=runtime.actor.id,
        login=runtime.actor.login,
        justification=plan.justification,
        started_at=runtime.clock.now(),
        generation=plan.generation,
    )


def run_exists(run: Run) -> InputError:
    """Return the error of a run that is started a second time."""
    more = f"snaphold runs show {run.id}"
    if not run.has_ended:
        more = f"snaphold runs resume {run.id}"
    return InputError(
        f"this run exists already: {run.id}, {run.status.value}",
        f"{run.playbook} was started for {run.incident} by {run.requested_by}, generation {run.generation}",
        f"{more}; for a deliberate second run: --generation {run.generation + 1}",
    )


def resume_run(runtime: Runtime, id: str, *, listener: Listener = nobody, stay_at_gates: bool = True) -> Run:
    """Take up a run where it was left, and return it as it ended, or as it was left again. An ended run is returned.

    Raises InputError (no such run), LedgerError (its plan was changed), BusyError and the rest as `start_run`.
    """
    found = find_run(runtime.ledger, id)
    if _is_shared(runtime, id):
        return found if found.has_ended else _shared_module().drive_here(runtime, id, listener, stay_at_gates)
    with sole_driver(driver_lock(runtime.configuration, id), id):
        run = find_run(runtime.ledger, id)
        if run.has_ended:
            return run
        plan = read_plan(runtime.configuration, run)
        change_run(runtime.ledger, id, runtime.actor, "run.resume", _resumed)
        return _drive(runtime, plan, run, listener, stay_at_gates)


def _resumed(run: Run) -> Run:
    return run.model_copy(update={"status": RunStatus.RUNNING})


def cancel_run(runtime: Runtime, id: str) -> Run:
    """Have a run stop before its next action, for good, also while it waits; return it. See `request_cancel`."""
    run = request_cancel(runtime.configuration, runtime.ledger, id, runtime.actor, runtime.clock)
    wake_run(runtime, id)
    return run


def wake_run(runtime: Runtime, id: str) -> bool:
    """Have the process that drives the run look at the register now. Return whether there is one."""
    if not id:
        return False  # a SOAR asked, and asks how it stands by itself
    if _is_shared(runtime, id):
        return _shared_module().wake_run(runtime.ledger, id)
    driven = is_held(driver_lock(runtime.configuration, id))
    if driven:
        _engine_module().wake(runtime.configuration, id)
    return driven


def _is_shared(runtime: Runtime, run: str) -> bool:
    """Return whether workers share the run: all of them do in PostgreSQL, in a file those that the service began."""
    from snaphold.engine.tenures import is_shared

    return bool(runtime.configuration.database) or is_shared(runtime.ledger, run)


def _shared_module() -> Any:
    from snaphold.engine import shared_runs

    return shared_runs


def _engine_module() -> Any:
    try:
        from snaphold.engine import durable
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed", "runs need it", "pip install 'snaphold[run]'"
        ) from error
    return durable


def _drive(runtime: Runtime, plan: Plan, run: Run, listener: Listener, stay_at_gates: bool) -> Run:
    durable = _engine_module()
    drive = Drive(runtime, plan, run, listener, stay_at_gates)
    drive.note_waiting()  # a question may still be open from before; what was asked is not asked again
    begun, failure = threading.Event(), list[BaseException]()
    with durable.launched(drive):
        # An interrupt is to find this thread waiting: one that came while the run began would not ask its parts to let go.
        threading.Thread(target=lambda: _begin(durable, drive, begun, failure), name=f"beginning of {run.id}").start()
        interrupted = _wait(durable, drive, lambda: begun.is_set() and (bool(failure) or _finished(drive)))
        if failure:
            raise failure[0]
        durable.settle(drive)
    left = drive.left.get(run.id)
    if left is not None and left.cause is not None:
        raise _explained(left.cause, run)
    if left is not None and interrupted:
        raise KeyboardInterrupt
    return find_run(runtime.ledger, run.id)


def _begin(durable: Any, drive: Drive, begun: threading.Event, failure: list[BaseException]) -> None:
    try:
        durable.begin(drive)
    except BaseException as error:  # noqa: BLE001  it is raised again by the thread that waits
        failure.append(error)
    finally:
        begun.set()
        with drive.changed:
            drive.changed.notify_all()


def _wait(durable: Any, drive: Drive, is_over: Callable[[], bool]) -> bool:
    """Wait until the run is over here; return whether a person interrupted it. A second interrupt is raised."""
    interrupted = False
    while True:
        try:
            while not is_over():
                with drive.changed:
                    drive.changed.wait(_PATIENCE_SECONDS)
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            drive.listener(StepEvent("leaving", ""))
            durable.leave(drive)
        else:
            return interrupted


def _finished(drive: Drive) -> bool:
    return drive.run.id in drive.finished


def _explained(cause: Exception, run: Run) -> Exception:
    if isinstance(cause, SnapholdError):
        return cause
    return SnapholdError(
        f"{run.id} cannot go on in this process",
        f"{type(cause).__name__}: {cause}",
        f"nothing is lost; when the fault is mended: snaphold runs resume {run.id}",
    )
