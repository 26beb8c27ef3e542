"""Reading parts of a register: a page, the records that say something, and some by their ids; in both kinds of database."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.authority import Approval, ApprovalState, ApprovalVote, Decision, Hold
from snaphold.ledger.database import DatabaseLedger
from support.ledgers import NOW, note, open_test_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Generator[DatabaseLedger]:
    found = open_test_ledger(tmp_path, FixedClock(NOW))
    yield found
    found.close()


def hold(id: str, reason: str = "Case", *, released: bool = False) -> Hold:
    return Hold(
        id=id, incident="INC-1", subject="RP-1", subject_kind="restore_point", reason=reason, placed_by="ana", placed_at=NOW,
        released_at=NOW if released else None,
    )  # fmt: skip


def test_only_records_that_say_so_themselves_are_found(ledger: DatabaseLedger) -> None:
    tricky = '"released_at":null and "state":"waiting"'
    ledger.append(note(), [hold("A"), hold("B", released=True), hold("C", tricky, released=True), hold("D")])
    assert [one.id for one in ledger.saying(Hold, "released_at", None)] == ["A", "D"]
    vote = ApprovalVote(by="ben", name="Ben", decision=Decision.APPROVED, reason=tricky, at=NOW)
    asked = Approval(
        id="APR-1", incident="INC-1", step="gate", ask=tricky, asked_of="group/a", requested_by="ana", requested_at=NOW,
        expires_at=NOW, votes=(vote,),
    )  # fmt: skip
    ended = asked.model_copy(update={"id": "APR-2", "state": ApprovalState.EXPIRED})
    ledger.append(note(), [asked, ended])
    assert [one.id for one in ledger.saying(Approval, "state", "waiting")] == ["APR-1"]
    assert ledger.saying(Approval, "state", "WAITING") == []
    assert ledger.saying(Approval, "state", "wait%") == []


def test_some_records_are_found_by_their_ids(ledger: DatabaseLedger) -> None:
    ledger.append(note(), [hold("A"), hold("B")])
    assert {id: one.id for id, one in ledger.some(Hold, ["B", "Z"]).items()} == {"B": "B"}
    assert ledger.some(Hold, []) == {}


def test_pages_follow_each_other_without_gap_or_repeat(ledger: DatabaseLedger) -> None:
    ledger.append(note(), [hold("A"), hold("B"), hold("C")])
    ledger.append(note(), [hold("D")])
    first, more = ledger.page(Hold, None, 2)
    assert ([one.id for one in first], more) == (["D", "A"], (1, "A"))
    ledger.append(note(), [hold("E")])
    second, more = ledger.page(Hold, None, 2, more)
    assert ([one.id for one in second], more) == (["B", "C"], None)
    assert ledger.page(Hold, "INC-2", 2) == ([], None)
