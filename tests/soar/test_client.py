"""The client against a real service, also through a line that fails. A lost answer is never a success."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import snaphold.soar.client
from snaphold import http
from snaphold.errors import (
    BusyError,
    InputError,
    NotAuthorisedError,
    ProviderError,
    SnapholdError,
    UnknownOutcomeError,
)
from snaphold.http import Answer
from snaphold.secrets import redact
from snaphold.soar.answers import Job, document_of, error_of, job_of, result_of
from snaphold.soar.client import ServiceClient
from support.fault_proxy import FAULTS, between
from support.quick_retries import impatient
from support.service_lab import INCIDENT_DOCUMENT, ServiceLab, serving
from support.waiting import PATIENCE_SECONDS, wait_for

ENDLESS = ("slow", "drip")
"""Faults that only the client's own limit ends."""
WHY = "Ransomware, geprüft 100%"
WRITE: dict[str, Any] = {"key": "INC-1/step/orders-db/1", "justification": WHY, "incident": INCIDENT_DOCUMENT}
DONE = {"outcome": "succeeded", "findings": [], "job": "JOB-orders-db"}


def under(key: str) -> dict[str, Any]:
    """Return what a write needs, under another key."""
    return {**WRITE, "key": key}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ServiceLab]:
    """A service; the client knows its toy actions too, and does not wait between attempts."""
    with serving(tmp_path, monkeypatch) as found:
        known = {entry.name: entry for entry in found.toys.entries()}
        monkeypatch.setattr(snaphold.soar.client, "find_action", known.__getitem__)
        yield found


@pytest.fixture
def client(lab: ServiceLab) -> ServiceClient:
    return client_of(lab)


def client_of(lab: ServiceLab, person: str = "ana", url: str = "") -> ServiceClient:
    """Return a client that gives no call up, at the service or at another address of it; `person` may be a token."""
    return ServiceClient(url or lab.url, lab.tokens.get(person, person), timeout=PATIENCE_SECONDS)


def test_an_action_gives_its_result(client: ServiceClient, lab: ServiceLab) -> None:
    assert client.call("toy.start", {"asset": "orders-db"}, **WRITE) == DONE
    justifications = {entry.justification for entry in lab.runtime.ledger.entries() if entry.action == "toy.start"}
    assert justifications == {WHY}


def test_long_work_gives_a_job_that_is_asked_about(client: ServiceClient, lab: ServiceLab) -> None:
    with lab.hurried():
        begun = client.call("toy.wait", {}, **WRITE)
    assert isinstance(begun, Job)
    assert (begun.state, begun.has_ended) == ("running", False)
    lab.toys.gate.set()
    wait_for(lambda: client.job(begun.id).has_ended)
    job = client.job(begun.id)
    assert job.result is not None
    assert (job.state, job.result["outcome"], job.error) == ("done", "succeeded", None)


def test_errors_come_back_as_what_they_were(client: ServiceClient, lab: ServiceLab) -> None:
    with pytest.raises(ProviderError, match="the vendor refuses"):
        client.call("toy.refuse", {}, **under("k1"))
    with pytest.raises(UnknownOutcomeError, match="the answer was lost"):
        client.call("toy.lose", {}, **under("k2"))
    with pytest.raises(InputError, match="not known here"):
        client.call("toy.read", {}, incident="INC-77")
    with pytest.raises(NotAuthorisedError, match="ben may not run"):
        client_of(lab, "ben").call("toy.start", {}, **WRITE)
    with pytest.raises(NotAuthorisedError, match="token is not accepted"):
        client_of(lab, "snh_" + "A" * 43).call("toy.start", {}, **WRITE)
    with pytest.raises(InputError, match="no job"):
        client.job("CALL-none")
    with pytest.raises(InputError):
        client.job("CALL-none/../x")


def test_a_wrong_input_is_named_before_anything_is_sent(lab: ServiceLab) -> None:
    nowhere = ServiceClient("http://127.0.0.1:9", "snh_x")
    with pytest.raises(InputError, match=r"the input of toy\.start is wrong"):
        nowhere.call("toy.start", {"asse": "x"}, **WRITE)
    with pytest.raises(InputError, match="needs an idempotency key"):
        nowhere.call("toy.start", {}, justification="x")
    with pytest.raises(InputError, match="needs a justification"):
        nowhere.call("toy.start", {}, key="k")


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x", "https://", "https://u:p@x", "https://x/?a=1", "http://192.0.2.1", "http://example.org", "https://x:port"],
)
def test_an_address_that_is_none_or_not_safe_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        ServiceClient(url, "snh_x")


def test_a_token_or_certificate_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for token in ("", "two words", "line\nbreak", "snh_é"):
        with pytest.raises(InputError):
            ServiceClient("https://x", token)
    with pytest.raises(InputError, match="does not exist"):
        ServiceClient("https://x", "snh_x", verify=tmp_path / "none.pem")


def test_the_token_is_hidden_in_every_text(lab: ServiceLab) -> None:
    ServiceClient(lab.url, "snh_" + "Q" * 43)
    assert "QQQ" not in redact("the token snh_" + "Q" * 43)


def test_health_tells_the_difference_of_the_clocks(client: ServiceClient, lab: ServiceLab) -> None:
    from datetime import datetime, timezone

    before = datetime.now(timezone.utc)
    health = client.health()
    after = datetime.now(timezone.utc)
    assert health.status == "ok"
    there = lab.runtime.clock.now()
    assert abs((health.time - there).total_seconds()) < 0.001
    # Its answer came at some moment in between, however long that took.
    assert (there - after).total_seconds() - 2 < health.clock_difference < (there - before).total_seconds() + 2
    assert client.whoami()["person"] == "ana"


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_write_over_a_failing_line_happens_once_and_is_never_a_false_success(
    lab: ServiceLab, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with between(lab.url) as proxy:
        proxy.faults = [fault]
        impatient(monkeypatch, 1.2, lambda: fault in ENDLESS and proxy.faults)
        client = client_of(lab, url=proxy.url)
        try:
            result = client.call("toy.start", {"asset": "orders-db"}, **WRITE)
        except UnknownOutcomeError:  # says: repeat it with the same key
            result = client.call("toy.start", {"asset": "orders-db"}, **WRITE)
        assert result == DONE
    assert lab.toys.vendor.starts() == [WRITE["key"]]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_line_that_always_fails_gives_an_unknown_outcome(lab: ServiceLab, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with between(lab.url) as proxy:
        proxy.faults, proxy.delay = [fault] * 10, PATIENCE_SECONDS
        impatient(monkeypatch, 1.2, lambda: fault in ENDLESS)
        client = client_of(lab, url=proxy.url)
        with pytest.raises(UnknownOutcomeError) as caught:
            client.call("toy.start", {"asset": "orders-db"}, **WRITE)
        assert "the same idempotency key" in (caught.value.do or "")
        assert proxy.seen <= http.ATTEMPTS, "ten faults are not sat out"
    assert len(lab.toys.vendor.starts()) <= 1


def test_a_reset_is_repeated_under_the_same_key_without_a_person(lab: ServiceLab) -> None:
    with between(lab.url) as proxy:
        proxy.faults = ["reset_after", "reset_before"]
        client = client_of(lab, url=proxy.url)
        assert isinstance(client.call("toy.start", {}, **WRITE), dict)
        assert proxy.seen == 3
    assert lab.toys.vendor.starts() == [WRITE["key"]]


def test_reading_over_a_failing_line_is_an_error_that_says_nothing_happened(lab: ServiceLab) -> None:
    with between(lab.url) as proxy:
        proxy.faults = ["truncated"] * 10
        with pytest.raises(ProviderError):
            client_of(lab, url=proxy.url).call("toy.read", {}, incident=INCIDENT_DOCUMENT)


def test_many_calls_at_once_share_one_client(client: ServiceClient, lab: ServiceLab) -> None:
    results: list[object] = []

    def work(number: int) -> None:
        results.append(client.call("toy.start", {"asset": f"a{number % 3}"}, **under(f"k{number % 3}")))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 12
    assert len(lab.toys.vendor.starts()) == 3


def test_a_netrc_entry_does_not_replace_the_token(
    lab: ServiceLab, client: ServiceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other-secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert client.whoami()["person"] == "ana"


def answer(status: int, body: bytes, kind: str = "application/json") -> Answer:
    return Answer(status, {"content-type": kind}, body)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b'"succeeded"'])
def test_what_is_no_json_object_is_no_answer(body: bytes) -> None:
    with pytest.raises(ProviderError, match="does not come from a Snaphold service"):
        document_of(answer(200, body))


@given(st.dictionaries(st.sampled_from(["id", "action", "state", "result", "problem", "outcome"]), st.text(max_size=9) | st.none()
       | st.dictionaries(st.sampled_from(["outcome", "detail"]), st.text(max_size=9))))  # fmt: skip
def test_no_document_is_a_success_without_one_of_the_four_outcomes(document: Mapping[str, Any]) -> None:
    for read in (result_of, job_of):
        try:
            found = read(document)
        except SnapholdError:
            continue
        result = found.result if isinstance(found, Job) else found
        assert result is None or result["outcome"] in ("succeeded", "partial", "failed", "unknown")


def test_a_job_of_unknown_end_is_an_unknown_outcome() -> None:
    job = job_of({"id": "CALL-1", "action": "toy.start", "state": "unknown", "problem": {"detail": "lost"}})
    assert isinstance(job.error, UnknownOutcomeError)
    failed = job_of({"id": "CALL-1", "action": "toy.start", "state": "failed", "problem": {"type": "urn:snaphold:problem:busy"}})
    assert isinstance(failed.error, BusyError)


def test_a_problem_of_a_stranger_is_judged_by_its_status() -> None:
    assert isinstance(error_of({"type": "urn:snaphold:problem:no-such-thing"}, 403), NotAuthorisedError)
    assert isinstance(error_of({}, 422), InputError)
    assert isinstance(error_of({}, 500), ProviderError)


class Large(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"status": "x" * 2_000_000}).encode() * 6)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_endless_answer_is_given_up() -> None:
    server = HTTPServer(("127.0.0.1", 0), Large)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with pytest.raises(ProviderError, match="too much"):
            ServiceClient(f"http://127.0.0.1:{server.server_address[1]}", "snh_x", timeout=PATIENCE_SECONDS).health()
    finally:
        server.shutdown()
        server.server_close()
    assert http.ANSWER_LIMIT_BYTES < 12_000_000
