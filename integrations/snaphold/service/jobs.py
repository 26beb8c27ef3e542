"""Actions at work in the service: a thread each, one for each key, and a record for what outlasts its request.

The ledger keeps an effect from happening twice, whatever happens here. A job that a restart cut off is looked up under
its idempotency key; as long as the ledger has no outcome for it, nobody can say what became of it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from snaphold.action import AnyAction, Effect
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, SnapholdError
from snaphold.execute import execute
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event, NewEntry, canonical, digest
from snaphold.ledger.owner import current_owner, is_provably_dead
from snaphold.recorded import is_error, outcome_of, redact_document, restore_error
from snaphold.service.problems import RequestError, problem_of, unforeseen
from snaphold.service.records import JobState, ServiceJob
from snaphold.service.repeats import Repeats

MOST_AT_ONCE = 64
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """An action that somebody asked for, with its surroundings; `token` is the id of the token that was shown."""

    entry: AnyAction
    given: Mapping[str, Any]
    context: Context
    token: str = ""

    @property
    def digest(self) -> str:
        """What tells two orders under one key apart."""
        return digest({"action": self.entry.name, "input": self.entry.request.model_validate(self.given).model_dump(mode="json")})


@dataclass(frozen=True)
class Ended:
    """How an action ended: with a result, or with a problem document."""

    state: JobState
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


@dataclass
class Going:
    """An action at work. `ended` is completed by its thread; `kept` says that there is a job record to complete too."""

    id: str
    order: Order
    ended: Future[Ended] = field(default_factory=Future[Ended])
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: bool = False


class JobBoard:
    """All actions that this service works on."""

    def __init__(self, ledger: DatabaseLedger, most: int = MOST_AT_ONCE) -> None:
        self._ledger = ledger
        self._most = most
        self._lock = threading.Lock()
        self._going: dict[str, Going] = {}
        self.repeats = Repeats()

    def begin(self, order: Order) -> tuple[Going, bool]:
        """Start an action, or find the same one under the same key at work already; return it and whether it is new.

        Raises RequestError (503) when too much is going on.
        """
        id = _name(order)
        with self._lock:
            known = self._going.get(id)
            if known is not None:
                return known, False
            if len(self._going) >= self._most:
                raise RequestError(
                    503, "the service is busy", f"{self._most} actions are at work", "try again later", {"Retry-After": "5"}
                )
            going = Going(id, order)
            going.ended.set_running_or_notify_cancel()  # from now on nobody who stops waiting can cancel it
            self._going[id] = going
        threading.Thread(target=self._work, args=(going,), daemon=True, name=f"{order.entry.name} {id}").start()
        return going, True

    def keep(self, going: Going) -> ServiceJob:
        """Write a record of an action that goes on after its request was answered; return it."""
        with going.lock:
            if going.kept:
                found = self._ledger.record(ServiceJob, going.id)
                if found is not None:
                    return found
            context = going.order.context
            job = ServiceJob(
                id=going.id, incident=context.incident.id, action=going.order.entry.name, key=context.key,
                requested_by=context.actor.id, requested_at=context.clock.now(), owner=current_owner(),
            )  # fmt: skip
            if going.ended.done():
                job = _completed(job, going.ended.result(), context)
            self._write(job, context, "job.start")
            going.kept = True
            return job

    def find(self, id: str) -> ServiceJob:
        """Return a job as it stands. Raises InputError when there is none of that id."""
        job = self._ledger.record(ServiceJob, id)
        if job is None:
            raise InputError(f"there is no job {id!r}", do="only what was answered with 202 is a job")
        if job.state is not JobState.RUNNING or id in self._going:
            return job
        if job.owner != current_owner() and not is_provably_dead(job.owner):
            return job
        again = self._ledger.record(ServiceJob, id)  # it may have ended while this was looking
        return again if again is not None and again.state is not JobState.RUNNING else self._look_up(job)

    def wait_for_all(self, seconds: float) -> int:
        """Wait until nothing is at work, for so many seconds at most; return how many are left."""
        import time

        deadline = time.monotonic() + seconds
        while self._going and time.monotonic() < deadline:
            time.sleep(0.05)
        return len(self._going)

    def _work(self, going: Going) -> None:
        ended = carry_out(going.order)
        self.repeats.note(going.order, ended)
        try:
            with going.lock:
                if going.kept:
                    job = self._ledger.record(ServiceJob, going.id)
                    if job is not None:
                        self._write(_completed(job, ended, going.order.context), going.order.context, "job.end")
                going.ended.set_result(ended)
        except Exception:
            # The outcome itself stands in the ledger under the key, or cannot be written at all: then nobody is told
            # that it went well, and the job is looked up.
            log.exception("the end of %s could not be recorded", going.id)
            going.ended.set_result(ended)
        finally:
            with self._lock:
                self._going.pop(going.id, None)

    def _look_up(self, job: ServiceJob) -> ServiceJob:
        """Return a job that its process lost, as far as the ledger knows what became of it."""
        claim = self._ledger.find_claim(job.key) if job.key else None
        if claim is not None and claim.result is not None:
            if is_error(claim.result):
                error = restore_error(claim.result, job.action)
                state = JobState.FAILED if claim.state == Outcome.FAILED.value else JobState.UNKNOWN
                return job.model_copy(update={"state": state, "problem": problem_of(error)})
            return job.model_copy(update={"state": JobState.DONE, "result": claim.result})
        problem = {
            "type": "urn:snaphold:problem:unknown-outcome", "title": "The action did not succeed", "status": 424,
            "detail": f"it is not known what became of {job.id}", "outcome": Outcome.UNKNOWN.value,
            "why": "the service was restarted while it was at work",
            "do": f"repeat the request with the key {job.key}: it is looked up, and never done twice" if job.key
            else "ask again; it only reads",
        }  # fmt: skip
        return job.model_copy(update={"state": JobState.UNKNOWN, "problem": problem})

    def _write(self, job: ServiceJob, context: Context, action: str) -> None:
        actor = context.actor
        entry = NewEntry(
            event=Event.SERVICE, actor=actor.id, login=actor.login, incident=job.incident, action=action,
            detail={"job": job.id, "action": job.action, "key": job.key, "state": job.state.value},
        )  # fmt: skip
        self._ledger.append(entry, [job])


def carry_out(order: Order) -> Ended:
    """Carry out an order and return how it ended; whatever goes wrong is a problem, not an exception."""
    try:
        result = execute(order.entry.name, order.given, order.context)
    except SnapholdError as error:
        problem = problem_of(error)
        unknown = problem.get("outcome") == Outcome.UNKNOWN.value
        return Ended(JobState.UNKNOWN if unknown else JobState.FAILED, problem=problem)
    except Exception as error:
        id = f"E-{uuid.uuid4().hex[:12]}"
        log.exception("%s: unforeseen fault in %s", id, order.entry.name)
        writes = order.entry.effect is not Effect.READS
        state = JobState.UNKNOWN if writes and outcome_of(error) is Outcome.UNKNOWN else JobState.FAILED
        return Ended(state, problem=unforeseen(id))
    return Ended(JobState.DONE, result=redact_document(result.model_dump(mode="json")))


def _completed(job: ServiceJob, ended: Ended, context: Context) -> ServiceJob:
    told = {"state": ended.state, "result": ended.result, "problem": ended.problem, "ended_at": context.clock.now()}
    return job.model_copy(update=told)


def _name(order: Order) -> str:
    """Return the job's id: for what has a key the same each time, so that a repeat finds the same job."""
    if not order.context.key or order.entry.effect is Effect.READS:
        return f"CALL-{uuid.uuid4().hex[:16]}"
    text = canonical([order.context.key, order.digest])
    return f"CALL-{hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]}"
