"""A worker: takes runs that are shared, drives several at a time, and notices when another worker is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from snaphold import standing
from snaphold.domain.authority import Approval, ApprovalState
from snaphold.domain.people import Actor
from snaphold.engine import leaving, tenures, workers
from snaphold.engine.drive import Drive
from snaphold.engine.heartbeat import Heartbeat, pulse_of
from snaphold.engine.local_workers import forget_lock, life_of
from snaphold.engine.plan import check_plan, plan_from
from snaphold.engine.run import Run, RunStatus, find_run
from snaphold.engine.steps import Listener, nobody
from snaphold.engine.tenures import Ended, State, Taken, WorkerState
from snaphold.errors import NotAuthorisedError, SnapholdError
from snaphold.runtime import Runtime
from snaphold.secrets import redact

log = logging.getLogger(__name__)
LEASE = timedelta(seconds=15)
"""A worker that gives no sign of life for so long is lost. Longer than PostgreSQL needs to restart."""
AT_ONCE = 16
LOOK_SECONDS = 0.25
CENSUS_SECONDS = 15.0
"""So often a worker looks for parts of its runs that no thread drives."""
AGAIN_IN = timedelta(seconds=10)
"""A run whose surroundings failed is taken again after so long."""
OTHER_VERSION_AGAIN_IN = timedelta(minutes=5)
"""So is a run of another version of the run engine: each take is an entry of the audit trail."""
GRACE_SECONDS = 25.0
ActorOf = Callable[[Run], Actor]


@dataclass(frozen=True)
class Settings:
    """How a worker works. `only`: the one run that it drives, for a person who waits for it; else any."""

    at_once: int = AT_ONCE
    take_together: int = AT_ONCE
    """So many runs are taken in one transaction at most: the first of them waits until all are taken."""
    lease: timedelta = LEASE
    look_seconds: float = LOOK_SECONDS
    again_in: timedelta = AGAIN_IN
    census_seconds: float = CENSUS_SECONDS
    only: str = ""
    stay_at_gates: bool = False
    listener: Listener = nobody


@dataclass
class _Held:
    """A run that this worker has taken, and the drive that its parts share."""

    taken: Taken
    drive: Drive
    called: bool = False
    """Somebody called while it was driven, perhaps just after it had looked for the last time."""
    unattended: frozenset[str] = frozenset()
    """The parts that no thread drove when it was looked last."""


class Worker:
    """Drives runs until it is stopped. One for each process: the run engine is the process's own."""

    def __init__(self, runtime: Runtime, actor_of: ActorOf, settings: Settings, lost: Callable[[str], None]) -> None:
        """`actor_of` says in whose name a run acts; `lost` ends the process, because its runs may be taken now."""
        self.runtime = runtime
        self.settings = settings
        self.id = workers.name_worker()
        self._actor_of = actor_of
        self._lost = lost
        self._held: dict[str, _Held] = {}
        self._unwanted: list[Ended] = []
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._swept = 0.0
        self._counted = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether it still has runs; after `work` these are at a step that did not end in time."""
        return bool(self._held or self._unwanted)

    def stop(self) -> None:
        """Take no more runs, leave those that are driven at their next step, and end."""
        self._stopping.set()
        self._news.set()

    def ring(self) -> None:
        """Look for runs now, and not only when it is time to."""
        self._news.set()

    def work(self, ready: Callable[[], None] = lambda: None) -> None:
        """Drive runs until `stop`, or until the only run has ended or was left. Raises LedgerError at the beginning only."""
        from snaphold.engine import shared

        ledger, settings = self.runtime.ledger, self.settings
        with life_of(ledger, self.id):
            workers.register(ledger, self.id, settings.at_once, settings.lease)
            heart = Heartbeat(pulse_of(self.runtime, settings.lease), self.id, settings.lease, self._lost)
            standing.depend_on(lambda: heart.late)
            try:
                with shared.shared_engine(self.runtime.configuration, self.id):
                    ready()
                    self._loop()
                    self._leave_all()
                    if not self.busy:  # else it stays as it is, and the others take its runs when it is overdue
                        _try(lambda: workers.set_state(ledger, self.id, WorkerState.STOPPED))
                        forget_lock(ledger, self.id)
            finally:
                standing.depend_on(None)
                heart.stop()

    def _loop(self) -> None:
        if self.settings.only:
            self._take_up(tenures.take(self.runtime.ledger, self.settings.only, self.id))
        while not self._stopping.is_set():
            self._news.clear()
            self._collect()
            if self.settings.only and not self._held:
                return
            _try(self._look)
            if time.monotonic() - self._counted >= self.settings.census_seconds:
                self._counted = time.monotonic()
                _try(self._attend)
                _try(self._return_strays)
            self._news.wait(self.settings.look_seconds)  # a run that has ended makes room for the next at once

    def _look(self) -> None:
        from snaphold.engine import durable

        ledger, settings = self.runtime.ledger, self.settings
        if time.monotonic() - self._swept >= settings.lease.total_seconds() / 5:
            self._sweep()
        due, called = tenures.look(ledger, self.id)
        for run in tenures.take_calls(ledger, self.id) if called else ():
            if run in self._held:
                self._held[run].called = True
                durable.wake_here(self._held[run].drive)
        while due and not settings.only and not self._stopping.is_set():
            most = min(settings.take_together, settings.at_once - len(self._held))
            taken = tenures.take_due(ledger, self.id, most) if most > 0 else []
            for one in taken:
                self._take_up(one)
            if len(taken) < most or not taken:
                return

    def _sweep(self) -> None:
        from snaphold.engine import shared

        self._swept = time.monotonic()
        for one in workers.sweep(self.runtime.ledger):
            log.warning("%s was driven by the lost worker %s; it goes on elsewhere", one.run, one.worker)
            shared.remove_queue(one.worker)

    def _return_strays(self) -> None:
        """Give back runs that are this worker's in the table only: the answer to the transaction that took them was lost."""
        known = {*self._held, *(one.taken.tenant.run for one in self._unwanted)}
        for taken in tenures.taken_by(self.runtime.ledger, self.id):
            if taken.tenant.run not in known:
                log.warning("%s was taken without this worker's knowing; it is given back", taken.tenant.run)
                self._unwanted.append(Ended(taken, State.WANTED))

    def _attend(self) -> None:
        """Take up again every part of a run that is open and has had no thread here for two looks.

        DBOS marks a part as begun in one transaction and reads it in the next, and records its end in a third. When the
        database breaks between them the part is nobody's, and its run would stand still as long as this worker lives.
        """
        from snaphold.engine import durable, shared

        for id, held in self._held.items():
            before, held.unattended = held.unattended, frozenset[str]()
            if id in held.drive.finished:
                continue
            held.unattended = held.drive.unattended(durable.open_parts(held.drive))
            if lost := sorted(before & held.unattended):
                log.warning("%s stood still: nothing drove %s here; it is taken up again", id, ", ".join(lost))
                shared.resume_parts(lost, self.id)
                held.unattended = frozenset[str]()

    def _take_up(self, taken: Taken) -> None:
        """Go on with a run. What keeps it from going on here gives it back, to be tried again."""
        from snaphold.engine import shared

        run = taken.tenant.run
        try:
            drive = self._drive_of(taken)
            if drive is None:
                self._unwanted.append(Ended(taken, State.ENDED))
                return
            self._held[run] = _Held(taken, drive)
            log.info("%s is driven here (fence %d)", run, taken.tenant.fence)
            shared.take_up(drive, self.id, first=taken.tenant.fence == 1)
        except Exception as error:
            self._held.pop(run, None)
            log.error("%s cannot be driven here: %s", run, redact(str(error)))
            if self.settings.only:
                tenures.let_go_all(self.runtime.ledger, [Ended(taken, State.LEFT)])
                raise
            state = State.LEFT if isinstance(error, NotAuthorisedError) else State.WAITING
            # A worker of another version may still be there.
            again_in = OTHER_VERSION_AGAIN_IN if isinstance(error, leaving.OtherVersionError) else None
            self._unwanted.append(Ended(taken, state, again_in))

    def _drive_of(self, taken: Taken) -> Drive | None:
        runtime = self.runtime
        ledger = runtime.ledger.guarded(tenures.guard_of(taken), taken.tenant.name)
        run = find_run(ledger, taken.tenant.run)
        if run.has_ended:
            return None
        check_plan(run, taken.plan_sha256, "the database")
        own = replace(runtime, ledger=ledger, actor=self._actor_of(run))
        settings = self.settings
        drive = Drive(own, plan_from(taken.plan), run, settings.listener, settings.stay_at_gates)
        drive.ended = self._news.set
        return drive

    def _collect(self) -> None:
        """Give back every run that has ended, was left, or could not be driven here."""
        from snaphold.engine import shared

        ended: dict[str, _Held] = {}
        for run, held in self._held.items():
            if run not in held.drive.finished:
                continue
            if held.drive.at_work.total():  # a branch is still at a step: nobody else may have the run before it has ended
                held.drive.leaving.set()
                continue
            ended[run] = held

        def give_back() -> None:
            given = [*self._unwanted, *(Ended(held.taken, self._state_after(held)) for held in ended.values())]
            tenures.let_go_all(self.runtime.ledger, [self._timed(one) for one in given])

        if (ended or self._unwanted) and _try(give_back):
            self._unwanted.clear()
            for run, held in ended.items():
                shared.put_down(held.drive)
                del self._held[run]

    def _state_after(self, held: _Held) -> State:
        drive, left = held.drive, held.drive.left.get(held.drive.run.id)
        if left is None:
            return State.ENDED
        if left.cause is not None:
            log.warning("%s was left: %s", drive.run.id, redact(str(left.cause)))
        if self.settings.only:
            return State.LEFT
        if left.cause is not None:
            return State.WAITING
        return State.WAITING if left.waiting and not held.called else State.WANTED

    def _timed(self, ended: Ended) -> Ended:
        """Return it with the time after which a waiting run is taken again, unless it says one."""
        if ended.state is not State.WAITING or ended.again_in is not None:
            return ended
        return replace(ended, again_in=self._until_asked_again(ended.taken))

    def _until_asked_again(self, taken: Taken) -> timedelta:
        """Return how long a waiting run can be let alone: until its next question runs out."""
        ledger, now = self.runtime.ledger, self.runtime.clock.now()
        run = find_run(ledger, taken.tenant.run)
        if run.status is not RunStatus.WAITING:
            return self.settings.again_in
        mine = [one for one in ledger.records(Approval, run.incident) if one.run == run.id]
        ends = [one.expires_at - now for one in mine if one.state is ApprovalState.WAITING]
        return max(min(ends, default=self.settings.again_in), timedelta(0))

    def _leave_all(self) -> None:
        from snaphold.engine import durable

        for held in self._held.values():
            _try(lambda held=held: durable.leave(held.drive))
        _try(lambda: workers.set_state(self.runtime.ledger, self.id, WorkerState.STOPPING))
        deadline = time.monotonic() + GRACE_SECONDS
        _try(self._return_strays)
        while self.busy and time.monotonic() < deadline:
            self._collect()
            time.sleep(LOOK_SECONDS / 5)
        for held in self._held.values():
            log.warning("%s is still at a step; it goes on elsewhere once this worker counts as lost", held.drive.run.id)


def _try(work: Callable[[], Any]) -> bool:
    """Do what can be done again in a moment; return whether it was done."""
    try:
        work()
    except Exception as error:  # noqa: BLE001  it is logged, and the loop does it again
        what = error if isinstance(error, SnapholdError) else f"{type(error).__name__}: {error}"
        log.warning("%s", redact(str(what)))
        return False
    return True
