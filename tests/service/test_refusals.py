"""Every refusal stands in the audit trail, once; a flood of them is counted, limited, and holds up nobody else."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snaphold.errors import StorageError
from snaphold.ledger.entry import Entry, Event, NewEntry, digest
from snaphold.service.records import JobState, ServiceJob
from snaphold.service.refusals import AUTHENTICATE, EVERY, MOST_APART, MOST_SOURCES, RefusalLog
from snaphold.service.webhooks import REFUSE
from support.ledgers import NOW, note
from support.numbered import approval, run
from support.page_lab import Browser
from support.service_lab import INCIDENT_DOCUMENT, WRITE, Reply, ServiceLab
from support.toy_actions import ToyRequest
from support.waiting import wait_for
from support.webhook_lab import SECRET, WebhookLab, pagerduty, receiving, siem, signature

ROLES = [
    {"name": "analyst", "members": ["ana"], "may": ["toy.*"]},
    {"name": "reader", "members": ["ben"], "may": ["toy.read"]},
    {"name": "managers", "members": ["cleo"]},
]
WHY = {"X-Snaphold-Justification": "A test"}
JOB = ServiceJob(
    id="CALL-1", incident="INC-1", action="toy.start", requested_by="ana", requested_at=NOW, owner="x", state=JobState.DONE
)
HELD = "INC-1/held/orders-db/1"
CONTENT = "CONTENT-OF-A-BODY"


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Generator[WebhookLab]:
    """One service for all refusals, with a run, an approval, a job, and an action that somebody is at."""
    with pytest.MonkeyPatch.context() as patch, receiving(tmp_path_factory.mktemp("refusals"), patch, roles=ROLES) as lab:
        ledger = lab.service.runtime.ledger
        ledger.append(note(), [run(1), approval(1), JOB])
        held = {"action": "toy.start", "input": ToyRequest(asset="orders-db").model_dump(mode="json")}
        ledger.claim(note(HELD, inputs_digest=digest(held)), lease_seconds=3600)
        yield lab


def refused(lab: ServiceLab) -> Counter[str]:
    """Return how many refusals of each action the trail tells of."""
    lab.listening.service.refusals.close()
    found: Counter[str] = Counter()
    for entry in lab.runtime.ledger.entries():
        if entry.event is Event.REFUSED:
            found[entry.action] += int(str(entry.detail.get("count", 1)))
    return found


def slow_body(lab: ServiceLab) -> Reply:
    host, _, port = lab.url.partition("://")[2].rpartition(":")
    with pytest.MonkeyPatch.context() as patch, socket.create_connection((host, int(port)), timeout=240) as client:
        patch.setattr("snaphold.service.requests.BODY_WITHIN_SECONDS", 0.3)
        head = f"POST /v1/actions/toy.read HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {lab.tokens['ana']}\r\n"
        client.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        return Reply(int(client.recv(65536).split(b" ")[1]), {}, b"")


def no_http(lab: ServiceLab) -> Reply:
    before = refused(lab)
    host, _, port = lab.url.partition("://")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=240) as client:
        client.sendall(CONTENT.encode() + b"\r\n\r\n")
        said = b""
        while part := client.recv(65536):
            said += part
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400
    wait_for(lambda: refused(lab) != before)  # nobody's answer waits for the trail where no request was understood
    return Reply(int(head.split(b" ")[1]), {}, body)


def csrf(lab: ServiceLab, **headers: str) -> Reply:
    browser = Browser(lab).sign_in()
    if not headers:
        browser.form_key = "0" * 32
    return browser.post("/ui/approvals/APR-00000001", headers, decision="approved", reason=CONTENT)


def webhook(name: str, body: bytes, proof: str = "", kind: str = "application/json") -> Callable[[ServiceLab], Reply]:
    headers = {"X-Snaphold-Signature": proof or signature(body)}
    return lambda lab: lab.request("POST", f"/v1/webhooks/{name}", body, token=None, headers=headers, kind=kind)


def asking(method: str, path: str, body: Any = None, **how: Any) -> Callable[[ServiceLab], Reply]:
    given: dict[str, Any] = {"headers": {**WRITE, **WHY}, **how}
    return lambda lab: lab.request(method, path, body, **given)


YES = {"decision": "approved", "reason": CONTENT}
TABLE: dict[str, tuple[int, str, Callable[[ServiceLab], Reply]]] = {
    "no token": (401, AUTHENTICATE, asking("GET", "/v1/whoami", token=None)),
    "a wrong token": (401, AUTHENTICATE, asking("GET", "/metrics", token="snh_" + "A" * 43)),
    "a wrong token at the sign-in": (401, AUTHENTICATE, lambda lab: Browser(lab).post("/ui/sign-in", token="snh_wrong")),
    "events without a session": (401, "service.refuse", lambda lab: Browser(lab).get("/ui/runs/RUN-1/events")),
    "a form without a session": (303, "service.refuse", lambda lab: Browser(lab).post("/ui/approvals/APR-1")),
    "an action without the role": (403, "toy.start", lambda lab: lab.act("toy.start", token="ben")),
    "a job of somebody else": (403, "service.refuse", asking("GET", "/v1/jobs/CALL-1", token="ben")),
    "cancelling a run of somebody else": (403, "run.cancel", asking("POST", "/v1/runs/RUN-00000001/cancel", token="ben")),
    "resuming a run of somebody else": (403, "run.resume", asking("POST", "/v1/runs/RUN-00000001/resume", token="ben")),
    "answering without the right": (403, "approval.decide", asking("POST", "/v1/approvals/APR-00000001", YES)),
    "a form of another session": (403, "service.refuse", csrf),
    "a form of another site": (403, "service.refuse", lambda lab: csrf(lab, Origin="https://attacker.example")),
    "a job that is not there": (404, "service.refuse", asking("GET", "/v1/jobs/CALL-none")),
    "a run that is not there": (404, "service.refuse", asking("GET", "/v1/runs/RUN-none")),
    "evidence that is not there": (404, "service.refuse", asking("GET", "/v1/evidence/EV-none/archive")),
    "an approval that is not there": (404, "service.refuse", asking("POST", "/v1/approvals/APR-none", YES)),
    "a page that is not there": (404, "service.refuse", lambda lab: Browser(lab).sign_in().get("/ui/runs/RUN-none")),
    "no route": (404, "service.refuse", asking("GET", "/.git/config", token=None)),
    "another method": (405, "service.refuse", asking("DELETE", "/v1/runs", token=None)),
    "what is no HTTP": (400, "service.refuse", no_http),
    "a body too slow": (408, "service.refuse", slow_body),
    "an action that somebody is at": (
        409, "service.refuse", lambda lab: lab.act("toy.start", asset="orders-db", headers={"Idempotency-Key": HELD}),
    ),
    "a body too large": (413, "service.refuse", asking("POST", "/v1/actions/toy.start", b" " * 1_100_000)),
    "a body of another type": (415, "service.refuse", asking("POST", "/v1/actions/toy.start", b"{}", kind="text/plain")),
    "a body that is not JSON": (400, "service.refuse", asking("POST", "/v1/actions/toy.start", CONTENT.encode())),
    "no justification": (400, "service.refuse", asking("POST", "/v1/runs/RUN-00000001/cancel", headers={})),
    "a wrong input": (422, "service.refuse", lambda lab: lab.act("toy.start", odd=CONTENT)),
    "a key that was used for something else": (
        422, "service.refuse", lambda lab: lab.act("toy.start", asset=CONTENT, headers={"Idempotency-Key": HELD}),
    ),
    "a wrong query": (422, "service.refuse", asking("GET", "/v1/runs?limit=0")),
    "a wrong cursor": (422, "service.refuse", asking("GET", "/v1/approvals?cursor=AAAA")),
    "an incident that is not known": (
        422, "service.refuse", asking("POST", "/v1/actions/toy.start", {"asset": "orders-db", "incident": "INC-none"}),
    ),
    "a delivery that is not genuine": (401, REFUSE, webhook("siem", json.dumps(siem()).encode(), "v1=" + "0" * 64)),
    "a delivery to nobody": (404, REFUSE, webhook("nothing", json.dumps(siem()).encode())),
    "a delivery that is not JSON": (400, REFUSE, webhook("siem", CONTENT.encode())),
    "a delivery that is not understood": (400, REFUSE, webhook("siem", json.dumps({"data": {"title": CONTENT}}).encode())),
    "a delivery too large": (413, REFUSE, webhook("siem", b" " * 1_100_000)),
    "a delivery of another type": (415, REFUSE, webhook("siem", b"{}", kind="text/plain")),
    "a delivery about nothing known": (422, REFUSE, webhook("siem", json.dumps(siem(hosts=[])).encode())),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_every_refusal_stands_in_the_trail_once_and_nothing_that_was_sent(hooks: WebhookLab, name: str) -> None:
    lab = hooks.service
    status, action, ask = TABLE[name]
    before = refused(lab)
    reply = ask(lab)
    assert reply.status == status, reply.body
    assert refused(lab) - before == Counter({action: 1})
    assert CONTENT not in "".join(entry.model_dump_json() for entry in lab.runtime.ledger.entries())


def test_what_was_granted_is_no_refusal(hooks: WebhookLab) -> None:
    lab = hooks.service
    before = refused(lab)
    assert lab.act("toy.start", headers={"Idempotency-Key": "INC-1/good/orders-db/1"}).status == 200
    assert lab.act("toy.refuse", headers={"Idempotency-Key": "INC-1/refuse/orders-db/1"}).status == 424
    assert hooks.send("siem", siem()).status == 202
    assert lab.request("GET", "/ui", token=None).status == 303
    assert refused(lab) - before == Counter()


def test_a_refusal_names_who_was_refused_and_why(hooks: WebhookLab) -> None:
    lab = hooks.service
    lab.listening.service.refusals.close()
    lab.request("GET", "/v1/jobs/CALL-1", token="ben")
    lab.listening.service.refusals.close()
    last = lab.runtime.ledger.entries()[-1]
    assert str(last.detail["from"]).startswith("TOK-")
    assert str(last.detail["from"]).endswith(" at 127.0.0.1")
    assert str(last.detail["why"]).startswith("GET /v1/jobs/{id}: 403 ben may not see CALL-1")


def test_a_flood_of_bad_deliveries_is_told_to_slow_down_and_good_ones_from_the_same_address_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(tmp_path, monkeypatch, service={"refusals_per_minute": 3}) as lab:
        before = len(lab.service.runtime.ledger.entries())
        bad = {"X-Snaphold-Signature": "v1=" + "0" * 64}
        replies = [lab.send("siem", siem(title=f"{CONTENT} {number}"), headers=bad) for number in range(40)]
        assert [one.status for one in replies[:3]] == [401] * 3
        assert {one.status for one in replies[6:]} <= {401, 429}  # a token of the bucket comes back every 20 s
        (last, *_) = [one for one in replies if one.status == 429]
        assert last.headers["content-type"] == "application/problem+json"
        assert int(last.headers["retry-after"]) >= 1
        assert lab.send("siem", siem()).status == 202
        assert lab.send("paging", pagerduty(), headers={}).status == 401, "another webhook has a limit of its own"
        assert lab.send("paging", pagerduty()).status == 202
        lab.service.listening.service.refusals.close()
        entries = lab.service.runtime.ledger.entries()[before:]
        mine = [one for one in entries if one.action == REFUSE]
        assert [one.detail["count"] for one in mine] == [1, 1, 39]
        told = "".join(one.model_dump_json() for one in entries)
        assert (CONTENT in told, SECRET in told) == (False, False)
        assert len(lab.deliveries()) == 2


class Kept:
    """A ledger that keeps what is appended, unless it is broken."""

    def __init__(self) -> None:
        self.entries: list[NewEntry] = []
        self.broken = False

    def append(self, entry: NewEntry) -> Entry | None:
        if self.broken:
            raise StorageError("the disk is full")
        self.entries.append(entry)
        return None

    @property
    def counts(self) -> list[object]:
        return [one.detail["count"] for one in self.entries]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def log_on(kept: Kept) -> RefusalLog:
    return RefusalLog(kept)  # type: ignore[arg-type]


def test_a_minute_has_few_entries_however_many_sources_there_are(kept: Kept) -> None:
    refusals = log_on(kept)
    for number in range(5 * MOST_SOURCES):
        refusals.note(f"2001:db8::{number:x}", "wrong", NOW + timedelta(milliseconds=number))
    assert len(kept.entries) == MOST_APART
    refusals.settle(NOW + EVERY)
    assert len(kept.entries) == MOST_APART + 1
    last = kept.entries[-1].detail
    assert (last["count"], last["from"], len(last["most"])) == (5 * MOST_SOURCES - MOST_APART, f"{MOST_SOURCES + 1} sources", 10)
    refusals.settle(NOW + 2 * EVERY)
    assert len(kept.entries) == MOST_APART + 1


def test_what_is_counted_in_a_minute_is_written_after_it_also_when_nobody_is_refused_any_more(kept: Kept) -> None:
    refusals = log_on(kept)
    for _ in range(5):
        refusals.note("127.0.0.1", "wrong", NOW)
    refusals.settle(NOW + EVERY - timedelta(seconds=1))
    assert kept.counts == [1]
    refusals.settle(NOW + EVERY)
    assert kept.counts == [1, 4]
    assert kept.entries[-1].detail["from"] == "127.0.0.1"


def test_refusals_that_cannot_be_written_are_kept_until_they_can(kept: Kept) -> None:
    refusals = log_on(kept)
    kept.broken = True
    for number in range(10):
        refusals.note("127.0.0.1", "wrong", NOW + timedelta(seconds=20 * number))
    kept.broken = False
    refusals.settle(NOW + timedelta(hours=1))
    assert sum(int(str(count)) for count in kept.counts) == 10


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-4000, 4000), st.booleans()), max_size=40))
def test_none_is_lost_and_none_is_counted_twice_whatever_the_clock_does(moves: list[tuple[str, int, bool]]) -> None:
    kept = Kept()
    refusals, now = log_on(kept), datetime.fromisoformat("2026-11-22T18:00:00+00:00")
    for source, seconds, works in moves:
        now += timedelta(seconds=seconds)
        kept.broken = not works
        refusals.note(source, "wrong", now)
    kept.broken = False
    refusals.close()
    assert sum(int(str(count)) for count in kept.counts) == len(moves)


def test_the_service_settles_the_count_by_itself(hooks: WebhookLab) -> None:
    assert hooks.service.listening.keeper.refusals is hooks.service.listening.service.refusals


def test_an_incident_of_a_refused_action_is_not_taken_in(hooks: WebhookLab) -> None:
    assert hooks.service.act("toy.start", token="ben", incident={**INCIDENT_DOCUMENT, "id": "INC-7"}).status == 403
    assert hooks.service.request("GET", "/v1/registers/incidents?incident=INC-7").document["records"] == []
