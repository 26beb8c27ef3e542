from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.domain.asset import Asset, AssetKind
from snaphold.domain.authority import PromotionException
from snaphold.domain.classification import Classification, ClassificationRule, Source, classify
from snaphold.domain.tier import Tier
from snaphold.errors import InputError

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)


def tier(level: int) -> Tier:
    return Tier.model_validate({"id": f"T{level}", "level": level, "impact": "Loss.", "rto": "1h", "rpo": "1h"})


TIERS = [tier(0), tier(1), tier(2), tier(3)]


def asset(id: str = "orders-db", **fields: Any) -> Asset:
    return Asset.model_validate({"id": id, "kind": "database", "owner": "dba", **fields})


def rule(called: str = "r", tier: str = "T1", **match: Any) -> ClassificationRule:
    return ClassificationRule.model_validate({"name": called, "tier": tier, "why": f"Because of {called}.", "match": match})


def exception(**changes: Any) -> PromotionException:
    fields: dict[str, Any] = {
        "id": "EXC-1", "incident": "INC-1", "asset": "orders-db", "from_tier": "T2", "to_tier": "T0",
        "justification": "Payroll runs tonight.", "requested_by": "ana", "approved_by": "ben", "recorded_at": NOW,
        "expires_at": NOW + timedelta(days=1),
    }  # fmt: skip
    return PromotionException(**{**fields, **changes})


def only(found: list[Classification]) -> Classification:
    assert len(found) == 1
    return found[0]


def test_a_tier_of_the_asset_itself_is_kept() -> None:
    found = only(classify([asset(tier="T2")], TIERS, [rule(tier="T0")]))
    assert (found.tier, found.source, found.why) == ("T2", Source.CONFIGURATION, "set in the configuration")


def test_the_first_rule_that_matches_decides_and_says_why() -> None:
    rules = [rule("shares", "T0", kinds=["file-share"]), rule("dbs", "T1", kinds=["database"]), rule("all", "T0")]
    found = only(classify([asset()], TIERS, rules))
    assert (found.tier, found.level, found.why) == ("T1", 1, "rule dbs: Because of dbs.")


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({}, True),
        ({"name": "*-db"}, True),
        ({"name": "orders-?b"}, True),
        ({"name": "orders-??"}, True),
        ({"name": "orders-?"}, False),
        ({"name": "ORDERS-*"}, False),
        ({"name": "orders.db"}, False),
        ({"name": "orders"}, False),
        ({"kinds": ["server", "database"]}, True),
        ({"kinds": ["server"]}, False),
        ({"data_classes": ["card-data", "personal-data"]}, True),
        ({"data_classes": ["card-data"]}, False),
        ({"tags": {"site": "north"}}, True),
        ({"tags": {"site": "north", "env": "live"}}, True),
        ({"tags": {"site": "south"}}, False),
        ({"tags": {"site": "north", "other": "x"}}, False),
        ({"name": "*-db", "kinds": ["database"], "tags": {"site": "north"}}, True),
        ({"name": "*-db", "kinds": ["server"], "tags": {"site": "north"}}, False),
    ],
)
def test_every_condition_of_a_rule_must_hold(match: dict[str, Any], matches: bool) -> None:
    subject = asset(data_classes=["personal-data"], tags={"site": "north", "env": "live"})
    found = only(classify([subject], TIERS, [rule(tier="T1", **match)]))
    assert (found.source is Source.RULE) is matches


def test_what_no_rule_matches_gets_the_least_critical_tier_and_says_so() -> None:
    found = only(classify([asset()], TIERS, [rule(kinds=["server"])]))
    assert (found.tier, found.source) == ("T3", Source.NOTHING)
    assert found.why == "no rule matches; T3 is the least critical tier"


def test_an_exception_raises_and_says_until_when_and_why() -> None:
    found = only(classify([asset(tier="T2")], TIERS, [], exceptions=[exception()], now=NOW))
    assert (found.tier, found.level, found.source) == ("T0", 0, Source.EXCEPTION)
    assert found.why == "raised from T2 by exception EXC-1 until 2026-11-23T18:00:00.000Z: Payroll runs tonight."


@pytest.mark.parametrize(
    "changes",
    [{"expires_at": NOW}, {"expires_at": NOW - timedelta(1)}, {"to_tier": "T3"}, {"to_tier": "gone"}, {"asset": "other"}],
)
def test_an_exception_that_is_over_or_lowers_or_is_of_another_asset_changes_nothing(changes: dict[str, Any]) -> None:
    found = only(classify([asset(tier="T2")], TIERS, [], exceptions=[exception(**changes)], now=NOW))
    assert (found.tier, found.source) == ("T2", Source.CONFIGURATION)


def test_of_two_exceptions_the_one_that_raises_further_counts() -> None:
    both = [exception(id="EXC-1", to_tier="T1"), exception(id="EXC-2", to_tier="T0")]
    assert "EXC-2" in only(classify([asset(tier="T2")], TIERS, [], exceptions=both, now=NOW)).why


def test_a_tier_that_does_not_exist_is_named_with_its_user() -> None:
    with pytest.raises(InputError, match="asset orders-db names the unknown tier 'T9'"):
        classify([asset(tier="T9")], TIERS, [])
    with pytest.raises(InputError, match="classification rule r names the unknown tier 'T9'"):
        classify([asset()], TIERS, [rule(tier="T9")])


assets = st.lists(
    st.builds(
        asset,
        id=st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True),
        kind=st.sampled_from([kind.value for kind in AssetKind]),
        tier=st.sampled_from([None, "T0", "T1", "T2", "T3"]),
    ),
    unique_by=lambda made: made.id,
    max_size=30,
)


@given(assets, st.randoms(use_true_random=False))
def test_each_asset_comes_out_once_by_level_and_in_any_order_of_input(made: list[Asset], random: Any) -> None:
    rules = [rule("dbs", "T1", kinds=["database"]), rule("names", "T2", name="a*")]
    found = classify(made, TIERS, rules)
    assert sorted(item.asset for item in found) == sorted(one.id for one in made)
    assert [(item.level, item.asset) for item in found] == sorted((item.level, item.asset) for item in found)
    shuffled = list(made)
    random.shuffle(shuffled)
    assert classify(shuffled, TIERS, rules) == found
