"""Which pool takes a backup: routes, alternates and room. Pure arithmetic; nothing is asked of the storage here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from snaphold.domain.classification import Classification
from snaphold.domain.dependency import Graph, effective_levels
from snaphold.errors import InputError


@dataclass(frozen=True)
class PoolRoom:
    """A pool as it was found. `fault` says why it must not be used; None bytes mean that nobody can tell.

    An `elastic` storage grows as it is used: there is no room that could lack. Pools of the same `storage` share its room.
    """

    pool: str
    total: int | None
    free: int | None
    reserve: float
    storage: str = ""
    fault: str = ""
    elastic: bool = False

    @property
    def reserve_bytes(self) -> int:
        """The bytes that must stay free: the pool's share of its whole storage."""
        return math.ceil((self.total or 0) * self.reserve)


@dataclass(frozen=True)
class Placement:
    """Where one asset's backup goes. `rerouted` says, with numbers, why it is not the first choice."""

    asset: str
    pool: str
    needed: int
    rerouted: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why no pool takes an asset's backup, one reason for each pool. `for_room` when room is what lacks."""

    asset: str
    needed: int
    reasons: tuple[str, ...]
    for_room: bool


@dataclass
class Room:
    """The room of several pools while backups are placed into it one after the other."""

    pools: Mapping[str, PoolRoom]
    taken: dict[str, int] = field(default_factory=lambda: {})

    def place(self, asset: str, needed: int, candidates: Sequence[str]) -> Placement | Refusal:
        """Put a backup into the first candidate that is usable and has the room."""
        reasons: list[str] = []
        short = False
        for name in candidates:
            pool = self.pools[name]
            why = pool.fault or self._shortage(pool, needed)
            short |= bool(why and not pool.fault)
            if not why:
                storage = pool.storage or name
                self.taken[storage] = self.taken.get(storage, 0) + needed
                rerouted = f"{asset} goes to {name}: {'; '.join(reasons)}" if reasons else ""
                return Placement(asset, name, needed, rerouted)
            reasons.append(f"{name} {why}")
        return Refusal(asset, needed, tuple(reasons), short)

    def _shortage(self, pool: PoolRoom, needed: int) -> str:
        if pool.elastic:
            return ""
        if pool.free is None or (pool.total is None and pool.reserve):
            return "cannot tell how much room it has, which is not enough"
        taken = self.taken.get(pool.storage or pool.pool, 0)
        if taken + needed + pool.reserve_bytes <= pool.free:
            return ""
        before = f" besides {taken} bytes already planned" if taken else ""
        return f"is too full: needed {needed} bytes{before}, free {pool.free} bytes, reserve {pool.reserve_bytes} bytes"


def effective_tiers(classified: Iterable[Classification], needs: Graph) -> dict[str, str]:
    """Return each asset's tier after its dependants were looked at: what a critical asset needs is as critical."""
    own = {item.asset: item for item in classified}
    levels = effective_levels(needs, {asset: item.level for asset, item in own.items()})
    return {asset: own[level.needed_by or asset].tier for asset, level in levels.items()}


def candidate_pools(
    asset: str, tier: str, own_pool: str | None, routes: Sequence[tuple[Sequence[str], str, str | None]], pools: Sequence[str]
) -> tuple[str, ...]:
    """Return the pools for an asset in order of preference.

    Its own pool, else the primary of its tier's route, else the only pool there is; then the route's alternate.
    `routes` are (tiers, primary, alternate). Raises InputError when nothing leads to a pool.
    """
    route = next((route for route in routes if tier in route[0]), None)
    first = own_pool or (route[1] if route else None) or (pools[0] if len(pools) == 1 else None)
    if first is None:
        raise InputError(
            f"no route leads from tier {tier} of {asset} to a pool",
            f"pools: {', '.join(pools) or 'none'}",
            "add a route for the tier, or protection.pool to the asset, in snaphold.yaml",
        )
    alternate = route[2] if route else None
    return tuple(dict.fromkeys(name for name in (first, alternate) if name))
