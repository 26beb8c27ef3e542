"""Takes up one run that was begun without the service: `python -m snaphold.service.drive_run CONFIG RUN DESCRIPTOR`.

Such a run has a file of its own, so it has a process of its own, which acts in its requester's name. Whoever may start this
may open the ledger's file anyway.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from snaphold.clock import SystemClock
from snaphold.config import load_configuration
from snaphold.domain.outcome import Outcome
from snaphold.engine.driver import resume_run
from snaphold.engine.run import find_run
from snaphold.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, SnapholdError
from snaphold.ledger import open_ledger
from snaphold.recorded import record_error
from snaphold.runtime import Runtime
from snaphold.secrets import redact
from snaphold.service.tokens import actor_of_run

log = logging.getLogger("snaphold.service.drive_run")
_WORDS = 4


def main(words: list[str]) -> int:
    """Drive the run and return an exit code; how the run went stands in the register."""
    if len(words) != _WORDS:
        return EXIT_BAD_INPUT
    config, writer = Path(words[1]), int(words[3])
    try:
        configuration, clock = load_configuration(config), SystemClock()
        ledger = open_ledger(configuration, clock)
        found = find_run(ledger, words[2])
        run = resume_run(Runtime(configuration, ledger, clock, actor_of_run(configuration, ledger, found)), found.id)
    except SnapholdError as error:
        log.error("%s", redact(str(error)))
        _tell(writer, record_error(error, Outcome.FAILED))
        return EXIT_FAILED
    log.info("%s: %s", run.id, run.status.value)
    return EXIT_DONE


def _tell(writer: int, error: dict[str, Any]) -> None:
    """Tell the service why the run did not begin; later nobody listens any more, and the log has it."""
    with contextlib.suppress(OSError):
        os.write(writer, json.dumps(error).encode("utf-8") + b"\n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    sys.exit(main(sys.argv))
