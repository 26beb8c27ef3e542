"""The process that drives the runs of a ledger in a file: `python -m snaphold.service.drive_runs CONFIG [--quiet]`.

Each line on standard input says that there is something new to look for; its end says that the service is gone. Whoever
may start this may open the ledger's file anyway.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path
from types import FrameType

from snaphold.clock import SystemClock
from snaphold.config import load_configuration
from snaphold.domain.people import Actor
from snaphold.engine.shared_runs import exit_at_once
from snaphold.engine.worker import Settings, Worker
from snaphold.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, SnapholdError
from snaphold.identity import current_login
from snaphold.ledger import open_ledger
from snaphold.logs import log_to_stderr
from snaphold.runtime import Runtime
from snaphold.secrets import redact
from snaphold.service.tokens import actor_of_run

AT_ONCE = 256
"""A run that waits for a backup keeps a thread; one at a gate keeps nothing."""
TOGETHER = 8
LEASE = timedelta(seconds=60)
"""Only for a process that hangs: the death of one is seen at once."""
QUIET = "--quiet"
_CALLS_AT_ONCE = 4096
_TO_THE_SERVICE = 1
"""The descriptor of the pipe on which the service hears that this process works."""
log = logging.getLogger(__name__)


def main(words: list[str]) -> int:
    """Drive runs until SIGTERM, or until the service is gone; return an exit code."""
    given = [word for word in words[1:] if word != QUIET]
    if len(given) != 1:
        return EXIT_BAD_INPUT
    log_to_stderr("snaphold", quiet=QUIET in words)
    try:
        worker = _worker(Path(given[0]))
        _listen(worker)
        worker.work(_say_ready)
    except SnapholdError as error:
        log.error("%s", redact(str(error)))
        return EXIT_FAILED
    if worker.busy:
        logging.shutdown()
        os._exit(EXIT_INTERRUPTED)  # its threads may not act any more once the next one has the runs
    return EXIT_DONE


def _worker(config: Path) -> Worker:
    configuration, clock = load_configuration(config), SystemClock()
    nobody = Actor(id="driver", name="Snaphold run driver", roles=(), login=current_login(), uses_grants=False)
    runtime = Runtime(configuration, open_ledger(configuration, clock), clock, nobody)
    settings = Settings(at_once=AT_ONCE, take_together=TOGETHER, lease=LEASE)
    return Worker(runtime, lambda run: actor_of_run(configuration, runtime.ledger, run), settings, exit_at_once)


def _listen(worker: Worker) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop()

    def hear() -> None:
        while os.read(sys.stdin.fileno(), _CALLS_AT_ONCE):
            worker.ring()
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=hear, daemon=True, name="calls of the service").start()


def _say_ready() -> None:
    os.write(_TO_THE_SERVICE, b"working\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
