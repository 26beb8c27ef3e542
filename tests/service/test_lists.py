"""Runs and approvals over the API: pages that neither lose nor repeat one, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snaphold.domain.authority import ApprovalState
from snaphold.domain.value import Value
from support.ledgers import note, open_test_ledger
from support.numbered import approval, run
from support.service_lab import ServiceLab

LISTS: list[Any] = [pytest.param("runs", run, id="runs"), pytest.param("approvals", approval, id="approvals")]
Make = Callable[..., Value]


def write(lab: ServiceLab, *records: Value) -> None:
    for record in records:
        lab.runtime.ledger.append(note(), [record])


def pages(lab: ServiceLab, name: str, query: str = "", between: Callable[[], None] | None = None) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = ""
    while True:
        told = lab.request("GET", f"/v1/{name}?limit=3&cursor={cursor}{query}").document
        found.append([one["id"] for one in told[name]])
        cursor = told["next"]
        if not cursor:
            return found
        if between is not None:
            between()


@pytest.mark.parametrize(("name", "make"), LISTS)
def test_pages_tell_each_once_the_newest_first_also_when_new_ones_come_and_old_ones_change(
    lab: ServiceLab, name: str, make: Make
) -> None:
    made = [make(number) for number in range(8)]
    write(lab, *made)
    new = iter(range(100, 200))
    found = pages(lab, name, between=lambda: write(lab, make(next(new)), made[0]))
    ids = [record.model_dump()["id"] for record in reversed(made)]
    assert found == [ids[:3], ids[3:6], ids[6:]]


@pytest.mark.parametrize(("name", "make"), LISTS)
def test_a_list_can_be_narrowed_to_an_incident_and_none_is_one_empty_page(lab: ServiceLab, name: str, make: Make) -> None:
    write(lab, make(1), make(2, "INC-2"))
    assert [id[-1] for page in pages(lab, name, "&incident=INC-2") for id in page] == ["2"]
    assert pages(lab, name, "&incident=INC-3") == [[]]


@pytest.mark.parametrize(("name", "make"), LISTS)
def test_without_a_limit_a_page_is_bounded_and_a_larger_one_than_allowed_is_refused(
    lab: ServiceLab, name: str, make: Make
) -> None:
    lab.runtime.ledger.append(note(), [make(number) for number in range(60)])
    told = lab.request("GET", f"/v1/{name}").document
    assert (len(told[name]), bool(told["next"])) == (50, True)
    assert len(lab.request("GET", f"/v1/{name}?limit=200").document[name]) == 60
    for query in ("limit=0", "limit=201", "limit=x", "cursor=!", "cursor=AAAA", "cursor=WzAsIngiXQ"):
        reply = lab.request("GET", f"/v1/{name}?{query}")
        assert (reply.status, reply.headers["content-type"]) == (422, "application/problem+json"), query


def test_requests_that_wait_are_told_in_full_pages_although_others_lie_between(lab: ServiceLab) -> None:
    denied = {"state": ApprovalState.DENIED, "ask": 'Is it "state":"waiting"?'}
    write(lab, *(approval(number, **(denied if number % 2 else {})) for number in range(10)))
    found = pages(lab, "approvals", "&state=waiting")
    assert [[int(id[-1]) for id in page] for page in found] == [[8, 6, 4], [2, 0]]


class Nested(Value):
    """A record that says something about itself, and something else of that name about its part."""

    id: str
    incident: str = "INC-1"
    state: str
    part: dict[str, str]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), max_size=12), st.integers(1, 4))
def test_what_only_a_part_of_a_record_says_neither_counts_nor_ends_the_list(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, str]], most: int
) -> None:
    folder: Path = tmp_path_factory.mktemp("nested")
    ledger = open_test_ledger(folder)
    try:
        for number, (state, inner) in enumerate(said):
            ledger.append(note(), [Nested(id=f"N-{number}", state=state, part={"state": inner})])
        found: list[str] = []
        after = None
        while True:
            records, after = ledger.page(Nested, None, most, after, ("state", "a"))
            assert len(records) == most or after is None
            found += [one.id for one in records]
            if after is None:
                break
        assert found == [f"N-{number}" for number in reversed(range(len(said))) if said[number][0] == "a"]
    finally:
        ledger.close()
