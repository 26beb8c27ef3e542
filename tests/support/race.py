"""One worker of the race in tests/ledger/test_race.py: `python -m support.race FOLDER KEYS SEED DEATHS`.

It works through all keys in its own order. At random points it kills its own process with SIGKILL.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snaphold.clock import SystemClock
from snaphold.errors import BusyError
from snaphold.execute import execute
from snaphold.ledger.database import DatabaseLedger
from support.ledgers import configure, make_context
from support.toy_actions import FileVendor, install, looked_up, toy

PAUSE_SECONDS = 0.002
LONGEST_WAIT_SECONDS = 240.0
"""Another worker may stand still while it writes; the race is not about that."""


def work(folder: Path, keys: int, seed: int, deaths: float) -> None:
    """Settle every key, whoever does it; die at random."""
    dice = random.Random(seed)  # noqa: S311  a race that can be repeated, not a secret

    def maybe_die() -> None:
        if dice.random() < deaths:
            os.kill(os.getpid(), signal.SIGKILL)

    install(_patch(), toy(looked_up(FileVendor(folder / "starts"), before=maybe_die, after=maybe_die)))
    configuration = configure(folder, sign=False)
    clock = SystemClock()
    ledger = DatabaseLedger(folder / "ledger.sqlite", clock, busy_seconds=LONGEST_WAIT_SECONDS)
    left = [f"INC-1/start/asset-{number}/1" for number in range(keys)]
    dice.shuffle(left)
    while left:
        key = left.pop(0)
        try:
            execute("toy.start", {}, make_context(configuration, ledger, clock, key=key))
        except BusyError:
            left.append(key)
            time.sleep(PAUSE_SECONDS)


def _patch() -> Any:
    return SimpleNamespace(setattr=setattr)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
