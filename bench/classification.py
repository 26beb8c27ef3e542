"""Times classification and dependency ordering of 100,000 assets; writes bench/results/classification.json.

Run: python bench/classification.py. The limit is 2 s for classification; medians of five runs, in seconds.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from snaphold.domain.asset import Asset, AssetKind
from snaphold.domain.authority import PromotionException
from snaphold.domain.classification import ClassificationRule, classify
from snaphold.domain.dependency import order_by_dependency
from snaphold.domain.tier import Tier

ASSETS = 100_000
RUNS = 5
LIMIT_SECONDS = 2.0
RESULT = Path(__file__).parent / "results" / "classification.json"
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)


def make_assets() -> list[Asset]:
    """Return assets of all kinds; a third has a tier, each needs up to three of the assets before it."""
    kinds = list(AssetKind)
    return [
        Asset(
            id=f"asset-{number:06}-{kinds[number % len(kinds)].value}",
            kind=kinds[number % len(kinds)],
            tier=f"T{number % 4}" if number % 3 == 0 else None,
            owner="team",
            data_classes=("personal-data",) if number % 5 == 0 else (),
            tags={"site": f"site-{number % 20}"},
            depends_on=tuple(
                f"asset-{before:06}-{kinds[before % len(kinds)].value}"
                for before in {number // 2, number * 7 % (number + 1), number - 1}
                if 0 <= before < number and number % 4
            ),
        )
        for number in range(ASSETS)
    ]


def make_rules() -> list[ClassificationRule]:
    """Return twenty rules, the one that matches most often last."""
    sites = [{"name": f"site-{n}", "tier": "T1", "why": "Site.", "match": {"tags": {"site": f"site-{n}"}}} for n in range(5)]
    names = [{"name": f"name-{n}", "tier": "T2", "why": "Name.", "match": {"name": f"*-{n}77*-server"}} for n in range(9)]
    kinds = [
        {"name": f"kind-{k.value}", "tier": "T2", "why": "Kind.", "match": {"kinds": [k.value]}} for k in list(AssetKind)[:5]
    ]
    data = [{"name": "personal", "tier": "T1", "why": "Law.", "match": {"data_classes": ["personal-data"]}}]
    return [ClassificationRule.model_validate(rule) for rule in [*sites, *names, *data, *kinds]]


def measure(work: Callable[[], object]) -> float:
    """Return the median wall time in seconds."""
    times: list[float] = []
    for _run in range(RUNS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> int:
    """Measure, print, write the result; 1 when classification is over its limit."""
    tiers = [Tier(id=f"T{n}", level=n, impact="x", rto=timedelta(hours=1), rpo=timedelta(hours=1)) for n in range(4)]
    assets, rules = make_assets(), make_rules()
    exceptions = [
        PromotionException(
            id=f"EXC-{n}", incident="INC-1", asset=assets[n].id, from_tier="T3", to_tier="T0", justification="x",
            requested_by="a", recorded_at=NOW, expires_at=NOW + timedelta(days=1),
        )
        for n in range(1000)
    ]  # fmt: skip
    classification = measure(lambda: classify(assets, tiers, rules, exceptions=exceptions, now=NOW))
    classified = classify(assets, tiers, rules, exceptions=exceptions, now=NOW)
    needs = {asset.id: asset.depends_on for asset in assets}
    levels = {item.asset: item.level for item in classified}
    ordering = measure(lambda: order_by_dependency(list(needs), needs, levels))
    result = {
        "assets": ASSETS,
        "rules": len(rules),
        "dependencies": sum(len(found) for found in needs.values()),
        "runs": RUNS,
        "classification_seconds": round(classification, 3),
        "ordering_seconds": round(ordering, 3),
        "limit_seconds": LIMIT_SECONDS,
        "ratio_to_limit": round(classification / LIMIT_SECONDS, 3),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    return int(classification > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
