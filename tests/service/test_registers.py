"""Registers over the API: pages that neither lose nor repeat a record, whatever is written meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from snaphold.domain.authority import Hold
from snaphold.domain.value import Value
from snaphold.service.registers import RegisterKind
from support.ledgers import NOW, note
from support.service_lab import ServiceLab


def hold(number: int, incident: str = "INC-1") -> Hold:
    return Hold(
        id=f"HOLD-{number:08d}", incident=incident, subject=f"RP-{number}", subject_kind="restore_point", reason="A test",
        placed_by="ana", placed_at=NOW,
    )  # fmt: skip


def write(lab: ServiceLab, *records: Value) -> None:
    lab.runtime.ledger.append(note(), list(records))


def pages(lab: ServiceLab, query: str = "", between: Any = None) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = ""
    while True:
        told = lab.request("GET", f"/v1/registers/holds?limit=3&cursor={cursor}{query}").document
        found.append([record["id"] for record in told["records"]])
        cursor = told["next"]
        if not cursor:
            return found
        if between is not None:
            between()


def test_pages_tell_every_record_once_also_when_new_ones_come_meanwhile(lab: ServiceLab) -> None:
    write(lab, *(hold(number) for number in range(4)))
    for number in range(4, 8):
        write(lab, hold(number))
    wanted = {f"HOLD-{number:08d}" for number in range(8)}
    new = iter(range(100, 200))
    found = pages(lab, between=lambda: write(lab, hold(next(new))))
    told = [id for page in found for id in page]
    assert [len(page) for page in found] == [3, 3, 2]
    assert (len(told), set(told)) == (8, wanted)
    assert told[:4] == ["HOLD-00000007", "HOLD-00000006", "HOLD-00000005", "HOLD-00000004"]


def test_a_register_can_be_narrowed_to_an_incident(lab: ServiceLab) -> None:
    write(lab, hold(1), hold(2, "INC-2"))
    assert pages(lab, "&incident=INC-2") == [["HOLD-00000002"]]
    assert pages(lab, "&incident=INC-3") == [[]]


def test_every_register_can_be_read_and_needs_a_token(lab: ServiceLab) -> None:
    for kind in RegisterKind:
        reply = lab.request("GET", f"/v1/registers/{kind.value}", token="ben")
        assert (reply.status, reply.document["kind"]) == (200, kind.value)
        assert lab.request("GET", f"/v1/registers/{kind.value}", token=None).status == 401


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "cursor=!", "cursor=AAAA", "cursor=WzAsIngiXQ", "cursor=" + "A" * 401]
)
def test_a_wrong_page_is_told_as_such(lab: ServiceLab, query: str) -> None:
    reply = lab.request("GET", f"/v1/registers/holds?{query}")
    assert (reply.status, reply.headers["content-type"]) == (422, "application/problem+json")


def test_a_register_that_is_none_is_told_as_such(lab: ServiceLab) -> None:
    assert lab.request("GET", "/v1/registers/api_token").status == 422
