"""What the methods of the Shuffle app answer: never an exception, never a secret, and what is unknown is no success."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from snaphold.action import catalogue
from snaphold.errors import NotAuthorisedError, ProviderError, UnknownOutcomeError
from snaphold.playbook.valuetype import ValueType
from snaphold.soar.answers import Job
from snaphold.soar.shuffle import PlainText, answer, refuse_templates
from snaphold.soar.shuffle_names import METHODS
from snaphold.soar.shuffle_step import LOST_ANSWERS
from snaphold.soar.shuffle_values import plain_text, read_list, read_value
from support.shuffle_walker import Store, Watch

TOKEN = "snp_0123456789abcdef-secret-token"
ACCESS = {"url": "https://snaphold.example", "token": TOKEN}


class Service:
    """Answers every call with the next of these; the last one repeats."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.keys: list[str] = []

    def call(self, action: str, given: Mapping[str, Any], **options: Any) -> Any:
        self.keys.append(options["key"])
        return self._next()

    def job(self, id: str) -> Any:
        return self._next()

    def _next(self) -> Any:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found


class Bench:
    """An app with a run that has begun."""

    def __init__(self, *answers: Any) -> None:
        self.store, self.watch, self.service = Store(), Watch(), Service(*answers)
        begun = self.ask("begin_run", argument={"run": "RUN-1", "incident": "INC-1"}, playbook="p", inputs="{}")
        assert begun["way"] == "next"

    def ask(self, method: str, **given: Any) -> dict[str, Any]:
        def connected(_settings: Mapping[str, str]) -> Any:
            return self.service

        return answer(self.store, method, given, client=connected, clock=self.watch, sleep=self.watch.sleep)

    def hold(self, **terms: str) -> dict[str, Any]:
        return self.ask("hold.place", **ACCESS, reason="x", snaphold_run="RUN-1", snaphold_step="keep", **terms)


def good(action: str = "hold.place", **changes: Any) -> dict[str, Any]:
    return {**catalogue()[action].example_result().model_dump(mode="json"), "outcome": "succeeded", **changes}


def test_a_lost_answer_is_asked_for_under_the_same_key_and_then_unknown() -> None:
    bench = Bench(UnknownOutcomeError("lost"))
    ways = [bench.hold()["way"] for _ in range(LOST_ANSWERS + 1)]
    assert ways == ["waiting"] * LOST_ANSWERS + ["error"]
    assert len(set(bench.service.keys)) == 1
    assert bench.hold()["outcome"] == "unknown"
    assert len(bench.service.keys) == LOST_ANSWERS + 1, "an answer is given again without asking"


def test_a_clean_failure_is_repeated_under_a_new_generation() -> None:
    bench = Bench(ProviderError("gone"), good())
    assert bench.hold(snaphold_attempts="2", snaphold_every="30s")["way"] == "waiting"
    assert bench.hold(snaphold_attempts="2", snaphold_every="30s")["way"] == "waiting", "the pause has not passed"
    bench.watch.sleep(31)
    assert bench.hold(snaphold_attempts="2", snaphold_every="30s")["way"] == "next"
    assert [key.rpartition("/")[2] for key in bench.service.keys] == ["1", "2"]


def test_a_refusal_is_never_repeated() -> None:
    bench = Bench(NotAuthorisedError("no grant"))
    assert bench.hold(snaphold_attempts="5", snaphold_every="1s")["success"] is False


def test_work_that_goes_on_in_the_service_is_waited_for() -> None:
    job = Job("job-1", "hold.place", "running")
    bench = Bench(job, job, Job("job-1", "hold.place", "done", good()))
    assert [bench.hold()["way"] for _ in range(3)] == ["waiting", "waiting", "next"]
    assert len(bench.service.keys) == 1


def test_a_step_ends_when_its_time_is_over() -> None:
    bench = Bench(Job("job-1", "hold.place", "running"))
    assert bench.hold(snaphold_timeout="1m")["way"] == "waiting"
    bench.watch.sleep(61)
    ended = bench.hold(snaphold_timeout="1m")
    assert (ended["success"], ended["outcome"]) == (False, "unknown")


def test_a_missing_output_fails_the_step() -> None:
    bench = Bench(good())
    assert "lacks job" in bench.hold(snaphold_expects="job:string")["why"]


def test_a_secret_that_comes_back_is_not_given_on() -> None:
    bench = Bench(good(findings=[f"the token {TOKEN} was used"]))
    answer(bench.store, "check_service", ACCESS)  # makes it known
    assert TOKEN not in json.dumps(bench.hold())
    assert TOKEN not in json.dumps(bench.store.values)


def test_an_unforeseen_fault_is_an_answer() -> None:
    bench = Bench(ZeroDivisionError("oops"))
    found = bench.hold()
    assert (found["success"], found["way"]) == (False, "error")
    assert "ZeroDivisionError" in found["why"]


@pytest.mark.parametrize("method", [method.name for method in METHODS])
@pytest.mark.parametrize("junk", ["", "{", "[1", "RUN-1", "\x00", "${x[]}$", ["a"], {"a": [1]}])
def test_no_junk_makes_a_method_raise_or_succeed_without_saying_so(method: str, junk: Any) -> None:
    names = next(one for one in METHODS if one.name == method).parameters
    found = answer(Store(), method, {one.name: junk for one in names}, clock=Watch(), sleep=lambda _seconds: None)
    assert isinstance(found["success"], bool)


def test_a_datastore_that_refuses_is_a_failure() -> None:
    class Full(Store):
        def set_cache(self, key: str, value: str) -> dict[str, Any]:
            return {"success": False}

    told = {"argument": {"run": "RUN-1", "incident": "INC-1"}, "playbook": "p", "inputs": ""}
    assert answer(Full(), "begin_run", told)["success"] is False


def test_an_older_chain_of_passes_ends() -> None:
    bench = Bench(good())
    again = {"playbook": "p", "inputs": "{}"}
    assert bench.ask("begin_run", argument={"run": "RUN-1", "pass": "2"}, **again)["way"] == "next"
    assert bench.ask("begin_run", argument={"run": "RUN-1", "pass": "2"}, **again)["way"] == "stale"


def test_a_run_of_another_playbook_is_refused() -> None:
    assert Bench(good()).ask("begin_run", argument={"run": "RUN-1"}, playbook="q", inputs="{}")["success"] is False


def test_the_guard_refuses_an_sdk_that_it_does_not_know() -> None:
    sdk = ModuleType("sdk")
    with pytest.raises(RuntimeError, match="cannot be made safe"):
        refuse_templates(sdk)
    sdk.Liquid = type("Liquid", (), {})  # pyright: ignore[reportAttributeAccessIssue]
    refuse_templates(sdk)
    made: Any = sdk.__dict__["Liquid"]("{% python %}", mode="wild")
    assert isinstance(made, PlainText)
    assert made.render(x=1) == "{% python %}"


@pytest.mark.parametrize(
    ("value", "wanted", "read"),
    [
        ("True", ValueType.BOOLEAN, True), ("false", ValueType.BOOLEAN, False), ("12", ValueType.INTEGER, 12),
        (["a", "b,c"], ValueType.LIST, ["a", "b,c"]), ('["a", "b,c"]', ValueType.LIST, ["a", "b,c"]),
        ("a, b", ValueType.LIST, ["a", "b"]),
        ({"a": 1}, ValueType.STRING, '{"a": 1}'), ("", ValueType.LIST, []),
    ],
)  # fmt: skip
def test_values_are_read_by_type(value: Any, wanted: ValueType, read: Any) -> None:
    assert read_value(value, wanted) == read


@pytest.mark.parametrize(("value", "wanted"), [("", ValueType.BOOLEAN), ("", ValueType.INTEGER), ("0.5", ValueType.INTEGER)])
def test_a_missing_value_is_a_fault(value: str, wanted: ValueType) -> None:
    with pytest.raises(Exception, match="missing or not of type"):
        read_value(value, wanted)


def test_text_that_was_read_as_json_is_text_again() -> None:
    assert plain_text(["a"]) == '["a"]'
    assert read_list("[broken") == ["[broken"]
