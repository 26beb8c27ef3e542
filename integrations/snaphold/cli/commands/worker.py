"""`snaphold worker`: drives runs from PostgreSQL, on this machine, beside other workers on others."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from snaphold.cli.options import add_config_option, add_database_option, configuration_of
from snaphold.cli.output import Writer
from snaphold.errors import EXIT_DONE, EXIT_INTERRUPTED, InputError, MissingToolError
from snaphold.logs import log_to_stderr

if TYPE_CHECKING:
    from types import FrameType

    from snaphold.engine.worker import Worker
    from snaphold.runtime import Runtime

_SHORTEST_LEASE, _MOST_AT_ONCE = timedelta(seconds=2), 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `worker`."""
    add_config_option(parser)
    add_database_option(parser)
    parser.add_argument("--at-once", type=int, default=16, metavar="N", help="how many runs it drives at a time (default 16)")
    parser.add_argument(
        "--lease",
        default="15s",
        metavar="TIME",
        help="a worker without a sign of life for so long is lost and its runs go on elsewhere (default 15s)",
    )
    parser.add_argument("--quiet", action="store_true", help="log only what went wrong")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Drive runs until SIGTERM or Ctrl-C; return 0 after an ordered end, 1 when this worker was lost."""
    try:
        from snaphold.engine.shared_runs import exit_at_once
        from snaphold.engine.worker import Settings, Worker
        from snaphold.service.tokens import actor_of_run
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed", "workers need it", "pip install 'snaphold[service]'"
        ) from error
    settings = Settings(at_once=_at_once(arguments.at_once), lease=lease_of(arguments.lease))
    runtime = _runtime(arguments)
    log_to_stderr("snaphold", quiet=arguments.quiet)
    worker = Worker(
        runtime, lambda found: actor_of_run(runtime.configuration, runtime.ledger, found), settings, exit_at_once
    )  # fmt: skip
    _stop_on_signals(worker)
    text = f"worker {worker.id} drives up to {settings.at_once} runs"
    worker.work(lambda: writer.event("working", {"worker": worker.id, "at_once": settings.at_once}, text))
    writer.event("stopped", {"busy": worker.busy}, "stopped" + ("; a step did not end in time" if worker.busy else ""))
    if worker.busy:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_INTERRUPTED)  # its threads may not act any more once others have the runs
    return EXIT_DONE


def _at_once(number: int) -> int:
    if not 1 <= number <= _MOST_AT_ONCE:
        raise InputError(f"--at-once {number} is not possible", f"it is a number from 1 to {_MOST_AT_ONCE}")
    return number


def lease_of(text: str) -> timedelta:
    """Return the lease that a person gave. Raises InputError when it is none or too short."""
    from snaphold.clock import parse_duration

    try:
        lease = parse_duration(text)
    except ValueError as error:
        raise InputError(f"--lease {text!r} is wrong", str(error)) from error
    if lease < _SHORTEST_LEASE:
        raise InputError("--lease is too short", "a pause of a busy machine would look like a lost worker", "at least 2s")
    return lease


def _runtime(arguments: argparse.Namespace) -> Runtime:
    from snaphold.clock import SystemClock
    from snaphold.domain.people import Actor
    from snaphold.identity import current_login
    from snaphold.ledger import open_ledger
    from snaphold.runtime import Runtime

    configuration, clock = configuration_of(arguments), SystemClock()
    if not configuration.database:
        raise InputError(
            "a worker needs a database that others share",
            "this configuration keeps ledger and runs in files, and one process of `snaphold serve` drives the runs",
            "set `database:` in snaphold.yaml, or --database env:NAME; see docs/how-to/run-on-many-machines.md",
        )
    nobody = Actor(id="worker", name="Snaphold worker", roles=(), login=current_login(), uses_grants=False)
    return Runtime(configuration, open_ledger(configuration, clock), clock, nobody)


def _stop_on_signals(worker: Worker) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
