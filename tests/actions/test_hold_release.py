"""Releasing holds: a second person, a reason, and a storage that lets go with the last one only."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.domain.authority import Hold
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, NotAuthorisedError, ProviderError
from snaphold.providers.base import Verb
from support.kept_estate import EVIDENCE, FILES, ORDERS, KeptEstate, make_kept_estate


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptEstate:
    return make_kept_estate(tmp_path, monkeypatch)


def placed(estate: KeptEstate, reason: str, *subjects: str) -> list[str]:
    return estate.use("hold.place", {"subjects": list(subjects), "reason": reason}).holds


def test_the_storage_lets_go_with_the_last_hold_and_not_before(estate: KeptEstate) -> None:
    (court,), (police,) = placed(estate, "a court", FILES), placed(estate, "the police", FILES)
    estate.grant("hold.release")
    first = estate.use("hold.release", {"holds": [court], "reason": "the court is done"})
    assert (first.released, first.free, first.still_held) == ([court], [], [f"{FILES} by {police}"])
    assert "let_go" not in estate.engine.calls
    assert estate.engine.holds[FILES] == {court, police}
    second = estate.use("hold.release", {"holds": [police], "reason": "the police is done"})
    assert (second.free, second.still_held, second.approved_by) == ([FILES], [], ["ben"])
    assert estate.engine.holds[FILES] == set()
    assert all(hold.released_by == "ana" for hold in estate.ledger.records(Hold))


def test_a_role_alone_is_not_enough_a_second_person_must_have_allowed_it(estate: KeptEstate) -> None:
    (hold,) = placed(estate, "a court", FILES)
    with pytest.raises(NotAuthorisedError, match="needs a second person"):
        estate.use("hold.release", {"holds": [hold], "reason": "done"})
    estate.grant("backup.delete")
    with pytest.raises(NotAuthorisedError) as refused:
        estate.use("hold.release", {"holds": [hold], "reason": "done"})
    assert "it covers only backup.delete" in (refused.value.why or "")
    with pytest.raises(NotAuthorisedError, match="may not run hold"):
        estate.use("hold.release", {"holds": [hold], "reason": "done"}, person="ben")
    assert estate.engine.holds[FILES] == {hold}
    assert estate.ledger.records(Hold)[0].released_at is None


def test_an_expired_right_does_not_count(estate: KeptEstate) -> None:
    (hold,) = placed(estate, "a court", FILES)
    estate.grant("hold.release")
    estate.clock.advance(3601)
    with pytest.raises(NotAuthorisedError, match="needs a second person"):
        estate.use("hold.release", {"holds": [hold], "reason": "done"})


def test_a_storage_that_fails_goes_on_holding_and_is_asked_again(estate: KeptEstate) -> None:
    (hold,) = placed(estate, "a court", FILES)
    estate.grant("hold.release")
    estate.engine.faults["let_go"] = ProviderError("the storage is offline")
    result = estate.use("hold.release", {"holds": [hold], "reason": "done"})
    assert result.outcome is Outcome.PARTIAL
    assert result.findings[0] == f"{FILES} is released in the register, and its storage still holds it: the storage is offline"
    assert estate.engine.holds[FILES] == {hold}
    again = estate.use("hold.release", {"holds": [hold], "reason": "done"})
    assert again.outcome is Outcome.SUCCEEDED
    assert again.findings == [f"{hold} was released already by ana"]
    assert estate.engine.holds[FILES] == set()


def test_an_engine_without_holds_has_nothing_to_let_go(estate: KeptEstate) -> None:
    estate.engine.unsupported = {Verb.HOLD}
    result = estate.use("hold.place", {"subjects": [FILES], "reason": "a court"})
    (hold,) = result.holds
    assert result.findings == [f"{FILES} is held in the register only: it knows no such thing"], "who places it is told"
    estate.grant("hold.release")
    assert estate.use("hold.release", {"holds": [hold], "reason": "done"}).outcome is Outcome.SUCCEEDED
    assert "let_go" not in estate.engine.calls


def test_a_hold_on_evidence_is_released_and_a_custody_log_out_of_reach_is_said(estate: KeptEstate) -> None:
    result = estate.use("hold.place", {"subjects": [EVIDENCE], "reason": "a court"})
    assert result.outcome is Outcome.SUCCEEDED
    in_register, custody = result.findings
    assert in_register == f"{EVIDENCE} is held in the register only: the package's folder is read-only"
    assert custody.startswith(f"{EVIDENCE}: its chain of custody does not show this yet (hold_placed): ")
    estate.grant("hold.release")
    released = estate.use("hold.release", {"holds": result.holds, "reason": "done"})
    assert released.free == [EVIDENCE]
    assert "(hold_released)" in released.findings[0]


def test_unknown_holds_are_named_and_nothing_is_released(estate: KeptEstate) -> None:
    (hold,) = placed(estate, "a court", ORDERS)
    estate.grant("hold.release")
    with pytest.raises(InputError, match="no such hold"):
        estate.use("hold.release", {"holds": [hold, "HOLD-00000000"], "reason": "done"})
    assert estate.ledger.records(Hold)[0].released_at is None
