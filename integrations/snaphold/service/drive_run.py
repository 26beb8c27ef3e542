"""The process that drives one run for the service: `python -m snaphold.service.drive_run CONFIG PRINCIPAL DESCRIPTOR`.

The plan comes on standard input. The principal is a token's id or a webhook (`webhook:NAME`). The process acts for the
person of the token, with the token's roles, as long as that token was good when it began; or for the person of the webhook.
`run:ID` takes up that run in its requester's name, and nothing comes on standard input. Whoever may start this may open the
ledger's file anyway.
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
from snaphold.engine.driver import resume_run, start_run
from snaphold.engine.plan import plan_from
from snaphold.engine.run import find_run
from snaphold.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, SnapholdError
from snaphold.ledger import open_ledger
from snaphold.recorded import record_error
from snaphold.runtime import Runtime
from snaphold.secrets import redact
from snaphold.service.principals import RUN, actor_of_principal
from snaphold.service.tokens import actor_of_run

log = logging.getLogger("snaphold.service.drive_run")
_WORDS = 4


def main(words: list[str]) -> int:
    """Drive the run and return an exit code; how the run went stands in the register."""
    if len(words) != _WORDS:
        return EXIT_BAD_INPUT
    config, token, writer = Path(words[1]), words[2], int(words[3])
    try:
        configuration, clock = load_configuration(config), SystemClock()
        ledger = open_ledger(configuration, clock)
        if token.startswith(RUN):
            found = find_run(ledger, token.removeprefix(RUN))
            run = resume_run(Runtime(configuration, ledger, clock, actor_of_run(configuration, ledger, found)), found.id)
        else:
            actor = actor_of_principal(configuration, ledger, token, clock.now())
            plan = plan_from(json.loads(sys.stdin.buffer.read()))
            run = start_run(Runtime(configuration, ledger, clock, actor), plan)
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
