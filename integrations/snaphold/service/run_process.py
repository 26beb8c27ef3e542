"""Hands runs over to whoever drives them, and takes up those that were begun without the service."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from snaphold.engine.plan import Plan
from snaphold.engine.run import Run, find_run, is_driven, runs_folder
from snaphold.engine.shared_runs import register_run
from snaphold.engine.tenures import hand_to_workers, is_shared
from snaphold.errors import InputError, SnapholdError, StorageError
from snaphold.recorded import restore_error
from snaphold.runtime import Runtime
from snaphold.service.principals import actor_of_principal

BEGIN_WITHIN_SECONDS = 15.0
LOOK_EVERY_SECONDS = 0.1
LONGEST_LINE = 65536


def start_driver(runtime: Runtime, principal: str, plan: Plan) -> Run:
    """Register a run of the plan in the name of a token's person, or of a webhook's; whoever drives the service's runs takes it.

    The principal is a token's id, which must be good now, or `webhook:NAME`. Raises NotAuthorisedError, and InputError when
    the run exists already.
    """
    actor = actor_of_principal(runtime.configuration, runtime.ledger, principal, runtime.clock.now())
    return register_run(replace(runtime, actor=actor), plan)


def resume_driver(runtime: Runtime, config: Path, run: Run) -> Run:
    """Have a run that nobody drives taken up in its requester's name; return it.

    One that was begun with `snaphold run` gets a process of its own, and it is returned when it is being driven or has
    ended. Raises what kept it from going on.
    """
    if is_shared(runtime.ledger, run.id):
        hand_to_workers(runtime.ledger, run.id)
        return find_run(runtime.ledger, run.id)

    def begun() -> Run | None:
        found = find_run(runtime.ledger, run.id)
        return found if found.has_ended or is_driven(runtime.configuration, runtime.ledger, run.id) else None

    return _begin(runtime, config, run.id, begun)


def _begin(runtime: Runtime, config: Path, run: str, begun: Callable[[], Run | None]) -> Run:
    reader, writer = os.pipe()
    try:
        child = _spawn(runtime, config, run, writer)
    except OSError as error:
        os.close(reader)
        raise StorageError(f"{run} cannot be started", error.strerror, "check memory and the state folder") from error
    finally:
        os.close(writer)
    threading.Thread(target=child.wait, daemon=True, name=f"reaper of {run}").start()
    try:
        return _await_beginning(runtime, run, reader, begun)
    finally:
        os.close(reader)


def _await_beginning(runtime: Runtime, id: str, reader: int, begun: Callable[[], Run | None]) -> Run:
    deadline = time.monotonic() + BEGIN_WITHIN_SECONDS
    while time.monotonic() < deadline:
        run = begun()
        if run is not None:
            return run
        if not select.select([reader], [], [], LOOK_EVERY_SECONDS)[0]:
            continue
        said = os.read(reader, LONGEST_LINE)
        if not said.endswith(b"\n"):
            break  # it died without a word
        raise _for_caller(restore_error(json.loads(said), "the start of the run"), id)
    raise SnapholdError(
        f"it is not known whether {id} began",
        f"its process did not say so within {BEGIN_WITHIN_SECONDS:g} s; its log is {_log(runtime, id)}",
        f"GET /v1/runs/{id}, or repeat the request: the same run is never started twice",
    )


def _for_caller(error: SnapholdError, run: str) -> SnapholdError:
    """Return the error as the caller of the service should see it: by then the request itself was found to be good."""
    if not isinstance(error, InputError):
        return error
    return SnapholdError(f"{run} could not begin", f"{error.what}: {error.why or ''}", error.do)


def _spawn(runtime: Runtime, config: Path, run: str, writer: int) -> subprocess.Popen[bytes]:
    log = _log(runtime, run)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "snaphold.service.drive_run", str(config), run, str(writer)],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            pass_fds=(writer,),
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def _log(runtime: Runtime, run: str) -> Path:
    return runs_folder(runtime.configuration) / f"{run}.driver.log"
