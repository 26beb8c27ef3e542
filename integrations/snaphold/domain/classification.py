"""Classification: which tier each asset has, and why. Pure: no clock, no files.

The configuration's own tier of an asset comes first, then the first rule that matches, then the least critical tier
with a finding. A documented exception of the incident can only raise what comes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from pydantic import Field

from snaphold.clock import format_time
from snaphold.domain.asset import Asset, AssetKind
from snaphold.domain.authority import PromotionException
from snaphold.domain.tier import Tier
from snaphold.domain.value import Identifier, Value
from snaphold.errors import InputError


class Matcher(Value):
    """What a classification rule looks at. Every condition that is given must hold."""

    name: str = Field(default="", description="A pattern for the asset's id (* and ?).", examples=["*-db"])
    kinds: tuple[AssetKind, ...] = Field(default=(), description="Kinds of asset.", examples=[["database"]])
    data_classes: tuple[Identifier, ...] = Field(
        default=(), description="Any of these data classes.", examples=[["personal-data"]]
    )
    tags: dict[str, str] = Field(default_factory=dict, description="All of these tags.", examples=[{"site": "north"}])


class ClassificationRule(Value):
    """Gives a tier to assets that have none. The first rule that matches decides."""

    name: Identifier = Field(description="The rule's name.", examples=["databases"])
    match: Matcher = Field(description="What it applies to.", examples=[{"kinds": ["database"]}])
    tier: Identifier = Field(description="The tier that it gives.", examples=["T1"])
    why: str = Field(min_length=1, description="The reason that is shown.", examples=["Databases hold the records."])


class Source(str, Enum):
    """What decided about a tier."""

    CONFIGURATION = "configuration"
    RULE = "rule"
    EXCEPTION = "exception"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Classification:
    """One asset's tier, the tier's level (0 is the most critical), what decided it, and why in words."""

    asset: str
    tier: str
    level: int
    source: Source
    why: str


def least_critical(tiers: Sequence[Tier]) -> Tier:
    """Return the tier with the highest level; the first of several. Raises ValueError when there are none."""
    return max(tiers, key=lambda tier: tier.level)


def classify(
    assets: Iterable[Asset],
    tiers: Sequence[Tier],
    rules: Sequence[ClassificationRule],
    *,
    exceptions: Iterable[PromotionException] = (),
    now: datetime | None = None,
) -> list[Classification]:
    """Return each asset's classification, the most critical first and then by id.

    `exceptions` that have not expired at `now` raise an asset; they count only when `now` is given. Raises InputError
    when an asset or a rule names a tier that is not among `tiers`.
    """
    levels = {tier.id: tier.level for tier in tiers}
    tests = [(rule, _compile(rule.match)) for rule in rules]
    fallback = least_critical(tiers)
    raises = _in_force(exceptions, levels, now)
    found: list[Classification] = []
    for asset in assets:
        base = _decide(asset, levels, tests, fallback)
        found.append(_raise(base, raises[asset.id], levels) if asset.id in raises else base)
    found.sort(key=lambda item: (item.level, item.asset))
    return found


def _decide(
    asset: Asset,
    levels: dict[str, int],
    tests: Sequence[tuple[ClassificationRule, Callable[[Asset], bool]]],
    fallback: Tier,
) -> Classification:
    if asset.tier is not None:
        level = _level(asset.tier, levels, f"asset {asset.id}")
        return Classification(asset.id, asset.tier, level, Source.CONFIGURATION, "set in the configuration")
    for rule, matches in tests:
        if matches(asset):
            level = _level(rule.tier, levels, f"classification rule {rule.name}")
            return Classification(asset.id, rule.tier, level, Source.RULE, f"rule {rule.name}: {rule.why}")
    why = f"no rule matches; {fallback.id} is the least critical tier"
    return Classification(asset.id, fallback.id, fallback.level, Source.NOTHING, why)


def _level(tier: str, levels: dict[str, int], where: str) -> int:
    if tier not in levels:
        raise InputError(f"{where} names the unknown tier {tier!r}", f"tiers: {', '.join(levels)}", "correct snaphold.yaml")
    return levels[tier]


def _compile(match: Matcher) -> Callable[[Asset], bool]:
    """Return a test of one asset; an empty matcher matches every asset."""
    tests: list[Callable[[Asset], bool]] = []
    if match.kinds:
        kinds = frozenset(match.kinds)
        tests.append(lambda asset: asset.kind in kinds)
    if match.data_classes:
        classes = frozenset(match.data_classes)
        tests.append(lambda asset: not classes.isdisjoint(asset.data_classes))
    if match.tags:
        tags = frozenset(match.tags.items())
        tests.append(lambda asset: tags <= asset.tags.items())
    if match.name:
        pattern = re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in match.name))
        tests.append(lambda asset: pattern.fullmatch(asset.id) is not None)
    if len(tests) == 1:
        return tests[0]
    return lambda asset: all(test(asset) for test in tests)


def _in_force(
    exceptions: Iterable[PromotionException], levels: dict[str, int], now: datetime | None
) -> dict[str, PromotionException]:
    """Return for each asset the exception that raises it furthest."""
    chosen: dict[str, PromotionException] = {}
    for exception in exceptions:
        if now is None or exception.expires_at <= now or exception.to_tier not in levels:
            continue
        rival = chosen.get(exception.asset)
        if rival is None or _urgency(exception, levels) < _urgency(rival, levels):
            chosen[exception.asset] = exception
    return chosen


def _urgency(exception: PromotionException, levels: dict[str, int]) -> tuple[int, float, str]:
    return levels[exception.to_tier], -exception.expires_at.timestamp(), exception.id


def _raise(base: Classification, exception: PromotionException, levels: dict[str, int]) -> Classification:
    level = levels[exception.to_tier]
    if level >= base.level:
        return base
    until = format_time(exception.expires_at)
    why = f"raised from {base.tier} by exception {exception.id} until {until}: {exception.justification}"
    return Classification(base.asset, exception.to_tier, level, Source.EXCEPTION, why)
