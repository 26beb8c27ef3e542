"""What is derived from the configuration is derived once, and anew when what it rests on has changed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.authority import PromotionException
from snaphold.ledger.entry import Event, NewEntry
from snaphold.providers import choice
from snaphold.providers.choice import tiers_of_assets
from support.ledgers import NOW, configure, make_context, open_test_ledger


def test_assets_are_found_by_id_also_in_a_copy_with_other_assets(tmp_path: Path) -> None:
    configuration = configure(tmp_path, sign=False)
    assert configuration.assets_by_id["files-01"] is configuration.assets[1]
    assert configuration.assets_by_id is configuration.assets_by_id
    fewer = configuration.model_copy(update={"assets": configuration.assets[:1]})
    assert set(fewer.assets_by_id) == {"orders-db"}
    assert set(configuration.assets_by_id) == {"orders-db", "files-01"}


def test_what_was_derived_makes_no_difference_between_equal_configurations(tmp_path: Path) -> None:
    one, other = configure(tmp_path, sign=False), configure(tmp_path, sign=False)
    assert one.assets_by_id
    assert one == other


def test_all_assets_are_classified_once_and_again_when_an_exception_comes_or_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FixedClock(NOW)
    context = make_context(configure(tmp_path, sign=False), open_test_ledger(tmp_path, clock), clock)
    classified: list[int] = []
    classify = choice.classify

    def counted(assets: Any, *given: Any, **named: Any) -> Any:
        classified.append(len(assets))
        return classify(assets, *given, **named)

    monkeypatch.setattr(choice, "classify", counted)
    assert [tiers_of_assets(context)["files-01"] for _ in range(3)] == ["T1"] * 3
    assert classified == [2]
    raised = PromotionException(
        id="EXC-1", incident="INC-1", asset="files-01", from_tier="T1", to_tier="T0", justification="Payroll",
        requested_by="ana", recorded_at=NOW, expires_at=NOW + timedelta(hours=1),
    )  # fmt: skip
    context.ledger.append(NewEntry(event=Event.OUTCOME, actor="ana", incident="INC-1", action="triage.promote_asset"), [raised])
    assert [tiers_of_assets(context)["files-01"] for _ in range(2)] == ["T0", "T0"]
    clock.advance(7200)
    assert tiers_of_assets(context)["files-01"] == "T1"
    assert classified == [2, 2, 2]
