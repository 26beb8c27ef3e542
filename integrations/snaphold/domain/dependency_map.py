"""Compares the dependencies of the configuration with those that another system keeps, and joins them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from snaphold.domain.dependency import MOST_NAMED, Graph, find_cycles


@dataclass(frozen=True)
class JoinedMap:
    """What each asset needs by either source, reduced to assets; and what a person should look at."""

    needs: Mapping[str, tuple[str, ...]]
    findings: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]


def join_maps(configured: Graph, found: Mapping[str, Sequence[str]], looked_up: Collection[str]) -> JoinedMap:
    """Return both maps as one.

    `configured` has every asset. `found` is the other system's map; its names that are no assets are passed through:
    what lies behind them is needed all the same. Only assets in `looked_up` are compared.
    """
    needs: dict[str, tuple[str, ...]] = {}
    missing_there: list[str] = []
    missing_here: list[str] = []
    strangers: set[str] = set()
    for asset, here in configured.items():
        there, passed = _assets_behind(asset, found, configured) if asset in looked_up else ([], set[str]())
        strangers |= passed
        needs[asset] = tuple(dict.fromkeys([*here, *there]))
        if asset in looked_up:
            missing_there += [f"{asset} needs {name}" for name in here if name not in there]
            missing_here += [f"{asset} needs {name}" for name in there if name not in here]
    findings = [
        *_told("the configuration says, the other system does not (stale?)", missing_there),
        *_told("the other system says, the configuration does not", missing_here),
        *_told("needed, but no assets of the configuration", sorted(strangers)),
    ]
    cycles = find_cycles(needs)
    findings += _told("assets depend on each other in a circle", [" → ".join(cycle) for cycle in cycles])
    return JoinedMap(needs, tuple(findings), tuple(tuple(cycle) for cycle in cycles))


def _assets_behind(asset: str, found: Mapping[str, Sequence[str]], assets: Collection[str]) -> tuple[list[str], set[str]]:
    """Return the assets that an asset needs with nothing but strangers between, and those strangers."""
    reached: list[str] = []
    strangers: set[str] = set()
    waiting = deque(found.get(asset, ()))
    while waiting:
        name = waiting.popleft()
        if name in assets:
            if name not in reached and name != asset:
                reached.append(name)
        elif name not in strangers:
            strangers.add(name)
            waiting.extend(found.get(name, ()))
    return reached, strangers


def _told(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [f"{what}: {'; '.join(names[:MOST_NAMED])}{more}"]
