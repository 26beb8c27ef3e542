"""What the service does by itself every few seconds: schedules go back, extra backups are taken, approvals announced."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from snaphold.domain.incident import IncidentRecord
from snaphold.domain.people import Actor
from snaphold.errors import SnapholdError
from snaphold.execute import execute
from snaphold.runtime import Runtime
from snaphold.schedules.change import FIRST_WAIT, LONGEST_WAIT, is_due, tightened_schedules
from snaphold.schedules.extra import is_backup_due, take_extra
from snaphold.schedules.record import TightenedSchedule
from snaphold.service.announce import announce, due_announcements
from snaphold.service.inbox import Inbox
from snaphold.service.principals import actor_of_person, actor_of_webhook
from snaphold.service.refusals import RefusalLog

EVERY_SECONDS = 5.0
CASES_EVERY = timedelta(minutes=1)
LOGIN = "service"
log = logging.getLogger(__name__)
Found = TypeVar("Found")


@dataclass(frozen=True)
class _Wait:
    faults: int
    until: datetime


@dataclass
class Keeper:
    """Calls `look` every few seconds in a thread of its own, beginning at once."""

    runtime: Runtime
    inbox: Inbox
    every_seconds: float = EVERY_SECONDS
    refusals: RefusalLog | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _waits: dict[str, _Wait] = field(default_factory=dict[str, _Wait])
    _announced: set[str] = field(default_factory=set[str])
    _thread: threading.Thread | None = None
    _cases_seen: datetime | None = None

    def open(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, daemon=True, name="keeper of schedules")
        self._thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """End, and wait for what is being done, for so many seconds at most."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def look(self) -> None:
        """Do what is due now. A fault is logged once and tried again; it never ends the service."""
        self._guarded("deliveries", self.inbox.repeat_due)
        if self.refusals is not None:
            self.refusals.settle(self.runtime.clock.now())
        for one in self._guarded("approvals", lambda: list(due_announcements(self.runtime, self._announced))) or []:
            if self._guarded(one.id, lambda note=one: announce(note, self.runtime, LOGIN)):
                self._announced.add(one.id)
        for schedule in self._guarded("schedules", lambda: tightened_schedules(self.runtime.ledger)) or []:
            now = self.runtime.clock.now()
            if is_due(schedule, now):
                self._guarded(schedule.id, lambda one=schedule: reconcile(one, self.runtime))
            if is_backup_due(schedule, now):
                self._guarded(f"{schedule.id}.extra", lambda one=schedule: self._extra(one))

        self._guarded("cases", self._catch_up)

    def _catch_up(self) -> None:
        """Look at the cases that are owed a look, in the name of whom the configuration says."""
        now = self.runtime.clock.now()
        if self._cases_seen is not None and now - self._cases_seen < CASES_EVERY:
            return
        self._cases_seen = now
        actor = self._follower()
        if actor is None:
            return
        from snaphold.case_loop import catch_up

        acting = replace(self.runtime, actor=actor)
        catch_up(acting, on_error=lambda case, error: log.error("the case %s: %s", case, error))

    def _follower(self) -> Actor | None:
        """Return in whose name cases are followed: a configured person, else who stands behind a webhook, else nobody."""
        configuration = self.runtime.configuration
        if configuration.service.follows_cases_as is not None:
            return actor_of_person(configuration, configuration.service.follows_cases_as, LOGIN)
        hook = next((one for one in configuration.webhooks if one.integration is not None), None)
        return None if hook is None else actor_of_webhook(configuration, hook.name)

    def _extra(self, schedule: TightenedSchedule) -> None:
        actor = actor_of_person(self.runtime.configuration, schedule.last_by, LOGIN)
        fault = take_extra(schedule.id, self.runtime, actor).fault
        if fault:
            log.error("the extra backup of %s in %s: %s", schedule.asset, schedule.pool, fault)

    def _run(self) -> None:
        while True:
            self.look()
            if self._ended.wait(self.every_seconds):
                return

    def _guarded(self, what: str, act: Callable[[], Found | None]) -> Found | None:
        """Do one thing. After a fault it is left alone for a while that grows, so that it cannot fill log and ledger."""
        now = self.runtime.clock.now()
        waits = self._waits.get(what)
        if waits is not None and now < waits.until:
            return None
        try:
            found = act()
        except SnapholdError as error:
            log.error("%s: %s", what, error)
        except Exception:
            log.exception("%s: unforeseen fault", what)
        else:
            self._waits.pop(what, None)
            return found
        faults = waits.faults + 1 if waits is not None else 1
        self._waits[what] = _Wait(faults, now + min(FIRST_WAIT * 2 ** min(faults - 1, 10), LONGEST_WAIT))
        return None


def reconcile(schedule: TightenedSchedule, runtime: Runtime) -> None:
    """Bring one schedule up to date through `schedule.reconcile`, in the name of who tightened it.

    Raises NotAuthorisedError when that person is gone or may not any more, and what the product raises.
    """
    acting = replace(runtime, actor=actor_of_person(runtime.configuration, schedule.last_by, LOGIN))
    known = runtime.ledger.record(IncidentRecord, schedule.incident)
    if known is None:
        raise SnapholdError(
            f"the incident {schedule.incident} is not known here", None, "snaphold do schedule.reconcile --incident FILE"
        )
    # Every look is a deed of its own: what is due now was not due the last time.
    key = f"{schedule.incident}/schedule.reconcile/{schedule.asset}/{int(runtime.clock.now().timestamp() * 1000)}"
    context = acting.context(known.declared, justification="A demand ended, or a change was left half done", key=key)
    execute("schedule.reconcile", {"assets": [schedule.asset]}, context)
