"""A worker of a drill: `python -m snaphold.drill.worker CONFIG LEASE`. The same worker as `snaphold worker`, other actions."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from snaphold.action import exercise_with
from snaphold.clock import SystemClock, parse_duration
from snaphold.config import load_configuration
from snaphold.drill.estate import BOOK, PERSON
from snaphold.drill.vendor import drill_actions
from snaphold.engine.shared_runs import exit_at_once
from snaphold.engine.worker import Settings, Worker
from snaphold.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, SnapholdError
from snaphold.identity import actor_of
from snaphold.ledger import open_ledger
from snaphold.runtime import Runtime

_WORDS = 3
_AT_ONCE = 4


def main(words: list[str]) -> int:
    """Drive runs until SIGTERM; return an exit code. Writes the worker's id to the file descriptor 1, in one line."""
    if len(words) != _WORDS:
        return EXIT_BAD_INPUT
    config, lease = Path(words[1]), parse_duration(words[2])
    try:
        configuration, clock = load_configuration(config), SystemClock()
        exercise_with(drill_actions(configuration.path(BOOK)))
        person = next(one for one in configuration.people if one.id == PERSON)
        runtime = Runtime(configuration, open_ledger(configuration, clock), clock, actor_of(configuration, person, PERSON))
        worker = Worker(runtime, lambda _: runtime.actor, Settings(at_once=_AT_ONCE, lease=lease), exit_at_once)
        _stop_on_sigterm(worker)
        worker.work(lambda: _say(worker.id))
    except SnapholdError as error:
        logging.getLogger(__name__).error("%s", error)
        return EXIT_FAILED
    return EXIT_DONE


def _stop_on_sigterm(worker: Worker) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)


def _say(id: str) -> None:
    os.write(1, f"{id}\n".encode("ascii"))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    code = main(sys.argv)
    logging.shutdown()
    os._exit(code)
