"""Dependency order: what must be backed up before what, in waves. Pure, iterative, the same for any order of input.

An asset's dependencies come in an earlier wave than the asset. An asset that a more critical one needs is treated as
critical itself: its effective tier is raised, with the reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from snaphold.errors import InputError
from snaphold.validation import suggest

MOST_NAMED = 10
"""How many faults of one kind a message names."""


@dataclass(frozen=True)
class EffectiveLevel:
    """An asset's level after its dependants were looked at; `needed_by` is the critical asset, empty when not raised."""

    level: int
    needed_by: str = ""


@dataclass(frozen=True)
class DependencyOrder:
    """The waves, and the assets of the scope whose level rose, with their levels."""

    waves: tuple[tuple[str, ...], ...]
    levels: Mapping[str, EffectiveLevel]
    outside: tuple[str, ...]
    """Dependencies, direct or not, that are not in the scope."""

    @property
    def ordered(self) -> list[str]:
        """All assets of the scope, dependencies first."""
        return [asset for wave in self.waves for asset in wave]


Graph = Mapping[str, Sequence[str]]
"""For each asset, the assets that it needs."""


def order_by_dependency(scope: Collection[str], needs: Graph, levels: Mapping[str, int]) -> DependencyOrder:
    """Return the assets of `scope` in waves, by effective level and id within a wave.

    A dependency outside the scope is not in the waves but still counts: what lies behind it comes first. `levels` has
    the own level of every asset (0 is the most critical). Raises InputError naming unknown assets, unknown
    dependencies with who needs them, or every cycle as a path `a → b → a`.
    """
    wanted = set(scope)
    _refuse_unknown(wanted, needs)
    reached = _reach(wanted, needs)
    depths = _depths(reached, wanted, needs)
    effective = effective_levels(needs, levels)
    waves: dict[int, list[str]] = {}
    for asset in wanted:
        waves.setdefault(depths[asset], []).append(asset)
    return DependencyOrder(
        waves=tuple(
            tuple(sorted(waves[depth], key=lambda asset: (effective[asset].level, levels[asset], asset)))
            for depth in sorted(waves)
        ),
        levels={asset: effective[asset] for asset in sorted(wanted)},
        outside=tuple(sorted(reached - wanted)),
    )


def effective_levels(needs: Graph, levels: Mapping[str, int]) -> dict[str, EffectiveLevel]:
    """Return every asset's effective level: the best of its own and of those that need it, directly or not."""
    found: dict[str, EffectiveLevel] = {}
    by_level: dict[int, list[str]] = {}
    for asset in sorted(levels):
        by_level.setdefault(levels[asset], []).append(asset)
    for level in sorted(by_level):
        origins = deque((asset, "") for asset in by_level[level])
        while origins:
            asset, origin = origins.popleft()
            if asset in found or asset not in levels:
                continue
            found[asset] = EffectiveLevel(level, origin)
            origins.extend((needed, origin or asset) for needed in sorted(needs.get(asset, ())))
    return found


def find_cycles(needs: Graph, among: Iterable[str] | None = None) -> list[list[str]]:
    """Return cycles that share no asset, each as a path that ends where it began; an empty list when there are none."""
    left = _trim(set(needs if among is None else among), needs)
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in sorted(left):
        path: list[str] = []
        position: dict[str, int] = {}
        current: str | None = start
        while current is not None and current not in done and current not in position:
            position[current] = len(path)
            path.append(current)
            current = min((name for name in needs[current] if name in left and name not in done), default=None)
        if current is not None and current in position:
            cycles.append(_from_smallest(path[position[current] :]))
        done.update(path)
    return cycles


def _refuse_unknown(wanted: set[str], needs: Graph) -> None:
    unknown = sorted(wanted - set(needs))
    if unknown:
        named = [f"{asset!r} {suggest(asset, list(needs))}".rstrip() for asset in unknown[:MOST_NAMED]]
        raise InputError(
            "there are assets that the configuration does not know",
            _shorten(named, len(unknown)),
            "add them under assets in snaphold.yaml, or correct the incident",
        )


def _reach(wanted: set[str], needs: Graph) -> set[str]:
    """Return the scope and everything that it needs. Raises InputError for dependencies that do not exist."""
    reached, waiting = set(wanted), sorted(wanted)
    missing: dict[str, set[str]] = {}
    while waiting:
        asset = waiting.pop()
        for needed in needs[asset]:
            if needed not in needs:
                missing.setdefault(needed, set()).add(asset)
            elif needed not in reached:
                reached.add(needed)
                waiting.append(needed)
    if missing:
        named = [
            f"{name!r} is needed by {_shorten(sorted(missing[name])[:MOST_NAMED], len(missing[name]), ', ')}"
            f" {suggest(name, list(needs))}".rstrip()
            for name in sorted(missing)[:MOST_NAMED]
        ]
        raise InputError(
            "there are dependencies that the configuration does not know",
            _shorten(named, len(missing)),
            "add the assets, or correct depends_on in snaphold.yaml",
        )
    return reached


def _depths(reached: set[str], wanted: set[str], needs: Graph) -> dict[str, int]:
    """Return how many assets of the scope lie at most on a path below each asset."""
    users: dict[str, list[str]] = {asset: [] for asset in reached}
    open_needs: dict[str, int] = {}
    for asset in reached:
        distinct = set(needs[asset])
        open_needs[asset] = len(distinct)
        for needed in distinct:
            users[needed].append(asset)
    depths = dict.fromkeys(reached, 0)
    ready = [asset for asset in reached if not open_needs[asset]]
    settled = 0
    while ready:
        asset = ready.pop()
        settled += 1
        depth = depths[asset] + (asset in wanted)
        for user in users[asset]:
            depths[user] = max(depths[user], depth)
            open_needs[user] -= 1
            if not open_needs[user]:
                ready.append(user)
    if settled < len(reached):
        cycles = find_cycles(needs, reached)
        raise InputError(
            "assets depend on each other in a circle",
            _shorten([" → ".join(cycle) for cycle in cycles[:MOST_NAMED]], len(cycles)),
            "remove one depends_on of each circle in snaphold.yaml",
        )
    return depths


def _trim(assets: set[str], needs: Graph) -> set[str]:
    """Return what remains when assets without open dependencies, then such without users, are taken away."""
    forward = {asset: {needed for needed in needs.get(asset, ()) if needed in assets} for asset in assets}
    remaining = _peel(forward)
    backward: dict[str, set[str]] = {asset: set() for asset in remaining}
    for asset in remaining:
        for needed in forward[asset] & remaining:
            backward[needed].add(asset)
    return _peel(backward)


def _peel(edges: Mapping[str, set[str]]) -> set[str]:
    """Return the nodes that remain when nodes without edges are taken away again and again."""
    reverse: dict[str, list[str]] = {node: [] for node in edges}
    for node, targets in edges.items():
        for target in targets:
            reverse[target].append(node)
    count = {node: len(targets) for node, targets in edges.items()}
    free = [node for node, edge_count in count.items() if not edge_count]
    for node in free:
        for source in reverse[node]:
            count[source] -= 1
            if not count[source]:
                free.append(source)
    return set(edges) - set(free)


def _from_smallest(cycle: list[str]) -> list[str]:
    first = cycle.index(min(cycle))
    return [*cycle[first:], *cycle[:first], cycle[first]]


def _shorten(named: Sequence[str], total: int, separator: str = "; ") -> str:
    rest = f"{separator}and {total - len(named)} more" if total > len(named) else ""
    return separator.join(named) + rest
