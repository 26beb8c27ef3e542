"""Looks at the pools of the configuration and at an asset's size, for the routing of backups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from snaphold.config import BackupKind, Pool, Route
from snaphold.context import Context
from snaphold.domain.asset import Asset
from snaphold.domain.authority import PromotionException
from snaphold.domain.classification import classify
from snaphold.domain.plan import PoolRoom, Room, candidate_pools, effective_tiers
from snaphold.errors import InputError, MissingToolError, SnapholdError
from snaphold.validation import suggest


class Storage(str, Enum):
    """Which of an asset's pools may take its backup."""

    ROUTED = "routed"
    ALTERNATE = "alternate"


def find_assets(names: Iterable[str], context: Context) -> list[Asset]:
    """Return assets of the configuration. Raises InputError naming every one that is unknown."""
    known = context.configuration.assets_by_id
    wanted = list(dict.fromkeys(names))
    unknown = [f"{name!r} {suggest(name, list(known))}".rstrip() for name in wanted if name not in known]
    if unknown:
        raise InputError(
            "there are assets that the configuration does not know",
            "; ".join(unknown[:10]),
            "add them under assets in snaphold.yaml, or correct the incident",
        )
    return [known[name] for name in wanted]


def tiers_of_assets(context: Context) -> Mapping[str, str]:
    """Return the effective tier of every asset: rules, the incident's exceptions, and what critical assets need."""
    configuration, now = context.configuration, context.clock.now()
    assets, tiers, rules = configuration.assets, configuration.tiers, configuration.classification
    recorded = context.ledger.records(PromotionException, context.incident.id)
    in_force = tuple(exception for exception in recorded if exception.expires_at > now)

    def make() -> dict[str, str]:
        classified = classify(assets, tiers, rules, exceptions=in_force, now=now)
        return effective_tiers(classified, {asset.id: asset.depends_on for asset in assets})

    return configuration.derived.get("tiers_of_assets", (assets, tiers, rules, in_force), make)


def pools_for(asset: Asset, tier: str, context: Context, chosen: str = "", storage: Storage = Storage.ROUTED) -> tuple[str, ...]:
    """Return the pools for an asset in order of preference; only the chosen one when somebody chose.

    With `Storage.ALTERNATE` it is the alternate pool of the tier's route alone. Raises InputError when there is none.
    """
    pools = [pool.name for pool in context.configuration.pools]
    if chosen:
        if chosen not in pools:
            why = suggest(chosen, pools) or f"configured: {', '.join(pools) or 'none'}"
            raise InputError(f"there is no pool {chosen!r}", why, "add it under pools in snaphold.yaml")
        return (chosen,)
    if storage is Storage.ALTERNATE:
        return (_alternate_pool(asset, tier, context.configuration.routes),)
    return candidate_pools(asset.id, tier, asset.protection.pool, _routes(context.configuration.routes), pools)


def _alternate_pool(asset: Asset, tier: str, routes: Iterable[Route]) -> str:
    alternate = next((route.alternate for route in routes if tier in route.tiers), None)
    if alternate is None:
        raise InputError(
            f"there is no alternate storage for {asset.id}",
            f"no route of tier {tier} names an alternate pool",
            "add alternate to the route of the tier in snaphold.yaml",
        )
    return alternate


def look_at_pools(names: Iterable[str], context: Context) -> Room:
    """Return the room of the pools, and which must not be used.

    Raises MissingToolError when a pool's engine is not installed: another engine would not be what was configured.
    """
    wanted = dict.fromkeys(names)
    return Room({pool.name: _look(pool, context) for pool in context.configuration.pools if pool.name in wanted})


def wants_full(context: Context) -> bool:
    """Return whether the incident's severity asks for a full backup; a rule for its category goes first."""
    incident = context.incident
    rules = [rule for rule in context.configuration.severities if rule.severity == incident.severity]
    mine = [rule for rule in rules if rule.category == incident.category] or [rule for rule in rules if rule.category is None]
    return not mine or mine[0].backup is BackupKind.FULL


def _routes(routes: Iterable[Route]) -> list[tuple[tuple[str, ...], str, str | None]]:
    return [(route.tiers, route.primary, route.alternate) for route in routes]


def _look(pool: Pool, context: Context) -> PoolRoom:
    if pool.compromised:
        return PoolRoom(pool.name, None, None, pool.reserve, fault="is marked as compromised")
    provider = context.provider(pool.name)
    try:
        provider.describe()
        health = provider.check_health()
        capacity = provider.capacity()
    except MissingToolError:
        raise
    except SnapholdError as error:
        return PoolRoom(pool.name, None, None, pool.reserve, fault=f"cannot be used: {error.what}")
    fault = "" if health.fit else f"cannot be used: {'; '.join(health.reasons)}"
    return PoolRoom(pool.name, capacity.total, capacity.free, pool.reserve, capacity.storage, fault, capacity.elastic)
