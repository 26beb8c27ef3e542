"""Plays the drill: workers drive runs, some are killed or made to stand still, and what became of it is counted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from snaphold.action import exercise_with
from snaphold.clock import SystemClock, format_duration
from snaphold.drill.estate import BOOK, open_drill, plans, throw_away_database, write_configuration
from snaphold.drill.vendor import drill_actions, read_book, take_all
from snaphold.engine.run import Run, RunStatus
from snaphold.engine.shared_runs import register_run
from snaphold.errors import StorageError, TimedOutError
from snaphold.ledger.entry import Entry
from snaphold.ledger.verify import verify_ledger
from snaphold.runtime import Runtime

VARIABLE = "SNAPHOLD_DRILL_DATABASE"
LOOK_SECONDS = 0.1
CALM_SECONDS = (0.5, 2.0)
"""Between two deaths; drawn from the seed."""
_GOODBYE_SECONDS = 30
STANDS_STILL = "made to stand still"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """How large the drill is. `stall`: the last of the `deaths` stands still instead, and wakes up when all is over."""

    workers: int = 3
    assets: int = 60
    deaths: int = 3
    lease: timedelta = timedelta(seconds=5)
    seed: int = 1
    within: timedelta = timedelta(minutes=10)
    stall: bool = True


@dataclass
class Fate:
    """A worker of the drill and what became of it."""

    process: subprocess.Popen[bytes]
    id: str = ""
    how: str = "ended in order"
    at: datetime | None = None
    runs: int = 0
    seconds: tuple[float, ...] = ()
    """For each of its runs: from its death until another worker had the run."""


@dataclass(frozen=True)
class Outcome:
    """What a drill found. `good`: everything started exactly once, nothing was lost, and the audit trail holds."""

    assets: int
    starts: int
    doubled: int
    lost: int
    unfinished: int
    faults: tuple[str, ...]
    fates: tuple[Fate, ...]
    seconds: float
    woke_and_wrote: int = 0
    """Entries that a worker wrote after it had stood still and its runs had gone elsewhere."""

    @property
    def good(self) -> bool:
        """Whether the drill succeeded."""
        return not (self.doubled or self.lost or self.unfinished or self.faults or self.woke_and_wrote)

    @property
    def takeovers(self) -> list[float]:
        """Return the seconds of every takeover, shortest first."""
        return sorted(seconds for fate in self.fates for seconds in fate.seconds)


def play(url: str, folder: Path, wanted: Wanted, tell: Tell) -> Outcome:
    """Play the drill on a throw-away database beside `url` and return what it found.

    Raises TimedOutError when the runs did not end in time, and LedgerError when the server cannot be used.
    """
    with throw_away_database(url) as address:
        os.environ[VARIABLE] = address
        config = write_configuration(folder, VARIABLE)
        runtime = open_drill(config, SystemClock())
        exercise_with(drill_actions(folder / BOOK))
        try:
            return _Drill(runtime, config, folder, wanted, tell).play()
        finally:
            exercise_with(None)
            runtime.ledger.close()
            del os.environ[VARIABLE]


@dataclass
class _Drill:
    runtime: Runtime
    config: Path
    folder: Path
    wanted: Wanted
    tell: Tell
    fates: list[Fate] = field(default_factory=list[Fate])

    def play(self) -> Outcome:
        began = time.monotonic()
        keys: list[str] = []
        for plan, wanted in plans(self.wanted.assets, self.runtime.clock.now()):
            register_run(self.runtime, plan)
            keys += wanted
        self.tell(f"{len(keys)} assets wait for {self.wanted.workers} workers")
        try:
            self._kill_while_they_work()
            written = self._wake()
        finally:
            self._end()
        return self._count(keys, time.monotonic() - began, written)

    def _kill_while_they_work(self) -> None:
        dice = random.Random(self.wanted.seed)  # noqa: S311  a drill that can be repeated, not a secret
        deadline = time.monotonic() + self.wanted.within.total_seconds()
        left, next_death = self.wanted.deaths, time.monotonic() + dice.uniform(*CALM_SECONDS)
        if not left:
            take_all(self.folder / BOOK)
        while not all(run.has_ended for run in self._runs()):
            if time.monotonic() > deadline:
                raise TimedOutError(
                    f"the drill did not end within {format_duration(self.wanted.within)}", "its workers' log is in the folder",
                    "--dir keeps it; look at workers.log",
                )  # fmt: skip
            while len(self._alive()) < self.wanted.workers:
                self._launch()
            if left and time.monotonic() > next_death and self._strike(dice, last=left == 1):
                left, next_death = left - 1, time.monotonic() + dice.uniform(*CALM_SECONDS)
                if not left:
                    take_all(self.folder / BOOK)
            time.sleep(LOOK_SECONDS)

    def _strike(self, dice: random.Random, *, last: bool) -> bool:
        """Have a worker that drives runs die, or stand still; return whether there was one."""
        from snaphold.engine.workers import list_workers

        busy = {line.id: line.runs for line in list_workers(self.runtime.ledger) if line.runs}
        able = [fate for fate in self._alive() if fate.id in busy]
        if not able:
            return False
        fate = dice.choice(able)
        stalls = last and self.wanted.stall
        fate.process.send_signal(signal.SIGSTOP if stalls else signal.SIGKILL)
        fate.at, fate.runs = datetime.now(timezone.utc), busy[fate.id]
        fate.how = STANDS_STILL if stalls else "killed (SIGKILL)"
        self.tell(f"{fate.id} was {fate.how}; it drove {fate.runs} runs")
        return True

    def _alive(self) -> list[Fate]:
        return [fate for fate in self.fates if fate.at is None and fate.process.poll() is None]

    def _launch(self) -> None:
        lease = format_duration(self.wanted.lease)
        try:
            with (self.folder / "workers.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "snaphold.drill.worker", str(self.config), lease],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise StorageError("a worker of the drill cannot be started", error.strerror, "check memory and disk") from error
        fate = Fate(process)
        self.fates.append(fate)
        threading.Thread(target=_hear, args=(fate,), daemon=True).start()

    def _runs(self) -> list[Run]:
        return self.runtime.ledger.records(Run)

    def _wake(self) -> int:
        """Wake what stood still, wait until it has ended, and return how many entries came after it woke up."""
        before = len(self.runtime.ledger.entries())
        for fate in self.fates:
            if fate.how == STANDS_STILL:
                fate.process.send_signal(signal.SIGCONT)
                code = _wait(fate.process)
                self.tell(f"{fate.id} woke up and ended with exit code {code}")
        awake = {fate.id for fate in self.fates if fate.how == STANDS_STILL}
        return sum(not _is_of_others(entry, awake) for entry in self.runtime.ledger.entries()[before:])

    def _end(self) -> None:
        for fate in self.fates:
            if fate.process.poll() is None:
                fate.process.send_signal(signal.SIGCONT)
                fate.process.terminate()
        for fate in self.fates:
            _wait(fate.process)

    def _count(self, keys: list[str], seconds: float, woke_and_wrote: int) -> Outcome:
        entries = self.runtime.ledger.entries()
        for fate in self.fates:
            fate.seconds = _takeovers(entries, fate)
            if fate.at is None and fate.process.returncode:
                fate.how = f"ended by itself (exit code {fate.process.returncode})"
        starts = Counter(read_book(self.folder / BOOK))
        report = verify_ledger(self.runtime.ledger, lambda _message, _signature, _at: None)
        return Outcome(
            assets=len(keys), starts=sum(starts.values()), doubled=sum(count - 1 for count in starts.values()),
            lost=len(set(keys) - set(starts)), unfinished=sum(run.status is not RunStatus.DONE for run in self._runs()),
            faults=tuple(fault.message for fault in report.faults), fates=tuple(self.fates), seconds=seconds,
            woke_and_wrote=woke_and_wrote,
        )  # fmt: skip


def _hear(fate: Fate) -> None:
    """Learn the worker's id, which it says when it works."""
    if fate.process.stdout is not None:
        fate.id = fate.process.stdout.readline().decode("ascii", "replace").strip()


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_GOODBYE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _is_of_others(entry: Entry, awake: set[str]) -> bool:
    """Return whether the other workers made an entry: that a run lost its worker, or that one of them has it now."""
    return entry.action == "run.orphan" or (entry.action == "run.take" and entry.detail["worker"] not in awake)


def _takeovers(entries: list[Entry], fate: Fate) -> tuple[float, ...]:
    """Return, for each run of a worker that died, the seconds until another worker had it."""
    found: list[float] = []
    for index, entry in enumerate(entries):
        if fate.at is None or entry.action != "run.orphan" or entry.detail["worker"] != fate.id:
            continue
        taken = next((later for later in entries[index:] if (later.action, later.run) == ("run.take", entry.run)), None)
        if taken is not None:
            found.append((taken.at - fate.at).total_seconds())
    return tuple(found)
