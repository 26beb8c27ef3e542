"""A service whose surroundings fail: a full disk, a database that is gone, a clock that moves. Told clearly, nothing lost."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.authority import Approval
from snaphold.errors import BusyError
from snaphold.ledger.connection import SqliteStore
from snaphold.ledger.ledger import ClaimState
from snaphold.ledger.verify import verify_ledger
from snaphold.service.tokens import create_token
from support.ledgers import note
from support.numbered import approval
from support.page_lab import Browser
from support.postgres import Postgres, run_postgres
from support.service_lab import Reply
from support.webhook_lab import ROLES, WebhookLab, pagerduty, receiving, siem

pytestmark = pytest.mark.slow
CANNOT = (503, 507)
HOUR = 3600
MANAGERS = {"name": "managers", "members": ["cleo", "ben"], "may": []}
PLACES = ["file", "postgresql"]


@pytest.fixture(params=PLACES)
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[WebhookLab]:
    """A service on each database, with an approval request that waits."""
    changes: dict[str, Any] = {"roles": [*ROLES, MANAGERS]}
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        monkeypatch.setenv("SNAPHOLD_TEST_DATABASE", postgres.url(postgres.create(postgres.prepared)))
        changes["database"] = "env:SNAPHOLD_TEST_DATABASE"
    with receiving(tmp_path, monkeypatch, **changes) as found:
        prepare(found)
        yield found


def prepare(lab: WebhookLab) -> None:
    lab.service.runtime.ledger.append(note(), [approval(1)])


@contextmanager
def full(lab: WebhookLab) -> Generator[None]:
    """Have the database refuse every entry for the length of the block, in its own words for a full disk."""
    ledger = lab.service.runtime.ledger
    if isinstance(ledger.store, SqliteStore):
        make = ["create trigger no_space before insert on entry begin select raise(abort, 'database or disk is full'); end"]
        drop = "drop trigger no_space"
    else:
        make = [
            "create function snaphold.no_space() returns trigger language plpgsql as "
            "$$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$",
            "create trigger no_space before insert on snaphold.entry for each row execute function snaphold.no_space()",
        ]
        drop = "drop trigger no_space on snaphold.entry"
    with ledger.writing() as connection:
        for statement in make:
            connection.exec_driver_sql(statement)
    try:
        yield
    finally:
        with ledger.writing() as connection:
            connection.exec_driver_sql(drop)


def is_told(reply: Reply) -> bool:
    """Return whether an answer is a clear refusal for now, as a problem document and not as a fault of the program."""
    return (
        reply.status in CANNOT
        and reply.headers["content-type"] == "application/problem+json"
        and bool(reply.document["detail"])
        and reply.document["type"] != "about:blank"
    )


def check_all(lab: WebhookLab) -> None:
    """Everything works, and the chain of the trail is whole."""
    service = lab.service
    assert service.act("toy.start").status == 200
    assert service.toys.vendor.starts() == ["INC-1/step/orders-db/1"]
    assert lab.send("siem", siem()).status == 202
    assert len(lab.deliveries()) == 1
    faults = verify_ledger(service.runtime.ledger, _no_checkpoint).faults
    assert faults == []


def _no_checkpoint(*_: Any) -> None:
    raise AssertionError("there is no checkpoint to check")


def test_a_full_disk_is_told_and_everything_is_done_once_there_is_room(lab: WebhookLab) -> None:
    service = lab.service
    with full(lab):
        refused = service.act("toy.start")
        assert is_told(refused), refused.body
        assert service.toys.vendor.starts() == [], "nothing is done that cannot be recorded first"
        assert lab.send("siem", siem()).status in CANNOT, "the source is to send it again"
        assert lab.deliveries() == []
        assert service.request("GET", "/v1/runs", token="snh_" + "A" * 43).status == 401, "who is unknown stays unknown"
        assert service.request("GET", "/healthz", token=None).status == 200
        assert service.request("GET", "/v1/approvals").status == 200, "what is only read is answered"
    service.listening.service.refusals.close()
    told = [one for one in service.runtime.ledger.entries() if one.action == "service.authenticate"]
    assert [one.detail["count"] for one in told] == [1], "the refusal was kept until it could be written"
    check_all(lab)


def test_a_database_that_is_gone_is_told_and_everything_is_done_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_postgres() as server:
        monkeypatch.setenv("SNAPHOLD_TEST_DATABASE", server.url(server.create(server.prepared)))
        with receiving(tmp_path, monkeypatch, database="env:SNAPHOLD_TEST_DATABASE", roles=[*ROLES, MANAGERS]) as lab:
            service = lab.service
            prepare(lab)
            browser = Browser(service).sign_in()
            for number in (signal.SIGQUIT, signal.SIGINT):
                server.stop(number)
                assert service.request("GET", "/healthz", token=None).status == 200
                assert service.request("GET", "/readyz", token=None).status == 503
                for reply in (service.act("toy.start", headers={"Idempotency-Key": "INC-1/gone/orders-db/1"}),
                              service.request("GET", "/v1/runs"), service.request("GET", "/metrics")):  # fmt: skip
                    assert is_told(reply), (reply.status, reply.body)
                assert lab.send("siem", siem()).status in CANNOT, "the source is to send it again"
                assert browser.get("/ui").status in CANNOT
                server.start()
                assert service.request("GET", "/readyz", token=None).status == 200
                assert browser.get("/ui").status == 200
            assert service.toys.vendor.starts() == []
            assert [one.id for one in service.runtime.ledger.records(Approval)] == ["APR-00000001"]
            check_all(lab)


def moved(lab: WebhookLab, seconds: float) -> None:
    clock = lab.service.runtime.clock
    assert isinstance(clock, FixedClock)
    clock.advance(seconds)


def test_a_clock_that_goes_back_an_hour_is_not_ready_and_loses_nothing(lab: WebhookLab) -> None:
    service = lab.service
    check_all(lab)
    moved(lab, -HOUR)
    assert service.request("GET", "/readyz", token=None).document["why"] == "the clock went back"
    assert service.act("toy.start").status == 200
    assert service.toys.vendor.starts() == ["INC-1/step/orders-db/1"], "the key still counts"
    ahead = lab.send("paging", pagerduty())
    assert (ahead.status, "not of now" in ahead.document["detail"]) == (401, True), "it seems to be of the future"
    assert lab.send("siem", siem()).status == 401
    moved(lab, HOUR)
    assert service.request("GET", "/readyz", token=None).status == 200
    assert lab.send("paging", pagerduty()).status == 202
    assert (lab.send("siem", siem()).status, len(lab.deliveries())) == (200, 2)


def test_a_clock_that_jumps_an_hour_ahead_ends_tokens_and_leases_that_are_over_and_none_besides(lab: WebhookLab) -> None:
    service, ledger = lab.service, lab.service.runtime.ledger
    short = create_token(service.runtime, "ana", lasts=timedelta(minutes=30))[1]
    held = note("INC-1/held/orders-db/1")
    first = ledger.claim(held, lease_seconds=900)
    assert (first.state, service.request("GET", "/v1/whoami", token=short).status) == (ClaimState.FRESH, 200)
    moved(lab, HOUR)
    assert service.request("GET", "/v1/whoami", token=short).status == 401
    assert service.request("GET", "/v1/whoami").status == 200
    taken = ledger.claim(held, lease_seconds=900)
    assert taken.state is ClaimState.TAKEN_OVER, "the outside world is asked before anything is done again"
    with pytest.raises(BusyError):
        ledger.settle(first, note("INC-1/held/orders-db/1", outcome="succeeded"), {}, [])
    moved(lab, -HOUR)
    assert service.request("GET", "/v1/whoami", token=short).status == 200
    with pytest.raises(BusyError):
        ledger.claim(held, lease_seconds=900)
    assert lab.send("siem", siem()).status == 202
    assert service.request("GET", "/v1/approvals?state=waiting").document["approvals"][0]["id"] == "APR-00000001"
