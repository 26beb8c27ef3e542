"""execute(): what is recorded, what is returned again, what is refused; and that nothing is ever started twice."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from snaphold import errors
from snaphold.action import Effect, Recovery
from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.authority import PromotionException
from snaphold.domain.outcome import Outcome
from snaphold.errors import (
    BusyError,
    InputError,
    LedgerError,
    NotAuthorisedError,
    ProviderError,
    SnapholdError,
    TimedOutError,
    UnknownOutcomeError,
)
from snaphold.execute import LEASE_SECONDS, action_key, execute, tell_in_one, validate
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event
from snaphold.recorded import record_error, restore_error
from snaphold.repeated import Repeat, gist
from snaphold.secrets import remember
from support.ledgers import NOW, configure, make_context, open_test_ledger
from support.toy_actions import FileVendor, ToyRequest, ToyResult, install, looked_up, toy


@pytest.fixture
def context(tmp_path: Path, clock: FixedClock) -> Context:
    return make_context(configure(tmp_path, sign=False), open_test_ledger(tmp_path, clock), clock)


def events(context: Context) -> list[tuple[str, str]]:
    return [(entry.event.value, entry.outcome) for entry in context.ledger.entries()]


def raising(*found: BaseException | ToyResult) -> Callable[[ToyRequest, Context], ToyResult]:
    """Return an action that raises or returns these, one at each call."""
    left = list(found)

    def behave(request: ToyRequest, context: Context) -> ToyResult:
        now = left.pop(0)
        if isinstance(now, BaseException):
            raise now
        return now

    return behave


DONE = ToyResult(outcome=Outcome.SUCCEEDED, job="JOB-1")


def test_a_write_records_intent_and_outcome_and_is_not_done_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising(DONE)))
    first = execute("toy.start", {}, context)
    assert execute("toy.start", {}, context) == first == DONE
    assert events(context) == [("intent", ""), ("outcome", "succeeded")]


def test_a_failure_raises_again_as_it_was_and_does_not_act(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising(ProviderError("refused", "the pool is sealed", "open it"))))
    for _ in range(3):
        with pytest.raises(ProviderError) as caught:
            execute("toy.start", {}, context)
        assert (caught.value.what, caught.value.why, caught.value.do) == ("refused", "the pool is sealed", "open it")
    assert events(context) == [("intent", ""), ("outcome", "failed")]


def test_an_unknown_outcome_raises_again_as_unknown(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising(TimedOutError("no answer in 30 s", "the vendor hangs"))))
    with pytest.raises(TimedOutError):
        execute("toy.start", {}, context)
    with pytest.raises(UnknownOutcomeError) as caught:
        execute("toy.start", {}, make_context(context.configuration, context.ledger, context.clock, retry_failed=True))
    assert "no answer in 30 s; the vendor hangs" in str(caught.value.why)
    assert events(context) == [("intent", ""), ("outcome", "unknown")]


def test_a_clean_failure_is_tried_again_when_asked(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising(ProviderError("refused"), DONE)))
    with pytest.raises(ProviderError):
        execute("toy.start", {}, context)
    again = make_context(context.configuration, context.ledger, context.clock, retry_failed=True)
    assert execute("toy.start", {}, again) == DONE
    assert execute("toy.start", {}, again) == DONE
    assert [outcome for _, outcome in events(context)] == ["", "failed", "", "succeeded"]


def test_what_was_busy_is_always_tried_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising(BusyError("the repository is locked"), DONE)))
    with pytest.raises(BusyError):
        execute("toy.start", {}, context)
    assert execute("toy.start", {}, context) == DONE


def test_a_result_that_says_failed_is_returned_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = ToyResult(outcome=Outcome.FAILED, findings=["no"])
    install(monkeypatch, toy(raising(failed)))
    assert execute("toy.start", {}, context) == execute("toy.start", {}, context) == failed


def test_an_unforeseen_fault_of_a_write_is_unknown(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising(RuntimeError("boom"))))
    with pytest.raises(UnknownOutcomeError, match="unforeseen") as caught:
        execute("toy.start", {}, context)
    assert "RuntimeError: boom" in str(caught.value.why)
    assert events(context)[-1] == ("outcome", "unknown")


def test_an_unforeseen_fault_of_a_read_is_told_without_a_traceback(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising(KeyError("k")), effect=Effect.READS))
    with pytest.raises(SnapholdError, match="unforeseen"):
        execute("toy.start", {}, context)
    assert events(context) == [("intent", ""), ("outcome", "failed")]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupted_write_leaves_its_intent(
    context: Context, clock: FixedClock, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    install(monkeypatch, toy(raising(fault, DONE)))
    with pytest.raises(type(fault)):
        execute("toy.start", {}, context)
    assert events(context) == [("intent", "")]
    clock.advance(LEASE_SECONDS)
    assert execute("toy.start", {}, context) == DONE
    assert events(context)[1:] == [("taken_over", ""), ("outcome", "succeeded")]


def test_a_lost_attempt_of_what_cannot_be_looked_up_is_unknown(
    context: Context, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, toy(raising(KeyboardInterrupt()), recovery=Recovery.PERSON))
    with pytest.raises(KeyboardInterrupt):
        execute("toy.start", {}, context)
    clock.advance(LEASE_SECONDS)
    for _ in range(2):
        with pytest.raises(UnknownOutcomeError, match="not known whether"):
            execute("toy.start", {}, context)
    assert events(context)[-1] == ("outcome", "unknown")


def test_records_of_a_failed_action_are_never_written(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def stage(id: str) -> PromotionException:
        now = context.clock.now()
        fields: dict[str, Any] = {"asset": "a", "from_tier": "T1", "to_tier": "T0", "requested_by": "ana"}
        return PromotionException(id=id, incident="INC-1", justification="j", recorded_at=now, expires_at=now, **fields)

    def behave(request: ToyRequest, inner: Context) -> ToyResult:
        inner.stage(stage(request.asset))
        if request.asset == "bad":
            raise ProviderError("refused")
        return DONE

    install(monkeypatch, toy(behave))
    with pytest.raises(ProviderError):
        execute("toy.start", {"asset": "bad"}, context)
    execute("toy.start", {"asset": "good"}, make_context(context.configuration, context.ledger, context.clock, key="k2"))
    assert [found.id for found in context.ledger.records(PromotionException)] == ["good"]
    assert context.staged == []


def test_a_refusal_is_in_the_ledger_first(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising()))
    with pytest.raises(NotAuthorisedError):
        execute("toy.start", {}, make_context(context.configuration, context.ledger, context.clock, person="cleo"))
    assert events(context) == [("refused", "")]


def test_a_dry_run_writes_nothing_and_acts_on_nothing(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising()), toy(raising(DONE), name="toy.read", effect=Effect.READS))
    dry = make_context(context.configuration, context.ledger, context.clock, dry_run=True)
    assert execute("toy.start", {}, dry).outcome is Outcome.SUCCEEDED
    assert execute("toy.read", {}, dry) == DONE
    with pytest.raises(NotAuthorisedError):
        execute("toy.start", {}, make_context(context.configuration, context.ledger, context.clock, person="cleo", dry_run=True))
    assert events(context) == []


def test_a_write_without_a_key_is_refused(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising()))
    with pytest.raises(InputError, match="needs an idempotency key"):
        execute("toy.start", {}, make_context(context.configuration, context.ledger, context.clock, key=""))


def test_one_key_is_one_request(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, toy(raising(DONE)))
    execute("toy.start", {}, context)
    with pytest.raises(InputError, match="another request"):
        execute("toy.start", {"asset": "other"}, context)


def test_no_secret_reaches_the_ledger(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "correct-horse-battery"
    remember(secret)
    told = ToyResult(outcome=Outcome.PARTIAL, findings=[f"used {secret}"], job=secret)
    errors_told = ProviderError(f"refused {secret}", f"why {secret}", f"do {secret}")
    behaviours = toy(raising(told, errors_told, RuntimeError(secret)))
    install(monkeypatch, behaviours)
    for key in ("k1", "k2", "k3"):
        inner = make_context(context.configuration, context.ledger, context.clock, key=key, justification=f"with {secret}")
        try:
            execute("toy.start", {}, inner)
        except SnapholdError:
            continue
    with sqlite3.connect(cast("DatabaseLedger", context.ledger).path) as connection:
        stored = "".join(row[0] for row in connection.execute("select body from entry union all select result from claim"))
    connection.close()
    assert secret not in stored
    assert stored.count("[hidden]") >= 8


def test_a_result_of_another_version_is_told_and_not_done_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    class LaterResult(ToyResult):
        pool: str = Field(description="New in this version.", examples=["isolated-01"])

    earlier, later = toy(raising(DONE)), toy(raising())
    install(monkeypatch, earlier)
    execute("toy.start", {}, context)
    install(monkeypatch, replace(later, result=LaterResult))
    with pytest.raises(LedgerError, match="cannot be read"):
        execute("toy.start", {}, context)


def test_a_stale_worker_gets_told_and_records_nothing(
    context: Context, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleepy(request: ToyRequest, inner: Context) -> ToyResult:
        clock.advance(LEASE_SECONDS)
        install(monkeypatch, toy(raising(DONE)))
        execute("toy.start", {}, context)
        return ToyResult(outcome=Outcome.SUCCEEDED, job="late")

    install(monkeypatch, toy(sleepy))
    with pytest.raises(BusyError, match="no longer held"):
        execute("toy.start", {}, context)
    assert execute("toy.start", {}, context) == DONE
    assert [entry.event for entry in context.ledger.entries()] == [Event.INTENT, Event.TAKEN_OVER, Event.OUTCOME]


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SnapholdError)]


@pytest.mark.parametrize("error", [kind("w", "y", "d") for kind in KINDS if not issubclass(kind, errors.DocumentError)])
def test_every_error_comes_back_as_it_was(error: SnapholdError) -> None:
    back = restore_error(record_error(error, Outcome.FAILED), "toy.start")
    assert (type(back), str(back)) == (type(error), str(error))
    assert isinstance(restore_error(record_error(error, Outcome.UNKNOWN), "toy.start"), UnknownOutcomeError)


@pytest.mark.parametrize("retryable", [True, False])
def test_whether_a_repeat_is_harmless_is_kept(retryable: bool) -> None:
    back = restore_error(record_error(ProviderError("no", retryable=retryable), Outcome.FAILED), "toy.start")
    assert isinstance(back, ProviderError)
    assert back.retryable is retryable


def test_an_error_of_a_document_comes_back_as_bad_input() -> None:
    error = errors.DocumentError("the document has faults", [errors.Problem("one"), errors.Problem("two")], "mend it")
    back = restore_error(record_error(error, Outcome.FAILED), "toy.start")
    assert (type(back), back.exit_code, str(back)) == (InputError, error.exit_code, str(error))


def test_keys_are_made_of_the_key_fields() -> None:
    by_asset = toy()
    assert action_key(by_asset, {"asset": "orders-db"}, "INC-1", "wave.start") == "INC-1/wave.start/orders-db/1"
    assert action_key(by_asset, {}, "INC-1", "wave.start", 2) == "INC-1/wave.start/orders-db/2"
    assert action_key(toy(key_fields=()), {}, "INC-1", "seal") == "INC-1/seal/-/1"
    both = toy(key_fields=("asset", "assets"))
    assert action_key(both, {"asset": "", "assets": ""}, "INC-1", "s") == "INC-1/s/-/1"
    assert action_key(both, {"asset": "a", "assets": "b, c"}, "INC-1", "s") == "INC-1/s/a+b,c/1"
    assert action_key(toy(key_fields=("assets",)), {}, "INC-1", "s") == "INC-1/s/-/1"


def test_the_same_input_in_another_spelling_is_the_same_key() -> None:
    entry = toy(key_fields=("assets",))
    assert action_key(entry, {"assets": "a, b"}, "I", "s") == action_key(entry, {"assets": ["a", "b"]}, "I", "s")


def test_long_or_ambiguous_values_are_hashed() -> None:
    for asset in ("x" * 81, "a/b", "a+b", "+", "++", "a,b", "a b", "-", "caf\u00e9"):
        key = action_key(toy(), {"asset": asset}, "INC-1", "s")
        assert len(key.split("/")) == 4
        assert len(key.split("/")[2]) == 16
    assert action_key(toy(), {"asset": "x" * 80}, "I", "s") == f"I/s/{'x' * 80}/1"


@given(st.text(max_size=8), st.text(max_size=8))
@example("", "+")
@example("", "\x1f")  # Python takes it for white space at the ends, the model does not
def test_different_values_never_share_a_key(first: str, second: str) -> None:
    keys = {action_key(toy(), {"asset": asset}, "I", "s") for asset in (first, second)}
    assert len(keys) == len({validate(toy(), {"asset": asset}).model_dump_json() for asset in (first, second)})


def test_a_key_needs_a_step_and_a_generation() -> None:
    for step, generation in (("", 1), ("s", 0)):
        with pytest.raises(InputError, match="needs a step"):
            action_key(toy(), {}, "I", step, generation)
    with pytest.raises(InputError, match="input of toy"):
        action_key(toy(), {"aset": "x"}, "I", "s")


class Killed(BaseException):
    """The process is gone here: nothing after this point runs."""


STEPS = st.lists(
    st.tuples(st.sampled_from(["before claim", "before call", "after effect", "before settle", "none"]), st.integers(0, 1000)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(attempts=STEPS)
def test_however_attempts_die_and_wait_nothing_starts_twice(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    clock = FixedClock(NOW)
    context = make_context(CONFIGURATION, open_test_ledger(folder, clock), clock)
    vendor = FileVendor(folder / "starts")
    done = 0
    for death, wait in [*attempts, ("none", 1000)]:
        clock.advance(wait)
        with pytest.MonkeyPatch.context() as patch:
            if death == "before claim":
                continue
            before, after = (kill if death == point else nothing for point in ("before call", "after effect"))
            install(patch, toy(looked_up(vendor, before=before, after=after)))
            if death == "before settle":
                patch.setattr(type(context.ledger), "settle", kill)
            try:
                execute("toy.start", {}, context)
                done += 1
            except (Killed, BusyError):
                continue
    assert done >= 1
    assert vendor.starts() == [context.key]
    assert [entry.outcome for entry in context.ledger.entries()].count("succeeded") == 1


def nothing() -> None:
    """Go on."""


def kill(*_: Any, **__: Any) -> None:
    """Die here."""
    raise Killed


CONFIGURATION = configure(Path("/nowhere"), sign=False)


def _asked_again(
    context: Context, answer: ToyResult | ProviderError, before: ToyResult | ProviderError, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [tell_in_one(before)] if isinstance(before, ProviderError) else before.findings
    output = {} if isinstance(before, ProviderError) else before.model_dump(mode="json")
    outcome = "failed" if isinstance(before, ProviderError) else before.outcome.value
    repeat = Repeat(gist(outcome, told, output, ("job",)), ("job",), 7)
    install(monkeypatch, toy(raising(answer), effect=Effect.READS))
    with contextlib.suppress(ProviderError):
        execute("toy.start", {}, replace(context, repeat=repeat))


BEFORE = [DONE, ToyResult(outcome=Outcome.SUCCEEDED, findings=["slow"]), ProviderError("it is away", "no route")]


@pytest.mark.parametrize("answer", BEFORE)
def test_a_question_asked_again_is_recorded_only_when_its_answer_is_news(
    context: Context, monkeypatch: pytest.MonkeyPatch, answer: ToyResult | ProviderError
) -> None:
    _asked_again(context, answer, answer, monkeypatch)
    assert events(context) == []
    for before in BEFORE:
        if before is not answer:
            _asked_again(context, answer, before, monkeypatch)
    recorded = context.ledger.entries()
    assert [entry.event for entry in recorded] == [Event.OUTCOME] * 2
    assert [entry.detail["asked"] for entry in recorded] == [8, 8], "it says how often was asked"


def test_a_repeated_question_that_finds_a_record_is_written_with_it(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    made = PromotionException(
        id="EXC-1", incident="INC-1", asset="orders-db", from_tier="T1", to_tier="T0", justification="j", requested_by="ana",
        recorded_at=NOW, expires_at=NOW,
    )  # fmt: skip

    def stage(request: ToyRequest, context: Context) -> ToyResult:
        context.stage(made)
        return DONE

    install(monkeypatch, toy(stage, effect=Effect.READS))
    same = Repeat(gist("succeeded", [], DONE.model_dump(mode="json"), ("job",)), ("job",), 1)
    execute("toy.start", {}, replace(context, repeat=same))
    assert context.ledger.record(PromotionException, "EXC-1") == made
    assert len(events(context)) == 1
