"""Sessions against a real HTTPS server: sign-in and renewal, breaker, log, typed answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from pathlib import Path

import pytest
from pydantic import BaseModel

from snaphold.errors import InputError, ProviderError, UnknownOutcomeError
from snaphold.http import Answer
from snaphold.http_guard import FAILURES_TO_OPEN, CallBudget
from snaphold.http_policy import PAGERDUTY_EVENTS, PAGERDUTY_REST, PLAIN, RetryPolicy
from snaphold.http_session import Session, check_address, read_answer
from snaphold.secrets import remember
from snaphold.simulators.base import Call, Reply, Stateful
from snaphold.simulators.faults import FOR_EVER, Fault
from snaphold.simulators.server import SimulatorServer
from support.quick_retries import no_pauses


class Door(Stateful):
    """Lets in who has the current token."""

    summary = "a door"

    def __init__(self) -> None:
        self.token = 1

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            return self.refuse(401, "who are you?")
        return Reply(200, {"method": call.method}, {"X-Request-Id": "vendor-77"})

    def refuse(self, status: int, message: str) -> Reply:
        return Reply(status, {"error": message}, {"X-Request-Id": "vendor-77"})

    def throttle(self, seconds: int) -> Reply:
        return Reply(429, {}, {"Retry-After": str(seconds)})

    def expire(self) -> None:
        self.token += 1


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[SimulatorServer]:
    no_pauses(monkeypatch)
    with SimulatorServer(Door(), tmp_path) as running:
        yield running


def session(server: SimulatorServer, policy: RetryPolicy = PLAIN, calls: int = 100) -> Session:
    tokens = [1]

    def authorise(renew: bool) -> dict[str, str]:
        if renew:
            tokens.append(tokens[-1] + 1)
        return {"Authorization": f"Bearer {tokens[-1]}"}

    return Session(server.url, policy, CallBudget("test", calls), authorise=authorise, ca_file=server.ca_file)


RENEWING = RetryPolicy("renewing", attempts=2, reads=frozenset(), keyed=frozenset(), renewals=1)


def test_an_expired_sign_in_is_renewed_and_the_refused_call_sent_again(server: SimulatorServer) -> None:
    talk = session(server, RENEWING)
    server.faults.switch_on(Fault("expired"))
    assert talk.call("POST", "/x", document={}).status == 200
    assert [exchange.reply.status for exchange in server.exchanges if exchange.reply] == [401, 200]


def test_renewal_does_not_go_on_for_ever(server: SimulatorServer) -> None:
    talk = session(server, RENEWING)
    server.faults.switch_on(Fault("expired", FOR_EVER))
    assert talk.call("GET", "/x").status == 401
    assert len(server.exchanges) == 2
    assert session(server, PLAIN).call("GET", "/x").status == 401


@pytest.mark.parametrize(
    ("policy", "fault", "method", "keyed", "calls"),
    [
        (PAGERDUTY_REST, "error", "GET", False, 4),
        (PAGERDUTY_REST, "error", "POST", False, 1),
        (PAGERDUTY_REST, "unavailable", "GET", False, 1),
        (PAGERDUTY_REST, "throttled", "POST", False, 4),
        (PAGERDUTY_REST, "throttled_long", "GET", False, 1),
        (PAGERDUTY_EVENTS, "error", "POST", True, 5),
        (PAGERDUTY_EVENTS, "reset_after", "POST", True, 5),
        (PLAIN, "reset_after", "POST", False, 1),
        (PLAIN, "reset_before", "GET", False, 3),
    ],
)
def test_calls_are_sent_as_often_as_the_matrix_allows(
    server: SimulatorServer, policy: RetryPolicy, fault: str, method: str, keyed: bool, calls: int
) -> None:
    server.faults.switch_on(Fault(fault, FOR_EVER))
    try:
        session(server, policy).call(method, "/x", keyed=keyed)
    except ProviderError:
        assert fault.startswith("reset")
    assert len(server.exchanges) == calls


def test_a_host_that_is_down_is_left_alone(server: SimulatorServer) -> None:
    talk = session(server, PAGERDUTY_REST)
    server.faults.switch_on(Fault("unavailable", FOR_EVER))
    for _ in range(FAILURES_TO_OPEN):
        assert talk.call("GET", "/x").status == 503
    with pytest.raises(ProviderError, match="left alone"):
        talk.call("GET", "/x")
    assert len(server.exchanges) == FAILURES_TO_OPEN


def test_a_redirect_to_another_host_is_refused(server: SimulatorServer) -> None:
    server.faults.switch_on(Fault("redirect"))
    with pytest.raises(ProviderError, match="another place"):
        session(server).call("GET", "/x")


def test_a_failed_call_leaves_one_line_without_secrets(server: SimulatorServer, caplog: pytest.LogCaptureFixture) -> None:
    remember("hunter-two")
    server.faults.switch_on(Fault("error"))
    with caplog.at_level(logging.WARNING, "snaphold.http"):
        session(server).call("POST", "/users/hunter-two", query={"token": "also-secret"}, document={"password": "p4ssw0rd"})
        session(server).call("GET", "/fine")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "snaphold.http"]
    told = json.loads(line)
    assert (told["event"], told["method"], told["status"], told["attempts"]) == ("http_call_failed", "POST", 500, 1)
    assert told["request_id"] == server.exchanges[0].call.headers["x-request-id"]
    assert told["vendor_request_id"] == "vendor-77"
    for secret in ("hunter-two", "also-secret", "p4ssw0rd", "Bearer"):
        assert secret not in line


class Shape(BaseModel):
    name: str
    count: int


def test_an_answer_of_the_right_shape_is_typed() -> None:
    assert read_answer(Answer(200, {}, b'{"name": "a", "count": 3, "new": 1}'), Shape, "x") == Shape(name="a", count=3)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"name": "a"}', b'{"name": 1, "count": "x"}', b"\xff\xfe", b"null"])
def test_an_answer_of_another_shape_is_unknown_and_its_beginning_kept(body: bytes) -> None:
    with pytest.raises(UnknownOutcomeError, match="not understood") as caught:
        read_answer(Answer(200, {}, body), Shape, "the thing")
    assert "it begins: " in str(caught.value.why)


def test_what_is_kept_of_an_answer_is_redacted_and_short() -> None:
    remember("s3cr3t-value")
    with pytest.raises(UnknownOutcomeError) as caught:
        read_answer(Answer(200, {}, b'{"key": "s3cr3t-value", "x": "' + b"y" * 5000 + b'"}'), Shape, "the thing")
    assert "s3cr3t-value" not in str(caught.value.why)
    assert len(str(caught.value.why)) < 1500


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://", "https://u:p@example.org", "https://example.org/?a=1", "http://example.org", "example.org"]
)
def test_an_address_that_would_not_be_safe_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        check_address(url)


def test_an_address_loses_its_last_slash() -> None:
    assert check_address("https://example.org/api/") == "https://example.org/api"
    assert check_address("http://127.0.0.1:8080") == "http://127.0.0.1:8080"
