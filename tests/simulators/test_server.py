"""The server around simulators: TLS, recording, and every fault as a client sees it."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from snaphold import http
from snaphold.errors import InputError, ProviderError
from snaphold.simulators import server as server_module
from snaphold.simulators.base import Call, Reply, Stateful
from snaphold.simulators.faults import Fault, FaultSwitches, parse_fault
from snaphold.simulators.registry import find_simulator, simulators
from snaphold.simulators.server import SimulatorServer
from support.quick_retries import calls_held, given_up_when_held

SLOW_SECONDS = 1.5


class Counter(Stateful):
    """Counts what is posted."""

    summary: ClassVar[str] = "a counter"
    own_faults: ClassVar[Mapping[str, str]] = {"backwards": "counts down once"}

    def __init__(self) -> None:
        self.count = 0
        self.step = 1
        self.expired = False

    def answer(self, call: Call) -> Reply:
        self.count += self.step if call.method == "POST" else 0
        return Reply(200, {"count": self.count, "path": call.path, "query": dict(call.query), "padding": "x" * 2000})

    def refuse(self, status: int, message: str) -> Reply:
        return Reply(status, {"fault": message})

    def throttle(self, seconds: int) -> Reply:
        return Reply(429, {"fault": "slow down"}, {"Retry-After": str(seconds)})

    def expire(self) -> None:
        self.expired = True

    def disturb(self, fault: str) -> Callable[[], None]:
        self.step = -1

        def undo() -> None:
            self.step = 1

        return undo


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def server(counter: Counter, tmp_path: Path) -> Generator[SimulatorServer]:
    with SimulatorServer(counter, tmp_path, slow_seconds=SLOW_SECONDS) as running:
        yield running


def post(server: SimulatorServer, path: str = "/things?a=1&a=2", timeout: float = 60.0) -> http.Answer:
    return http.send("POST", server.url + path, body=b"{}", ca_file=server.ca_file, timeout=timeout)


def test_it_answers_over_tls_and_records_both_sides(server: SimulatorServer) -> None:
    answer = post(server)
    assert json.loads(answer.body)["query"] == {"a": ["1", "2"]}
    (exchange,) = server.exchanges
    assert (exchange.call.method, exchange.call.path, exchange.call.body, exchange.fault) == ("POST", "/things", b"{}", "")
    assert exchange.reply is not None
    assert exchange.reply.content() == answer.body
    assert exchange.call.headers["x-request-id"]


def test_its_certificate_is_trusted_only_by_name(server: SimulatorServer, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="not trusted"):
        http.send("GET", server.url + "/")
    assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600
    assert server.exchanges == []


@pytest.mark.parametrize(
    ("fault", "status", "counted"),
    [("throttled_long", 429, 0), ("error", 500, 0), ("unavailable", 503, 0), ("error_after", 500, 1), ("redirect", 302, 0),
     ("forbidden", 403, 0),
     ("garbage", 200, 1), ("other_shape", 200, 1), ("backwards", 200, -1)],
)  # fmt: skip
def test_faults_that_are_answered(server: SimulatorServer, counter: Counter, fault: str, status: int, counted: int) -> None:
    server.faults.switch_on(Fault(fault))
    assert post(server).status == status
    assert counter.count == counted
    post(server)
    assert counter.count == counted + 1


@pytest.mark.parametrize(("fault", "counted"), [("reset_before", 0), ("reset_after", 1), ("truncated", 1), ("slow", 1)])
def test_faults_that_leave_no_answer(
    server: SimulatorServer, counter: Counter, fault: str, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up_when_held(monkeypatch, 1.0, calls_held(monkeypatch, server))
    server.faults.switch_on(Fault(fault))
    began = time.monotonic()
    with pytest.raises(http.NoAnswerError) as caught:
        post(server, timeout=1.0 if fault == "slow" else 60.0)
    assert caught.value.sent
    assert not caught.value.retryable
    assert server.wait_until_idle()
    assert counter.count == counted
    assert fault != "slow" or time.monotonic() - began >= SLOW_SECONDS


def test_an_expired_sign_in_is_told_to_the_simulator(server: SimulatorServer, counter: Counter) -> None:
    server.faults.switch_on(Fault("expired"))
    post(server)
    assert counter.expired


def test_a_fault_meets_the_calls_that_it_is_for_as_often_as_it_says() -> None:
    switches = FaultSwitches([parse_fault("error:2@POST/jobs"), parse_fault("slow:always@GET")])

    def met(method: str, path: str) -> str:
        return switches.next_for(Call(method, path, {}, {}, b""))

    assert [met("POST", "/jobs/1"), met("POST", "/other"), met("POST", "/jobs"), met("POST", "/jobs")] == [
        "error",
        "",
        "error",
        "",
    ]
    assert [met("GET", "/x") for _ in range(3)] == ["slow"] * 3


@pytest.mark.parametrize("text", ["", "errors", "error:", "error:-1", "error@post", "error:1@POST jobs", "backwards"])
def test_a_fault_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_fault(text)


def test_own_faults_are_known() -> None:
    assert parse_fault("backwards", ["backwards"]).kind == "backwards"


def test_a_body_beyond_the_limit_is_refused(server: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LONGEST_BODY", 10)
    answer = http.send("POST", server.url + "/", body=b"x" * 11, ca_file=server.ca_file)
    assert answer.status == 413


def test_the_shipped_simulators_are_found_and_described() -> None:
    for name, simulator in simulators().items():
        assert simulator.summary
        assert isinstance(find_simulator(name)(), Stateful)
    with pytest.raises(InputError, match="pagerduti"):
        find_simulator("pagerduti")
