from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.actions.hold import HoldsPlaced, PlaceHold, place
from snaphold.clock import SystemClock
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord, Hold
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.value import Value
from snaphold.errors import InputError
from support.backup_site import Site, make_site
from support.incident_context import NOW, RegisterOnlyLedger, make_context

EVIDENCE = EvidenceRecord(
    id="EV-INC-1-00000001", incident="INC-1", path="/e", sealed_at=NOW, tag_manifest_sha256="x", signed_by="c", timestamped=False
)


def point(site: Site, reference: str = "gone") -> RestorePoint:
    return RestorePoint(
        id="RP-files-01-00000001", incident="INC-1", asset="files-01", pool=site.pool.name, provider=site.pool.provider,
        engine="x", reference=reference, key="k", taken_at=NOW, outcome=Outcome.SUCCEEDED, size=1, files=1, encryption="x",
        consistency="crash-consistent",
    )  # fmt: skip


def context_of(site: Site, *records: Value) -> Context:
    return make_context(*records, configuration=site.configuration, clock=SystemClock())


def placed(context: Context, reason: str = "Ransomware", subjects: list[str] | None = None) -> HoldsPlaced:
    result = place(PlaceHold(subjects=subjects or [], reason=reason), context)
    assert isinstance(context.ledger, RegisterOnlyLedger)
    context.ledger.kept += context.staged
    context.staged.clear()
    return result


def test_everything_of_the_incident_is_held_when_nothing_is_named(tmp_path: Path) -> None:
    site = make_site(tmp_path, "rclone")
    context = context_of(site, point(site), EVIDENCE)
    result = placed(context)
    assert result.outcome is Outcome.SUCCEEDED
    holds = context.ledger.records(Hold)
    assert [hold.id for hold in holds] == result.holds
    assert [(hold.subject, hold.subject_kind) for hold in holds] == [(point(site).id, "restore_point"), (EVIDENCE.id, "evidence")]
    assert all(hold.enforced_by.startswith("register only: ") for hold in holds)
    assert all(hold.placed_by == "ana" for hold in holds)


def test_the_same_reason_places_no_second_hold_and_another_reason_does(tmp_path: Path) -> None:
    context = context_of(make_site(tmp_path, "rclone"), EVIDENCE)
    first = placed(context)
    assert placed(context).holds == first.holds
    assert len(context.ledger.records(Hold)) == 1
    assert placed(context, "Court order").holds != first.holds
    assert len(context.ledger.records(Hold)) == 2


def test_a_hold_that_was_released_can_be_placed_again_as_a_new_one(tmp_path: Path) -> None:
    context = context_of(make_site(tmp_path, "rclone"), EVIDENCE)
    (first,) = placed(context).holds
    assert isinstance(context.ledger, RegisterOnlyLedger)
    (hold,) = context.ledger.records(Hold)
    context.ledger.kept.remove(hold)
    context.ledger.kept.append(hold.model_copy(update={"released_at": NOW}))
    (second,) = placed(context).holds
    assert second != first


def test_unknown_subjects_are_named_with_the_nearest(tmp_path: Path) -> None:
    context = context_of(make_site(tmp_path, "rclone"), EVIDENCE)
    with pytest.raises(InputError) as refused:
        place(PlaceHold(subjects=["EV-INC-1-00000002"], reason="x"), context)
    assert EVIDENCE.id in (refused.value.why or "")
    assert context.staged == []


def test_an_incident_without_anything_to_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to hold"):
        place(PlaceHold(reason="x"), context_of(make_site(tmp_path, "rclone")))


@pytest.mark.slow
def test_a_storage_that_fails_does_not_prevent_the_hold_but_is_said(tmp_path: Path) -> None:
    site = make_site(tmp_path, "restic")
    context = context_of(site, point(site))
    result = placed(context)
    assert result.outcome is Outcome.PARTIAL
    assert "not in the repository" in result.findings[0]
    (hold,) = context.ledger.records(Hold)
    assert hold.enforced_by.startswith("register only: ")


@pytest.mark.slow
def test_restic_tags_the_snapshot_and_the_register_follows_its_new_id(tmp_path: Path) -> None:
    site = make_site(tmp_path, "restic")
    taken = site.back_up().restore_point
    assert taken
    context = context_of(site, taken)
    result = placed(context)
    assert result.outcome is Outcome.SUCCEEDED
    held = context.ledger.records(RestorePoint)[-1]
    assert held.id == taken.id
    assert held.reference != taken.reference
    assert held.former_references == (taken.reference,)
    (hold,) = context.ledger.records(Hold)
    assert hold.enforced_by.startswith("restic ")
    assert "legal-hold" in hold.enforced_by
