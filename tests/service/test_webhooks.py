"""Deliveries over the network: who is believed, what is understood, what is done, and what is refused without a trace."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import FixedClock, format_time
from snaphold.domain.escalation import Notice
from snaphold.errors import InputError, StorageError
from snaphold.platforms.marker import marker_of
from snaphold.service.inbox import Inbox
from snaphold.service.records import AlertGroup, CaseStatusSeen, DeliveryState
from support.ledgers import NOW, note
from support.waiting import PATIENCE_SECONDS, wait_for
from support.webhook_lab import (
    BODIES,
    OLD_SECRET,
    SECRET,
    WebhookLab,
    alert,
    alertmanager,
    pagerduty,
    receiving,
    servicenow,
    siem,
    signature,
)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[WebhookLab]:
    with receiving(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[WebhookLab]:
    """One service for all deliveries that are refused."""
    with pytest.MonkeyPatch.context() as patch, receiving(tmp_path_factory.mktemp("refusing"), patch) as found:
        yield found


@pytest.mark.parametrize("webhook", BODIES)
def test_a_delivery_of_every_kind_starts_one_run_however_often_it_comes(lab: WebhookLab, webhook: str) -> None:
    first = lab.send(webhook, BODIES[webhook]())
    assert (first.status, first.document["state"]) == (202, "accepted"), first.body
    again = lab.send(webhook, BODIES[webhook](), secret=OLD_SECRET)
    assert (again.status, again.document) == (200, {**first.document, "state": "known"})
    (delivery,) = lab.work()
    lab.work()
    assert (delivery.state, delivery.incident) == (DeliveryState.DONE, first.document["incident"])
    assert lab.started.asked == [(delivery.incident, f"webhook {webhook}", ("auto",))]


def test_runs_begin_while_the_look_at_another_case_takes_its_time(lab: WebhookLab, monkeypatch: pytest.MonkeyPatch) -> None:
    held, inbox = threading.Event(), Inbox(lab.service.runtime, start=lab.started)

    def look(*_: object) -> list[str]:
        held.wait(PATIENCE_SECONDS)
        return ["looked"]

    monkeypatch.setattr("snaphold.service.inbox._hand_over_status", look)
    for number in range(4):
        assert lab.send("itsm", servicenow(f"EV{number}", number=f"INC001000{number}")).status == 202
    monkeypatch.setattr(Inbox, "add", lambda self, one: self._queues[0].put(one.id))  # pyright: ignore
    inbox.open()
    try:
        wait_for(lambda: len(lab.started.asked) == 4)
        assert {one.state for one in lab.deliveries()} == {DeliveryState.ACCEPTED}, "a service that dies now repeats the looks"
        held.set()
        wait_for(lambda: {one.state for one in lab.deliveries()} == {DeliveryState.DONE})
    finally:
        held.set()
        inbox.close()
    assert [one.findings for one in lab.deliveries()] == [("looked",)] * 4


def test_what_a_source_says_becomes_an_incident_of_ours(lab: WebhookLab) -> None:
    for webhook, body in BODIES.items():
        lab.send(webhook, body())
    told = {one.webhook: one.declared for one in lab.deliveries()}
    found = {name: (one.severity, one.category, one.assets) for name, one in told.items()}
    assert found == {
        "paging": (1, "outage", ("orders-db",)),
        "itsm": (1, "ransomware", ("orders-db",)),
        "monitoring": (1, "outage", ("orders-db",)),
        "siem": (2, "ransomware", ("files-01", "orders-db")),
    }
    assert [told[name].id for name in ("paging", "itsm", "siem")] == ["PT4KHLK", "INC0010002", "siem-case-7"]
    assert told["monitoring"].id.startswith("ALERT-")


@pytest.mark.parametrize("webhook", BODIES)
def test_a_delivery_that_is_not_genuine_leaves_nothing_but_the_refusal(shared: WebhookLab, webhook: str) -> None:
    body = json.dumps(BODIES[webhook]()).encode()
    before = len(shared.refusals())
    proofs: list[dict[str, str]] = [
        {}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {SECRET}"},
        {"X-PagerDuty-Signature": signature(body, "wrong"), "X-Snaphold-Signature": signature(body, "wrong")},
        {"X-PagerDuty-Signature": signature(body + b" "), "X-Snaphold-Signature": signature(body + b" ")},
        {"X-PagerDuty-Signature": signature(body).upper(), "X-Snaphold-Signature": "v1="},
    ]  # fmt: skip
    for proof in proofs:
        reply = shared.send(webhook, body, headers=proof)
        assert (reply.status, reply.headers["content-type"]) == (401, "application/problem+json"), proof
    assert shared.deliveries() == []
    shared.service.listening.service.refusals.close()
    assert len(shared.refusals()) > before
    assert not any(SECRET in why for why in shared.refusals())


HOSTILE: list[tuple[bytes, int, str]] = [
    (b"", 400, "not JSON"),
    (b"[]", 400, "must be a JSON object"),
    (b'{"a": 1, "a": 2}', 400, "stands twice"),
    (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "nested too deeply"),
    (b'{"a": "\xff"}', 400, "not UTF-8"),
    ('{"a": 1}'.encode("utf-16"), 400, "not UTF-8"),
    (b'{"a": "\\ud800"}', 400, "half a character"),
    (b'{"a": NaN}', 400, "NaN"),
    (b'{"a": ' + b"9" * 5000 + b"}", 400, "too long"),
    (b'{"a": "' + b"x" * 1_100_000 + b'"}', 413, "too large"),
]


@pytest.mark.parametrize("webhook", BODIES)
def test_hostile_bodies_are_refused_by_name_and_leave_nothing(shared: WebhookLab, webhook: str) -> None:
    for body, status, words in HOSTILE:
        reply = shared.send(webhook, body)
        assert (reply.status, words in reply.document["detail"]) == (status, True), (body[:40], reply.document)
    assert shared.deliveries() == []
    assert shared.service.request("GET", "/healthz", token=None).status == 200


def without(document: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    return document


@pytest.mark.parametrize(
    ("webhook", "body", "field"),
    [
        ("paging", without(pagerduty(), "event", "occurred_at"), "event.occurred_at"),
        ("paging", pagerduty(title=7), "event.data.title"),
        ("itsm", without(servicenow(), "incident", "number"), "incident.number"),
        ("itsm", {**servicenow(), "event": "deleted"}, "event"),
        ("monitoring", {**alertmanager(), "version": "5"}, "version"),
        ("monitoring", alertmanager(alert(), alert(status="odd")), "alerts.1.status"),
        ("siem", without(siem(), "data", "id"), "data.id"),
        ("siem", siem(at="yesterday"), "data.at"),
        ("siem", siem(state="odd"), "data.state"),
    ],
)
def test_the_path_of_a_fault_is_told(shared: WebhookLab, webhook: str, body: Any, field: str) -> None:
    reply = shared.send(webhook, body)
    assert (reply.status, [one["field"] for one in reply.document["errors"]]) == (400, [field]), reply.document
    assert shared.deliveries() == []


@pytest.mark.parametrize(
    ("webhook", "body", "words"),
    [
        ("paging", pagerduty(priority={"summary": "P9"}, urgency="odd"), "no severity"),
        ("itsm", servicenow(cmdb_ci="nobody-knows-it"), "no asset"),
        ("siem", siem(hosts=[]), "no asset"),
    ],
)
def test_words_that_mean_nothing_here_are_refused_and_named(shared: WebhookLab, webhook: str, body: Any, words: str) -> None:
    reply = shared.send(webhook, body)
    assert (reply.status, words in reply.document["detail"]) == (422, True), reply.document
    assert "snaphold.yaml" in reply.document["do"]


def test_replays_and_deliveries_of_the_future_are_refused(shared: WebhookLab) -> None:
    for moment in (NOW - timedelta(hours=50), NOW + timedelta(minutes=10)):
        body = pagerduty()
        body["event"]["occurred_at"] = format_time(moment)
        reply = shared.send("paging", body)
        assert (reply.status, "not of now" in reply.document["detail"]) == (401, True)
    assert shared.deliveries() == []


def test_a_time_that_is_sent_along_is_signed_too(lab: WebhookLab) -> None:
    body = json.dumps(siem()).encode()
    for moment, signed, status in (
        (NOW, NOW, 202), (NOW, NOW - timedelta(seconds=1), 401), (NOW - timedelta(hours=50), NOW - timedelta(hours=50), 401),
    ):  # fmt: skip
        stamp, proved = (str(int(at.timestamp())) for at in (moment, signed))
        headers = {"X-Snaphold-Timestamp": stamp, "X-Snaphold-Signature": signature(f"{proved}.".encode() + body)}
        assert lab.send("siem", body, headers=headers).status == status
    bad = {"X-Snaphold-Timestamp": "now", "X-Snaphold-Signature": signature(b"now." + body)}
    assert lab.send("siem", body, headers=bad).status == 401


def test_other_types_and_names_are_refused(shared: WebhookLab) -> None:
    body = json.dumps(siem()).encode()
    headers = {"X-Snaphold-Signature": signature(body)}
    assert shared.service.request("POST", "/v1/webhooks/siem", body, token=None, headers=headers, kind="text/plain").status == 415
    assert shared.send("nothing", siem()).status == 404
    assert shared.service.request("GET", "/v1/webhooks/siem", token=None).status == 405


def test_our_own_echo_starts_nothing(lab: WebhookLab) -> None:
    notice = Notice(
        id="NOTICE-1a2b3c4d", incident="INC-1", contact="backup-team", call=("Ana",), text="Come", tier="T0",
        raised_by="ana", raised_at=NOW, acknowledge_by=NOW,
    )  # fmt: skip
    lab.service.runtime.ledger.append(note(), [notice])
    mark = marker_of("INC-1/note/-/1")
    echoes = [
        ("paging", pagerduty("incident.annotated", incident={"id": "PT4KHLK"}, content=f"Backup done {mark}")),
        ("paging", pagerduty(incident_key="INC-1/NOTICE-1a2b3c4d")),
        ("itsm", servicenow(comment=f"Backup done {mark}")),
    ]
    for webhook, body in echoes:
        reply = lab.send(webhook, body)
        assert (reply.status, reply.document["state"], "of ours" in reply.document["why"]) == (200, "ignored", True)
    assert lab.deliveries() == []


@pytest.mark.parametrize(
    ("webhook", "body"),
    [
        ("paging", pagerduty("pagey.ping")),
        ("paging", pagerduty("incident.annotated", content="Hello")),
        ("paging", pagerduty("incident.resolved", status="resolved")),
        ("paging", pagerduty(priority={"summary": "low"})),
        ("siem", siem(state="closed")),
    ],
)
def test_what_asks_for_nothing_is_left_alone(shared: WebhookLab, webhook: str, body: Any) -> None:
    reply = shared.send(webhook, body)
    assert (reply.status, reply.document["state"]) == (200, "ignored"), reply.document
    assert shared.deliveries() == []


def test_the_alerts_of_a_group_are_one_incident_until_all_are_resolved(lab: WebhookLab) -> None:
    def send(*alerts: dict[str, Any]) -> str:
        return str(lab.send("monitoring", alertmanager(*alerts)).document["incident"])

    first = send(alert())
    later = {**alert(fingerprint="f2"), "startsAt": "2026-11-22T17:55:00Z"}
    assert send(alert(), later) == first
    assert send(alert(status="resolved"), later) == first
    assert send(later) == first
    lab.work()
    assert send({**later, "status": "resolved"}) == first
    (group,) = lab.service.runtime.ledger.records(AlertGroup)
    assert group.open is False
    again = {**alert(), "startsAt": "2026-11-22T17:59:00Z"}
    assert send(again) != first


def test_a_status_of_a_source_that_cannot_be_asked_is_kept(lab: WebhookLab) -> None:
    lab.send("siem", siem())
    lab.work()
    assert lab.send("siem", siem("EV2", state="closed")).status == 202
    lab.work()
    (seen,) = lab.service.runtime.ledger.records(CaseStatusSeen)
    assert (seen.incident, seen.status.value, seen.vendor_status) == ("siem-case-7", "resolved", "closed")


def test_a_fault_that_passes_is_tried_again_and_one_that_stays_is_told(lab: WebhookLab) -> None:
    clock = lab.service.runtime.clock
    assert isinstance(clock, FixedClock)
    lab.started.faults = [StorageError("the disk is full")] * 2
    lab.send("siem", siem())
    assert [one.state.value for one in lab.work()] == ["accepted"]
    lab.work()
    (delivery,) = lab.work()
    assert (delivery.state, delivery.attempts, len(lab.started.asked)) == (DeliveryState.DONE, 3, 1)
    lab.started.faults = [InputError("there is no playbook")]
    lab.send("paging", pagerduty())
    failed = lab.work()[-1]
    assert (failed.state, failed.findings) == (DeliveryState.FAILED, ("there is no playbook",))


def test_what_cannot_be_recorded_in_time_is_asked_for_again(lab: WebhookLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snaphold.service.webhooks.ANSWER_WITHIN_SECONDS", 0.0)
    reply = lab.send("siem", siem())
    assert (reply.status, "retry-after" in reply.headers) == (503, True)
    monkeypatch.setattr("snaphold.service.webhooks.ANSWER_WITHIN_SECONDS", PATIENCE_SECONDS)
    assert lab.send("siem", siem()).status in (200, 202)
    assert len(lab.deliveries()) == 1
