from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.actions.triage import (
    ClassifyAssets,
    OrderByDependency,
    PromoteAsset,
    classify_assets,
    order_by_dependency,
    promote_asset,
)
from snaphold.cli.main import main
from snaphold.config_sample import sample_text
from snaphold.context import Context
from snaphold.domain.authority import PromotionException
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, NotAuthorisedError
from snaphold.identity import current_login
from support.incident_context import NOW, make_configuration, make_context


def recorded(context: Context) -> PromotionException:
    (record,) = context.staged
    assert isinstance(record, PromotionException)
    return record


def promote(context: Context, **changes: Any) -> PromotionException:
    given = {"asset": "files-01", "tier": "T0", "justification": "Payroll runs tonight.", "approved_by": "ben"}
    promote_asset(PromoteAsset.model_validate({**given, **changes}), context)
    return recorded(context)


def test_the_assets_of_the_incident_come_out_by_tier_with_reasons() -> None:
    result = classify_assets(ClassifyAssets(), make_context())
    assert result.outcome is Outcome.SUCCEEDED
    assert result.assets == ["shop", "files-01"]
    assert (result.top_tier, result.top_level, result.critical) == ("T0", 0, True)
    assert result.tags == [
        "shop=T0: set in the configuration",
        "files-01=T2: no rule matches; T2 is the least critical tier",
    ]
    assert result.findings == ["nobody classified files-01: counted as T2, the least critical tier"]


def test_named_assets_are_classified_once_each_and_rules_are_named() -> None:
    result = classify_assets(ClassifyAssets(assets=["orders-db", "orders-db"]), make_context())
    assert result.assets == ["orders-db"]
    assert result.tags == ["orders-db=T1: rule databases: Databases hold the records."]
    assert not result.critical
    assert result.findings == []


def test_assets_that_nobody_knows_are_named() -> None:
    with pytest.raises(InputError) as caught:
        classify_assets(ClassifyAssets(assets=["file-01", "shop"]), make_context())
    assert "'file-01' did you mean \"files-01\"?" in str(caught.value)


def test_an_exception_of_the_incident_raises_the_asset_and_one_of_another_incident_does_not() -> None:
    mine = promote(make_context())
    raised = classify_assets(ClassifyAssets(assets=["files-01"]), make_context(mine))
    assert raised.top_tier == "T0"
    assert "raised from T2 by exception EXC-" in raised.tags[0]
    assert "Payroll runs tonight." in raised.tags[0]
    other = mine.model_copy(update={"incident": "INC-2"})
    assert classify_assets(ClassifyAssets(assets=["files-01"]), make_context(other)).top_tier == "T2"


def test_an_exception_that_ran_out_counts_no_more() -> None:
    mine, later = promote(make_context(), lasts="1h"), make_context()
    context = make_context(mine, clock=later.clock)
    assert classify_assets(ClassifyAssets(assets=["files-01"]), context).top_tier == "T0"
    later.clock.advance(3600)  # type: ignore[attr-defined]
    assert classify_assets(ClassifyAssets(assets=["files-01"]), context).top_tier == "T2"


def test_waves_put_dependencies_first_and_say_what_was_raised() -> None:
    result = order_by_dependency(OrderByDependency(assets=["shop", "files-01", "orders-db"]), make_context())
    assert result.waves == ["orders-db,files-01", "shop"]
    assert result.ordered == ["orders-db", "files-01", "shop"]
    assert result.raised == ["orders-db"]
    assert result.findings == ["orders-db goes with T0 instead of T1: shop (T0) depends on it"]


def test_a_dependency_that_is_not_in_the_incident_is_a_finding() -> None:
    result = order_by_dependency(OrderByDependency(), make_context())
    assert result.waves == ["shop,files-01"]
    assert result.findings == ["needed, but not in the scope, so not backed up: orders-db"]


def test_a_promoted_asset_raises_what_it_depends_on() -> None:
    assets = [
        {"id": "portal", "kind": "application", "tier": "T2", "owner": "it", "depends_on": ["portal-db"]},
        {"id": "portal-db", "kind": "server", "tier": "T2", "owner": "it"},
    ]
    configuration = make_configuration(assets=assets)
    promoted = promote(make_context(configuration=configuration), asset="portal")
    context = make_context(promoted, configuration=configuration)
    result = order_by_dependency(OrderByDependency(assets=["portal-db", "portal"]), context)
    assert result.raised == ["portal-db"]


def test_a_promotion_is_recorded_with_reason_approver_and_expiry() -> None:
    context = make_context()
    request = PromoteAsset.model_validate({"asset": "files-01", "tier": "T0", "justification": "Payroll.", "approved_by": "ben"})
    result = promote_asset(request, context)
    record = recorded(context)
    assert result.exception == record.id
    assert (record.from_tier, record.to_tier, record.requested_by, record.approved_by) == ("T2", "T0", "ana", "ben")
    assert record.expires_at == NOW + timedelta(days=7)
    assert result.findings == ["files-01 counts as T0 instead of T2 until 2026-11-29T18:00:00.000Z: Payroll."]


def test_repeating_a_promotion_records_nothing_new() -> None:
    first = promote(make_context())
    again = make_context(first)
    request = PromoteAsset.model_validate({"asset": "files-01", "tier": "T0", "justification": "Payroll runs tonight."})
    assert promote_asset(request, again).exception == first.id
    assert again.staged == []


def test_a_promotion_without_an_approver_says_so() -> None:
    context = make_context()
    request = PromoteAsset(asset="files-01", tier="T0", justification="Payroll.")
    assert "names no approver" in promote_asset(request, context).findings[1]


@pytest.mark.parametrize("justification", ["", "   "])
def test_an_empty_justification_is_refused(justification: str) -> None:
    with pytest.raises(ValueError, match="justification"):
        PromoteAsset(asset="files-01", tier="T0", justification=justification)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lasts": "91d"}, "at most 90d"),
        ({"lasts": "0s"}, "more than 0 s"),
        ({"tier": "T7"}, "there is no tier 'T7'"),
        ({"tier": "T2"}, "it has T2 already"),
        ({"asset": "shop", "tier": "T1"}, "an exception never lowers one"),
        ({"asset": "nobody"}, "does not know"),
        ({"approved_by": "bem"}, 'did you mean "ben"?'),
    ],
)
def test_a_promotion_that_cannot_be_is_refused(changes: dict[str, str], message: str) -> None:
    context = make_context()
    with pytest.raises(InputError) as caught:
        promote(context, **changes)
    assert message in str(caught.value)
    assert context.staged == []


def test_nobody_approves_an_exception_of_their_own() -> None:
    with pytest.raises(NotAuthorisedError, match="of their own"):
        promote(make_context(), approved_by="ana")


def test_a_promotion_goes_through_the_ledger_and_counts_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)
    (tmp_path / "snaphold.yaml").write_text(sample_text().replace("logins: [ana]", f"logins: [{current_login()}]"))
    incident = make_context().incident.model_copy(update={"assets": ("files-01",)})
    (tmp_path / "incident.json").write_text(incident.model_dump_json())
    promotion = ["--asset", "files-01", "--tier", "T0", "--justification", "Payroll.", "--approved-by", "ben"]
    assert main(["do", "triage.promote_asset", "--incident", "incident.json", *promotion]) == 0
    capfd.readouterr()
    assert main(["do", "triage.classify_assets", "--incident", "incident.json", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["top_tier"] == "T0"
