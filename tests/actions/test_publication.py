"""Publishing a restore point, ending that, and marking one as infected: through Veeam's simulator and without it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.actions.publication import (
    EndPublication,
    MarkInfected,
    PublishBackup,
    end_publication,
    mark_infected,
    publish,
)
from snaphold.clock import SystemClock
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.domain.publication import PublishedRestorePoint
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError
from support.backup_site import make_site
from support.incident_context import NOW, RegisterOnlyLedger, make_context
from support.quick_retries import no_pauses
from support.veeam_rig import ProductRig


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_pauses(monkeypatch)
    made = ProductRig(tmp_path)
    yield made
    made.close()


def context_of(rig: ProductRig, point: RestorePoint) -> Context:
    return make_context(point, configuration=rig.configuration, clock=SystemClock())


def settle(context: Context) -> None:
    """Write what was staged into the register, newest state first."""
    assert isinstance(context.ledger, RegisterOnlyLedger)
    ids = {getattr(record, "id", "") for record in context.staged}
    context.ledger.kept = [*context.staged, *(kept for kept in context.ledger.kept if getattr(kept, "id", "") not in ids)]
    context.staged.clear()


def test_a_restore_point_is_published_once_per_name_and_recorded(rig: ProductRig) -> None:
    _, point = rig.restore_point()
    context = context_of(rig, point)
    first = publish(PublishBackup(restore_point=point.id, name="forensics"), context)
    settle(context)
    again = publish(PublishBackup(restore_point=point.id, name="forensics"), context)
    assert context.staged == []
    assert first.publication == again.publication
    assert first.address.startswith("iscsi://192.0.2.20:3260/iqn.")
    (record,) = context.ledger.records(PublishedRestorePoint)
    assert (record.restore_point, record.name, record.published_by, record.ended_at) == (point.id, "forensics", "ana", None)
    assert len(rig.world.mounts) == 1


def test_a_publication_ends_when_the_last_who_needs_it_ends_it(rig: ProductRig) -> None:
    _, point = rig.restore_point()
    context = context_of(rig, point)
    ids: list[str] = []
    for name in ("forensics", "insurer"):
        ids.append(publish(PublishBackup(restore_point=point.id, name=name), context).publication)
        settle(context)
    (mount,) = rig.world.mounts.values()
    first = end_publication(EndPublication(publication=ids[0]), context)
    settle(context)
    assert first.findings == ["it goes on for insurer"]
    assert mount["mountState"] == "Mounted"
    assert end_publication(EndPublication(publication=ids[1]), context).findings == []
    settle(context)
    assert mount["mountState"] == "Unmounted"
    assert "already" in end_publication(EndPublication(publication=ids[1]), context).findings[0]
    assert all(record.ended_by == "ana" for record in context.ledger.records(PublishedRestorePoint))


def test_after_its_end_it_can_be_published_anew(rig: ProductRig) -> None:
    _, point = rig.restore_point()
    context = context_of(rig, point)
    first = publish(PublishBackup(restore_point=point.id), context)
    settle(context)
    end_publication(EndPublication(publication=first.publication), context)
    settle(context)
    second = publish(PublishBackup(restore_point=point.id), context)
    assert second.publication != first.publication
    assert len(rig.world.mounts) == 2


def test_an_infected_restore_point_is_marked_in_the_product_and_in_the_register(rig: ProductRig) -> None:
    _, point = rig.restore_point()
    context = context_of(rig, point)
    for _ in range(2):
        result = mark_infected(MarkInfected(restore_point=point.id, reason="Ransom note"), context)
        assert (result.outcome, result.marked_in_product) == (Outcome.SUCCEEDED, True)
        settle(context)
    assert len(rig.world.events) == 1
    (kept,) = context.ledger.records(RestorePoint)
    assert kept.findings[-1] == "marked as infected in Veeam: Ransom note"


def test_without_a_mark_in_the_product_the_register_has_it_and_says_so(tmp_path: Path) -> None:
    site = make_site(tmp_path, "rclone")
    point = RestorePoint(
        id="RP-files-01-00000001", incident="INC-1", asset="files-01", pool=site.pool.name, provider="rclone", engine="x",
        reference="x", key="k", taken_at=NOW, outcome=Outcome.SUCCEEDED, size=1, files=1, encryption="x",
        consistency="crash-consistent",
    )  # fmt: skip
    context = make_context(point, configuration=site.configuration, clock=SystemClock())
    result = mark_infected(MarkInfected(restore_point=point.id, reason="Ransom note"), context)
    assert (result.outcome, result.marked_in_product) == (Outcome.PARTIAL, False)
    assert "register only" in result.findings[0]
    settle(context)
    (kept,) = context.ledger.records(RestorePoint)
    assert kept.findings == ("marked as infected in the register only: Ransom note",)
    with pytest.raises(ProviderError, match="publish"):
        publish(PublishBackup(restore_point=point.id), context)
    assert context.staged == []


def test_what_is_not_of_the_incident_is_named(rig: ProductRig) -> None:
    _, point = rig.restore_point()
    context = context_of(rig, point)
    with pytest.raises(InputError, match="RP-other") as caught:
        publish(PublishBackup(restore_point="RP-other"), context)
    assert point.id in str(caught.value.why)
    with pytest.raises(InputError, match="PUB-00000000"):
        end_publication(EndPublication(publication="PUB-00000000"), context)
    with pytest.raises(InputError, match="RP-other"):
        mark_infected(MarkInfected(restore_point="RP-other", reason="x"), context)
