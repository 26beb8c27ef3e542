"""Permanent deletion: each of the five conditions refuses by itself, and what was lost on the way is never guessed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snaphold.context import Attempt
from snaphold.deletion import check_conditions, delete_for_ever
from snaphold.domain.incident import IncidentStatus
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Deletion, DeletionState
from snaphold.errors import (
    BusyError,
    InputError,
    KeptError,
    NotAuthorisedError,
    ProviderError,
    SnapholdError,
    UnknownOutcomeError,
)
from snaphold.ledger.entry import Event
from snaphold.providers.base import Verb
from support.kept_estate import FILES, ORDERS, KeptEstate, make_kept_estate
from support.ledgers import note

GIVEN = {"restore_point": FILES, "reason": "its retention has passed"}


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptEstate:
    return make_kept_estate(tmp_path, monkeypatch)


def deletion(estate: KeptEstate) -> Deletion | None:
    return estate.ledger.record(Deletion, FILES)


def refusal(estate: KeptEstate, **changes: Any) -> SnapholdError:
    """Return the error of a deletion that is refused before the storage is touched."""
    with pytest.raises(SnapholdError) as refused:
        estate.use("backup.delete", GIVEN, **changes)
    assert "delete" not in estate.engine.calls
    assert FILES in estate.engine.points
    return refused.value


def test_with_all_five_conditions_it_is_deleted_and_its_tombstone_stays(estate: KeptEstate) -> None:
    estate.close_and_wait()
    grant = estate.grant("backup.delete")
    result = estate.use("backup.delete", GIVEN)
    assert (result.outcome, result.approved_by, result.findings) == (Outcome.SUCCEEDED, ["ben"], [])
    assert list(estate.engine.points) == [ORDERS]
    done = deletion(estate)
    assert done is not None
    assert (done.state, done.requested_by, done.approved_by, done.grant) == (DeletionState.DELETED, "ana", ("ben",), grant)
    assert done.reason == "its retention has passed"
    assert estate.ledger.record(RestorePoint, FILES) is not None, "what it was stays on record"
    shown = estate.use("retention.show")
    assert shown.free == [ORDERS]
    assert "by ana, allowed by ben: its retention has passed" in shown.deleted[0]


def test_a_hold_refuses(estate: KeptEstate) -> None:
    estate.use("hold.place", {"subjects": [FILES], "reason": "a court"})
    estate.close_and_wait()
    estate.grant("backup.delete")
    error = refusal(estate)
    assert isinstance(error, KeptError)
    assert "is under legal hold" in error.what


def test_an_open_case_refuses(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.say(IncidentStatus.OPEN)
    estate.grant("backup.delete")
    error = refusal(estate)
    assert isinstance(error, KeptError)
    assert "belongs to an open case" in error.what


def test_a_retention_that_has_not_passed_refuses(estate: KeptEstate) -> None:
    estate.say(IncidentStatus.CLOSED)
    estate.use("retention.release")
    estate.clock.advance(timedelta(days=89).total_seconds())
    estate.grant("backup.delete")
    error = refusal(estate)
    assert isinstance(error, KeptError)
    assert "is still kept" in error.what
    assert "the policy (all data)" in (error.why or "")


def test_a_retention_that_never_began_refuses(estate: KeptEstate) -> None:
    estate.say(IncidentStatus.CLOSED)
    estate.grant("backup.delete")
    assert "its retention has not begun to run" in (refusal(estate).why or "")


def test_without_a_grant_nobody_deletes_whatever_the_role(estate: KeptEstate) -> None:
    estate.close_and_wait()
    error = refusal(estate)
    assert isinstance(error, NotAuthorisedError)
    assert "backup.delete destroys, which always needs a grant" in (error.why or "")


def test_the_role_and_the_second_person_are_errors_of_their_own(estate: KeptEstate) -> None:
    estate.close_and_wait()
    point = estate.engine.points[FILES]
    with pytest.raises(NotAuthorisedError, match="cleo has no role for backup"):
        check_conditions(point, estate.context("cleo"))
    with pytest.raises(NotAuthorisedError, match="needs a second person"):
        check_conditions(point, estate.context("ana"))


def test_a_right_that_was_given_to_another_does_not_count(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete", person="ben", approvers=("cleo",))
    assert "it was issued to ben" in (refusal(estate).why or "")


@settings(max_examples=16)
@given(held=st.booleans(), closed=st.booleans(), passed=st.booleans(), granted=st.booleans())
def test_it_is_deleted_only_when_every_condition_holds(
    tmp_path_factory: pytest.TempPathFactory, held: bool, closed: bool, passed: bool, granted: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        estate = make_kept_estate(tmp_path_factory.mktemp("estate"), patch)
        if held:
            estate.use("hold.place", {"subjects": [FILES], "reason": "a court"})
        estate.say(IncidentStatus.CLOSED)
        estate.use("retention.release")
        if passed:
            estate.clock.advance(timedelta(days=91).total_seconds())
        if not closed:
            estate.say(IncidentStatus.OPEN)
        if granted:
            estate.grant("backup.delete")
        if not held and closed and passed and granted:
            estate.use("backup.delete", GIVEN)
            assert FILES not in estate.engine.points
        else:
            refusal(estate)


def test_a_hold_that_comes_between_the_announcement_and_the_storage_wins(
    estate: KeptEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold is begun right after the deletion was announced, by a process that has not ended yet."""
    estate.close_and_wait()
    estate.grant("backup.delete")
    began = note("INC-1/other/-/1", action="hold.place", actor="ben")
    append = estate.ledger.append

    def append_and_hold(entry: Any, records: Any = None) -> Any:
        done = append(entry, records)
        if entry.event is Event.DELETION and entry.detail["state"] == "deleting":
            append(began)
        return done

    monkeypatch.setattr(estate.ledger, "append", append_and_hold)
    error = refusal(estate)
    assert isinstance(error, BusyError)
    assert "a legal hold is being placed" in error.what
    standing = deletion(estate)
    assert standing is not None
    assert standing.state is DeletionState.GIVEN_UP
    monkeypatch.undo()


def test_what_is_being_deleted_cannot_be_held_and_what_was_given_up_can(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete")
    estate.engine.faults["delete"] = UnknownOutcomeError("the answer was lost")
    with pytest.raises(UnknownOutcomeError):
        estate.use("backup.delete", GIVEN)
    with pytest.raises(InputError, match="is being deleted"):
        estate.use("hold.place", {"subjects": [FILES], "reason": "a court"})
    estate.engine.faults["delete"] = ProviderError("the storage is offline")
    with pytest.raises(ProviderError):
        estate.use("backup.delete", GIVEN)
    estate.use("hold.place", {"subjects": [FILES], "reason": "a court"})
    assert isinstance(refusal_after(estate), KeptError)


def refusal_after(estate: KeptEstate) -> SnapholdError:
    with pytest.raises(SnapholdError) as refused:
        estate.use("backup.delete", GIVEN)
    return refused.value


def test_a_storage_that_refuses_leaves_it_and_the_register_says_given_up(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete")
    estate.engine.faults["delete"] = ProviderError("the repository is locked")
    with pytest.raises(ProviderError, match="the repository is locked"):
        estate.use("backup.delete", GIVEN)
    standing = deletion(estate)
    assert standing is not None
    assert standing.state is DeletionState.GIVEN_UP
    assert estate.use("backup.delete", GIVEN).outcome is Outcome.SUCCEEDED


def test_a_fault_after_it_was_done_is_no_failure_because_the_storage_is_looked_at(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete")
    estate.engine.lost = True
    estate.engine.faults["delete"] = ProviderError("cleaning up failed")
    result = estate.use("backup.delete", GIVEN)
    assert result.findings == ["the storage reported a fault, and it is gone"]
    assert deletion(estate) is not None


def test_a_storage_that_cannot_be_asked_afterwards_is_unknown_and_the_next_attempt_finds_out(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete")
    context = estate.context(key="INC-1/wipe/-/1")
    asked = 0
    listed = estate.engine.restore_points

    def once() -> list[RestorePoint]:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise ProviderError("the storage is offline")
        return listed()

    estate.engine.restore_points = once  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UnknownOutcomeError, match="cannot be told whether"):
        delete_for_ever(FILES, "over", context)
    standing = deletion(estate)
    assert standing is not None
    assert standing.state is DeletionState.DELETING
    estate.engine.restore_points = listed  # pyright: ignore[reportAttributeAccessIssue]
    done, findings = delete_for_ever(FILES, "over", estate.context(key="INC-1/wipe/-/2"))
    assert (done.state, findings) == (DeletionState.DELETED, ["an earlier attempt had deleted it"])


def test_an_attempt_that_took_over_finds_what_the_lost_one_deleted(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete")
    del estate.engine.points[FILES]
    taken_over = replace(estate.context(key="INC-1/wipe/-/1"), attempt=Attempt.TAKEN_OVER)
    assert delete_for_ever(FILES, "over", taken_over)[1] == ["an earlier attempt had deleted it"]


def test_what_somebody_else_removed_is_said_so(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete")
    del estate.engine.points[FILES]
    assert "somebody removed" in estate.use("backup.delete", GIVEN).findings[0]


def test_what_is_deleted_is_neither_deleted_held_nor_kept_again(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete")
    estate.use("backup.delete", GIVEN)
    assert estate.use("backup.delete", GIVEN).findings == [f"{FILES} was deleted already"]
    assert estate.engine.calls.count("delete") == 1
    with pytest.raises(InputError, match="was deleted for ever"):
        estate.use("hold.place", {"subjects": [FILES], "reason": "a court"})
    assert all(FILES not in line for line in estate.use("retention.release").kept)


def test_an_engine_that_cannot_delete_says_why(estate: KeptEstate) -> None:
    estate.close_and_wait()
    estate.grant("backup.delete")
    estate.engine.unsupported = {Verb.DELETE}
    error = refusal(estate)
    assert (error.what, error.why) == ("memory 1.0 does not delete", "it knows no such thing")


def test_an_unknown_restore_point_is_named_with_the_nearest(estate: KeptEstate) -> None:
    with pytest.raises(InputError) as refused:
        delete_for_ever("RP-files-01-00000009", "over", estate.context())
    assert FILES in (refused.value.why or "")
