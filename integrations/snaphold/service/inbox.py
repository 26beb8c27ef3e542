"""Works on accepted deliveries in the background, those of one incident one after the other, also after a restart.

First come the runs that they start. What a delivery says of its case is followed up afterwards, one case after the other:
in a storm of incidents the backups must not wait for it.
"""

from __future__ import annotations

import heapq
import logging
import queue
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from snaphold.clock import format_duration
from snaphold.errors import InputError, NotAuthorisedError, SnapholdError
from snaphold.execute import action_key, execute
from snaphold.incident_register import remember_incident
from snaphold.ledger.entry import Event, NewEntry
from snaphold.platforms.base import CaseStatus
from snaphold.recorded import redact_record
from snaphold.runtime import Runtime
from snaphold.secrets import redact
from snaphold.service.principals import actor_of_webhook
from snaphold.service.records import CaseStatusSeen, DeliveryState, WebhookDelivery
from snaphold.service.webhook_runs import start_runs
from snaphold.webhooks.triggers import ScheduleOrder

WORKERS = 4
MOST_WAITING = 10_000
MOST_ATTEMPTS = 6
FIRST_WAIT_SECONDS = 2.0
BETWEEN_CASES_SECONDS = 0.2
log = logging.getLogger(__name__)
StartRuns = Callable[[Runtime, WebhookDelivery], tuple[str, ...]]


def _nobody() -> None:
    """Tell nobody."""


@dataclass
class _Begun:
    """A delivery whose runs and schedules were seen to: what came of them."""

    delivery: WebhookDelivery
    runtime: Runtime
    runs: tuple[str, ...] = ()
    faults: list[SnapholdError] = field(default_factory=list[SnapholdError])
    findings: list[str] = field(default_factory=list[str])
    broke_off: bool = False


class Inbox:
    """The deliveries that this service works on. What is not done when it ends is done by the next one."""

    def __init__(self, runtime: Runtime, *, start: StartRuns = start_runs, ring: Callable[[], None] = _nobody) -> None:
        """`ring` is called when there may be a new run to drive."""
        self._runtime = runtime
        self._start = start
        self._ring = ring
        self._queues: list[queue.Queue[str]] = [queue.Queue() for _ in range(WORKERS)]
        self._cases: queue.Queue[_Begun | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._later: list[tuple[float, str, str]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def open(self) -> None:
        """Begin to work, first on what an earlier service left."""
        for waiting in self._queues:
            thread = threading.Thread(target=self._work, args=(waiting,), daemon=True, name="webhook deliveries")
            self._threads.append(thread)
        self._threads.append(threading.Thread(target=self._follow_cases, daemon=True, name="cases of deliveries"))
        for thread in self._threads:
            thread.start()
        for delivery in self._runtime.ledger.records(WebhookDelivery):
            if delivery.state is DeliveryState.ACCEPTED:
                self.add(delivery)

    def close(self, seconds: float = 5.0) -> None:
        """Begin nothing more and wait for what is at work, for so many seconds at most."""
        self._ended.set()
        for waiting in self._queues:
            waiting.put("")
        self._cases.put(None)
        for thread in self._threads:
            thread.join(seconds)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that no more should be accepted."""
        return sum(waiting.qsize() for waiting in self._queues) + self._cases.qsize() >= MOST_WAITING

    def add(self, delivery: WebhookDelivery) -> None:
        """Have a recorded delivery worked on."""
        self._queues[zlib.crc32(delivery.incident.encode()) % WORKERS].put(delivery.id)

    def repeat_due(self) -> None:
        """Have those worked on again whose time to wait after a fault is over. To be called every few seconds."""
        now = self._runtime.clock.now().timestamp()
        with self._lock:
            while self._later and self._later[0][0] <= now:
                _, incident, id = heapq.heappop(self._later)
                self._queues[zlib.crc32(incident.encode()) % WORKERS].put(id)

    def work_on(self, id: str) -> WebhookDelivery | None:
        """Do what a delivery asks for and return it as it stands then; None when it is not (any more) to be done."""
        begun = self._begin(id)
        return None if begun is None else self._finish(begun)

    def _begin(self, id: str) -> _Begun | None:
        delivery = self._runtime.ledger.record(WebhookDelivery, id)
        if delivery is None or delivery.state is not DeliveryState.ACCEPTED:
            return None
        begun = _Begun(delivery, self._runtime)
        try:
            begun.runtime = runtime = replace(
                self._runtime, actor=actor_of_webhook(self._runtime.configuration, delivery.webhook)
            )
            if delivery.schedules or delivery.playbooks:
                remember_incident(delivery.declared, runtime.ledger, runtime.actor, runtime.clock)
            for order in delivery.schedules:
                _guarded(lambda order=order: _change_schedule(order, delivery, runtime), begun.faults, begun.findings)
            if delivery.playbooks:
                try:
                    begun.runs = self._start(runtime, delivery)
                finally:
                    self._ring()
        except SnapholdError as error:
            begun.faults.append(error)
            begun.broke_off = True
        return begun

    def _finish(self, begun: _Begun) -> WebhookDelivery:
        if not begun.broke_off:
            _guarded(lambda: _hand_over_status(begun.delivery, begun.runtime), begun.faults, begun.findings)
        return self._settle(begun.delivery, begun.runs, begun.faults, begun.findings)

    def _work(self, waiting: queue.Queue[str]) -> None:
        while True:
            id = waiting.get()
            if self._ended.is_set():
                return
            try:
                begun = self._begin(id)
                if begun is not None and begun.delivery.status is not None:
                    self._cases.put(begun)
                elif begun is not None:
                    self._finish(begun)
            except Exception:
                # It stays accepted in the register: the next service takes it up, and says again what is wrong.
                log.exception("the delivery %s could not be worked on", id)

    def _follow_cases(self) -> None:
        while (begun := self._cases.get()) is not None and not self._ended.is_set():
            try:
                self._finish(begun)
            except Exception:
                log.exception("the delivery %s could not be worked on", begun.delivery.id)
            self._ended.wait(BETWEEN_CASES_SECONDS)

    def _settle(
        self, delivery: WebhookDelivery, runs: tuple[str, ...], faults: list[SnapholdError], findings: list[str]
    ) -> WebhookDelivery:
        attempts = delivery.attempts + 1
        lasting = all(isinstance(error, (InputError, NotAuthorisedError)) for error in faults)
        again = bool(faults) and not lasting and attempts < MOST_ATTEMPTS
        state = DeliveryState.ACCEPTED if again else DeliveryState.FAILED if faults else DeliveryState.DONE
        told = [*findings, *(redact(f"{error.what}: {error.why}" if error.why else error.what) for error in faults)]
        now = self._runtime.clock.now()
        after = redact_record(delivery.model_copy(update={
            "state": state, "runs": runs, "findings": tuple(told), "attempts": attempts, "ended_at": None if again else now,
        }))  # fmt: skip
        actor = self._runtime.actor
        entry = NewEntry(
            event=Event.SERVICE, actor=actor.id, login=actor.login, incident=after.incident, action="webhook.work",
            detail={"delivery": after.id, "state": state.value, "runs": list(runs), "findings": told, "attempt": attempts},
        )  # fmt: skip
        self._runtime.ledger.append(entry, [after])
        if again:
            with self._lock:
                wait = FIRST_WAIT_SECONDS * 2**delivery.attempts
                heapq.heappush(self._later, (now.timestamp() + wait, after.incident, after.id))
        elif faults:
            log.error("the delivery %s of %s failed: %s", after.id, after.webhook, "; ".join(told))
        return after


def _guarded(act: Callable[[], list[str]], faults: list[SnapholdError], findings: list[str]) -> None:
    """Do one part; a fault of it does not keep the others from being done."""
    try:
        findings += act()
    except SnapholdError as error:
        faults.append(error)


def _change_schedule(order: ScheduleOrder, delivery: WebhookDelivery, runtime: Runtime) -> list[str]:
    from snaphold.action import find_action

    name = "schedule.tighten" if order.firing else "schedule.restore"
    given: dict[str, object] = {"reason": order.alert}
    if order.firing:
        given |= {"asset": order.asset, "every": format_duration(order.every), "lasts": format_duration(order.lasts)}
    else:
        given["assets"] = [order.asset]
    key = action_key(find_action(name), given, delivery.incident, f"{order.trigger}.{delivery.id}")
    context = runtime.context(delivery.declared, justification=f"Trigger {order.trigger}, delivery {delivery.id}", key=key)
    result = execute(name, given, replace(context, retry_failed=True))
    return result.findings


def _hand_over_status(delivery: WebhookDelivery, runtime: Runtime) -> list[str]:
    """Tell who follows the case; without an integration nobody can be asked, and the word is only kept."""
    if delivery.status is None or delivery.status is CaseStatus.UNKNOWN:
        return []
    webhook = next(hook for hook in runtime.configuration.webhooks if hook.name == delivery.webhook)
    if webhook.integration is not None:
        from snaphold.case_loop import on_status

        try:
            answer = on_status(runtime, delivery.incident, webhook.integration, delivery.status)
        except SnapholdError as error:
            # The case loop keeps account of it, and looks again by itself.
            return [redact(f"{error.what}: {error.why}" if error.why else error.what)]
        return [] if answer.looked else [answer.why]
    at = delivery.occurred_at or delivery.received_at
    before = runtime.ledger.record(CaseStatusSeen, delivery.incident)
    if before is not None and before.occurred_at > at:
        return []
    seen = CaseStatusSeen(
        id=delivery.incident, incident=delivery.incident, webhook=delivery.webhook, status=delivery.status,
        vendor_status=delivery.vendor_status, occurred_at=at,
    )  # fmt: skip
    actor = runtime.actor
    entry = NewEntry(
        event=Event.SERVICE, actor=actor.id, login=actor.login, incident=delivery.incident, action="webhook.status",
        detail={"delivery": delivery.id, "status": seen.status.value, "vendor_status": seen.vendor_status},
    )  # fmt: skip
    runtime.ledger.append(entry, [seen])
    return []
