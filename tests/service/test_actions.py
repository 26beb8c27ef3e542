"""Actions over HTTP: results, jobs, keys, and every way to be refused."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from snaphold.action import Effect
from snaphold.context import Context
from snaphold.domain.incident import IncidentRecord
from snaphold.domain.outcome import Outcome
from snaphold.errors import ProviderError, SnapholdError
from snaphold.ledger.entry import Event, NewEntry, digest
from snaphold.service.records import JobState, ServiceJob
from snaphold.service.repeats import Repeats
from snaphold.service.tokens import create_token
from support.ledgers import NOW
from support.service_lab import INCIDENT_DOCUMENT, WRITE, Reply, ServiceLab, serving
from support.toy_actions import ToyRequest, ToyResult, install, toy


def test_an_action_answers_with_its_result_and_stands_in_the_ledger(lab: ServiceLab) -> None:
    reply = lab.act(asset="orders-db")
    assert reply.status == 200
    assert reply.document == {"outcome": "succeeded", "findings": [], "job": "JOB-orders-db"}
    assert lab.events("toy.start") == [("intent", "toy.start"), ("outcome", "toy.start")]
    entry = next(one for one in lab.runtime.ledger.entries() if one.action == "toy.start")
    assert (entry.actor, entry.justification, entry.key) == ("ana", "Ransomware, INC-1", WRITE["Idempotency-Key"])
    assert entry.login.startswith("token TOK-")


def test_every_answer_forbids_keeping_and_guessing_and_names_no_server(lab: ServiceLab) -> None:
    for reply in (
        lab.act(),
        lab.request("GET", "/healthz"),
        lab.request("GET", "/nothing"),
        lab.request("GET", "/v1/runs", token=None),
    ):
        assert "server" not in reply.headers
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-request-id"].startswith("R-")


def test_a_key_that_does_not_name_its_incident_counts_within_it_only(lab: ServiceLab) -> None:
    lab.act(headers={"Idempotency-Key": "my-key"})
    other = {**INCIDENT_DOCUMENT, "id": "INC-2"}
    lab.act(headers={"Idempotency-Key": "my-key"}, incident=other)
    lab.act(headers={"Idempotency-Key": "INC-1/step/orders-db/1"}, incident=other)
    assert lab.toys.vendor.starts() == ["INC-1/api/my-key", "INC-2/api/my-key", "INC-2/api/INC-1/step/orders-db/1"]


def test_the_same_key_with_another_input_is_refused(lab: ServiceLab) -> None:
    assert lab.act(asset="orders-db").status == 200
    reply = lab.act(asset="files-01")
    assert (reply.status, "was used for another request" in reply.document["detail"]) == (422, True)
    assert len(lab.toys.vendor.starts()) == 1


def test_twenty_writes_at_once_under_one_key_have_one_effect(lab: ServiceLab) -> None:
    replies: list[Reply] = []
    threads = [threading.Thread(target=lambda: replies.append(lab.act(asset="orders-db"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(reply.status for reply in replies) == {200: 20}
    assert {reply.body for reply in replies} == {replies[0].body}
    assert lab.toys.vendor.starts() == [WRITE["Idempotency-Key"]]


def test_what_takes_long_goes_on_as_a_job(lab: ServiceLab) -> None:
    reply = lab.hold()
    assert (reply.status, reply.document["state"]) == (202, "running")
    place = reply.headers["location"]
    assert place == f"/v1/jobs/{reply.document['id']}"
    assert lab.request("GET", place).document["state"] == "running"
    again = lab.hold()
    assert (again.status, again.headers["location"]) == (202, place)
    lab.toys.gate.set()
    ended = wait_for(lab, place)
    assert (ended["state"], ended["result"]["outcome"]) == ("done", "succeeded")
    assert lab.toys.vendor.starts() == [WRITE["Idempotency-Key"]]
    assert lab.act("toy.wait").document == ended["result"]


def test_a_caller_who_wants_no_waiting_gets_a_job_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch, longest_wait=200) as lab:
        began = time.monotonic()
        assert lab.act("toy.wait", headers={"Prefer": "respond-async"}).status == 202
        assert time.monotonic() - began < 150
        lab.toys.gate.set()


def test_a_job_that_fails_tells_the_problem(lab: ServiceLab) -> None:
    reply = lab.act("toy.refuse")
    assert (reply.status, reply.document["outcome"], reply.document["type"]) == (424, "failed", "urn:snaphold:problem:provider")
    assert "hunter2" not in reply.body.decode()
    lost = lab.act("toy.lose", headers={"Idempotency-Key": "k2"})
    assert (lost.status, lost.document["outcome"]) == (424, "unknown")
    assert lab.act("toy.lose", headers={"Idempotency-Key": "k2"}).document["outcome"] == "unknown"


def test_a_fault_of_the_program_shows_no_traceback(lab: ServiceLab) -> None:
    reply = lab.act("toy.break")
    assert reply.status == 424
    assert b"Traceback" not in reply.body


def wait_for(lab: ServiceLab, place: str) -> dict[str, Any]:
    until = time.monotonic() + 240
    while (document := lab.request("GET", place).document)["state"] == "running":
        assert time.monotonic() < until, "the job did not end"
        time.sleep(0.02)
    return document


def lost_job(lab: ServiceLab, key: str) -> str:
    """Put a job into the register as a service that died would leave it."""
    job = ServiceJob(
        id="CALL-0123456789abcdef", incident="INC-1", action="toy.start", key=key, requested_by="ana", requested_at=NOW,
        owner=f"{_machine()} 999999 1",
    )  # fmt: skip
    lab.runtime.ledger.append(NewEntry(event=Event.SERVICE, actor="ana", incident="INC-1", action="job.start"), [job])
    return f"/v1/jobs/{job.id}"


def _machine() -> str:
    from snaphold.ledger.owner import current_owner

    return current_owner().partition(" ")[0]


def test_a_job_that_a_restart_cut_off_is_unknown_and_never_a_success(lab: ServiceLab) -> None:
    place = lost_job(lab, "INC-1/lost/-/1")
    document = lab.request("GET", place).document
    assert (document["state"], document["result"]) == ("unknown", None)
    assert "repeat the request with the key INC-1/lost/-/1" in document["problem"]["do"]
    note = NewEntry(
        event=Event.INTENT, actor="ana", incident="INC-1", action="toy.start", key="INC-1/lost/-/1", inputs_digest=digest(1)
    )
    claim = lab.runtime.ledger.claim(note, lease_seconds=900)
    assert lab.request("GET", place).document["state"] == "unknown"
    ended = note.model_copy(update={"event": Event.OUTCOME, "outcome": "partial"})
    lab.runtime.ledger.settle(claim, ended, {"outcome": "partial", "findings": [], "job": "JOB-1"}, [])
    document = lab.request("GET", place).document
    assert (document["state"], document["result"]["outcome"]) == ("done", "partial")


def test_a_job_is_shown_to_its_owner_and_to_who_may_run_the_action(lab: ServiceLab) -> None:
    place = lab.hold().headers["location"]
    assert lab.request("GET", place, token="ben").status == 403
    assert lab.request("GET", "/v1/jobs/CALL-none").status == 404


def test_an_incident_is_sent_once_and_then_named(lab: ServiceLab) -> None:
    assert lab.act(incident="INC-1").status == 422
    assert lab.act().status == 200
    assert lab.act(incident="INC-1", headers={"Idempotency-Key": "k2"}).status == 200
    headers = {**WRITE, "Idempotency-Key": "k3", "X-Snaphold-Incident": "INC-1"}
    assert lab.request("POST", "/v1/actions/toy.start", {}, headers=headers).status == 200
    assert lab.events("incident.declare") == [("service", "incident.declare")]
    lab.act(incident={**INCIDENT_DOCUMENT, "severity": 2}, headers={"Idempotency-Key": "k4"})
    assert lab.events("incident.change") == [("service", "incident.change")]
    record = lab.runtime.ledger.record(IncidentRecord, "INC-1")
    assert record is not None
    assert (record.declared.severity, record.told_by) == (2, "ana")


def test_who_may_not_run_the_action_cannot_change_the_incident_either(lab: ServiceLab) -> None:
    reply = lab.act(token="ben")
    assert (reply.status, reply.document["type"]) == (403, "urn:snaphold:problem:not-authorised")
    assert "toy.read" in reply.document["why"]
    assert lab.events("toy.start") == [("refused", "toy.start")]
    assert lab.events("incident.declare") == []
    assert lab.toys.vendor.starts() == []


def test_who_may_not_run_the_action_cannot_join_another_who_does(lab: ServiceLab) -> None:
    assert lab.hold().status == 202
    assert lab.act("toy.wait", token="ben").status == 403
    assert ("refused", "toy.wait") in lab.events()


@pytest.mark.parametrize(
    ("status", "detail", "changes"),
    [
        (400, "Idempotency-Key is missing", {"headers": {"Idempotency-Key": ""}}),
        (400, "Idempotency-Key is malformed", {"headers": {"Idempotency-Key": "two words"}}),
        (400, "Idempotency-Key is malformed", {"headers": {"Idempotency-Key": "k" * 201}}),
        (400, "Justification is missing", {"headers": {"X-Snaphold-Justification": " "}}),
        (400, "Justification is not UTF-8", {"headers": {"X-Snaphold-Justification": "%ff"}}),
        (400, "Justification is malformed", {"headers": {"X-Snaphold-Justification": "a%0ab"}}),
        (422, "the input of toy.start is wrong", {"asse": "orders-db"}),
        (422, "the incident is missing", {"incident": None}),
        (422, "the incident is wrong", {"incident": {"id": "INC-1"}}),
    ],
)
def test_a_faulty_request_is_refused_before_anything_happens(
    shared: ServiceLab, status: int, detail: str, changes: dict[str, Any]
) -> None:
    reply = shared.act(**changes)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert detail in reply.document["detail"]
    assert {"type", "title", "status", "detail", "do"} <= set(reply.document)
    assert shared.toys.vendor.starts() == []


def test_a_misspelt_field_is_named_with_the_nearest_right_one(shared: ServiceLab) -> None:
    faults = shared.act(asse="orders-db").document["errors"]
    assert [fault["field"] for fault in faults] == ["asse"]
    assert 'did you mean "asset' in faults[0]["message"]


def test_a_justification_beyond_ascii_is_percent_encoded(lab: ServiceLab) -> None:
    lab.act(headers={"X-Snaphold-Justification": "Erpressung, gepr%C3%BCft"})
    assert "Erpressung, geprüft" in {entry.justification for entry in lab.runtime.ledger.entries()}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (415, b"{}", "text/plain"),
        (400, b"", "application/json"),
        (400, b"[]", "application/json"),
        (400, b'{"a": 1, "a": 2}', "application/json"),
        (400, b'{"a": NaN}', "application/json"),
        (400, b'{"a": 1e999}', "application/json"),
        (400, b'{"a": ' + b"9" * 5000 + b"}", "application/json"),
        (400, b'{"a": "\\ud800"}', "application/json"),
        (400, b'{"a": "\\u0000"}', "application/json"),
        (400, b"\xff{}", "application/json"),
        (400, b'{"a":' * 17 + b"1" + b"}" * 17, "application/json"),
        (400, b"[" * 100_000, "application/json"),
        (413, b" " * (1024 * 1024 + 1), "application/json"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_not_plain_json_is_refused(shared: ServiceLab, status: int, body: bytes, kind: str) -> None:
    reply = shared.request("POST", "/v1/actions/toy.read", body, kind=kind)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")


def test_brackets_in_text_are_not_depth(shared: ServiceLab) -> None:
    assert shared.act("toy.read", asset='[[[[{{{{"\\[' * 20).status == 200


def test_what_does_not_exist_is_a_problem_document_too(shared: ServiceLab) -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("POST", "/v1/actions/toy.none", 404),
                                 ("GET", "/v1/actions/toy.start", 405), ("DELETE", "/healthz", 405),
                                 ("GET", "/docs", 404), ("GET", "/v1/approvals?state=maybe", 422)):  # fmt: skip
        reply = shared.request(method, path)
        assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), path
        assert reply.document["status"] == status


def test_a_listing_needs_a_token_and_health_does_not(shared: ServiceLab) -> None:
    assert shared.request("GET", "/healthz", token=None).document["status"] == "ok"
    for path in ("/v1/runs", "/v1/approvals", "/v1/whoami", "/v1/jobs/CALL-1", "/v1/runs/RUN-1"):
        assert shared.request("GET", path, token=None).status == 401, path


def test_a_full_board_refuses_more(lab: ServiceLab) -> None:
    object.__setattr__(lab.listening.service.jobs, "_most", 1)
    assert lab.hold().status == 202
    reply = lab.act(headers={"Idempotency-Key": "k2"})
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    lab.toys.gate.set()


def test_jobs_end_in_the_register(lab: ServiceLab) -> None:
    place = lab.hold().headers["location"]
    lab.toys.gate.set()
    wait_for(lab, place)
    (job,) = lab.runtime.ledger.records(ServiceJob)
    assert (job.state, job.action, job.requested_by) == (JobState.DONE, "toy.wait", "ana")


class Question(ToyRequest):
    """Input of toy.status."""


class Standing(ToyResult):
    """Where the toy's job stands."""

    state: str = Field(default="running", description="State.", examples=["running"])
    bytes_done: int = Field(default=0, description="Bytes.", examples=[1])


def asking(folder: Path, patch: pytest.MonkeyPatch, answers: list[Any]) -> Any:
    """Serve an action that tells a state: each answer in turn, the last one for ever."""
    left = list(answers)

    def status(request: Question, context: Context) -> Standing:
        del request, context
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, SnapholdError):
            raise found
        return found

    entry = replace(toy(name="toy.status", effect=Effect.READS), function=status, request=Question, result=Standing)
    install(patch, entry)
    return serving(folder, patch, actions={"toy.status": entry})


def standing(state: str, done: int = 0) -> Standing:
    return Standing(outcome=Outcome.SUCCEEDED, job="J", state=state, bytes_done=done)


def test_the_same_question_about_a_job_is_recorded_when_its_answer_is_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = ProviderError("the product is silent")
    answers = [*(standing("running", n) for n in range(5)), lost, lost, lost, standing("running", 9), standing("done", 10)]
    with asking(tmp_path, monkeypatch, answers) as lab:
        replies = [lab.act("toy.status").document for _ in answers]
        lab.act("toy.status")
        entries = [one for one in lab.runtime.ledger.entries() if one.action == "toy.status"]
    assert [reply.get("bytes_done") for reply in replies] == [0, 1, 2, 3, 4, None, None, None, 9, 10]
    assert [one.event.value for one in entries] == ["intent", *["outcome"] * 4]
    assert [one.detail.get("asked") for one in entries[1:]] == [None, 6, 9, 10]
    assert [one.outcome for one in entries[1:]] == ["succeeded", "failed", "succeeded", "succeeded"]


def test_another_token_or_another_question_is_recorded_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(tmp_path, monkeypatch, [standing("running")]) as lab:
        other = create_token(lab.runtime, "ana")[1]
        for token, asset in (("ana", "orders-db"), (other, "orders-db"), ("ana", "files-01"), ("ana", "orders-db")):
            assert lab.act("toy.status", token=token, asset=asset).status == 200
        assert len(lab.events("toy.status")) == 6


def test_after_a_restart_the_next_question_is_recorded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (2, 4):
        with asking(tmp_path, monkeypatch, [standing("running")]) as lab:
            lab.act("toy.status")
            lab.act("toy.status")
            assert len(lab.events("toy.status")) == count


def test_only_the_latest_questions_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(tmp_path, monkeypatch, [standing("running")]) as lab:
        lab.listening.service.jobs.repeats = Repeats(most=1)
        for asset in ("orders-db", "files-01", "orders-db"):
            lab.act("toy.status", asset=asset)
        assert len(lab.events("toy.status")) == 6
