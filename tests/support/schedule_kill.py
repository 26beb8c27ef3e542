"""Kills a process that changes a schedule, at every boundary. A program of its own: `python -m support.schedule_kill FOLDER
KIND STEP...`.

The parent imports everything once and never starts a thread, so that each case is a cheap fork of it. A boundary is before
and after each write to the ledger or the product. Prints how many cases were killed; the last case came through.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from snaphold.ledger.database import DatabaseLedger
from support.schedule_lab import REGULAR, ScheduleBook, ScheduleLab

FORMER = {"forgets": 7200, "remembers": REGULAR}
"""What stood in the product of each kind before it was touched."""


class Patch:
    """Sets attributes for good: the process ends soon."""

    def setattr(self, owner: Any, name: str, value: Any) -> None:
        """Set it."""
        setattr(owner, name, value)


def _around(owner: Any, method: str, cross: Callable[[], None]) -> None:
    inner: Callable[..., Any] = getattr(owner, method)

    def outer(*args: Any, **kwargs: Any) -> Any:
        cross()
        result = inner(*args, **kwargs)
        cross()
        return result

    setattr(owner, method, outer)


def _process(folder: Path, kind: str, fatal: int, steps: Sequence[str]) -> None:
    crossed = [0]

    def cross() -> None:
        crossed[0] += 1
        if crossed[0] == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    lab = ScheduleLab(folder, kind).install(Patch())
    for method in ("append", "settle"):
        _around(DatabaseLedger, method, cross)
    _around(ScheduleBook, "change", cross)
    for step in steps:
        _ = lab.tighten() if step == "tighten" else lab.restore()


def main(words: list[str]) -> int:
    """Run the cases one after the other, each in a folder of its own, named by its boundary."""
    root, kind, steps = Path(words[1]), words[2], words[3:]
    fatal, status = 0, -1
    while status != 0:
        fatal += 1
        folder = root / str(fatal)
        folder.mkdir(parents=True)
        ScheduleBook(folder / "product.json").change("files-01", FORMER[kind])
        child = os.fork()
        if child == 0:
            try:
                _process(folder, kind, fatal, steps)
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        if status != 0 and not os.WIFSIGNALED(status):
            return 1
    print(fatal - 1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
