"""Faults between the parts of a configuration: names that stand twice, names that nobody defined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snaphold.documents import Document, suggest
from snaphold.errors import Problem

if TYPE_CHECKING:
    from snaphold.config import Configuration, SeverityRule

Place = tuple["str | int", ...]


@dataclass(frozen=True)
class Fault:
    """One fault: the path of the value that is wrong, what is wrong, and the path of the value that it repeats."""

    where: Place
    message: str
    hint: str = ""
    first: Place | None = None

    def as_problem(self, document: Document) -> Problem:
        """Return the fault with its place in the file."""
        hint = f"first at {document.locate(self.first)}" if self.first is not None else self.hint
        return Problem(self.message, ".".join(str(part) for part in self.where), document.locate(self.where), hint)

    def __str__(self) -> str:
        return f"{'.'.join(str(part) for part in self.where)}: {self.message}" + (f" ({self.hint})" if self.hint else "")


def cross_reference_faults(configuration: Configuration) -> list[Fault]:
    """Return every repeated and every dangling name of a configuration, by place."""
    return [*_repeated(configuration), *_dangling(configuration)]


def _repeated(configuration: Configuration) -> Iterator[Fault]:
    yield from _twice("tiers", "id", [tier.id for tier in configuration.tiers], "tier")
    yield from _twice("assets", "id", [asset.id for asset in configuration.assets], "asset")
    yield from _twice("classification", "name", [rule.name for rule in configuration.classification], "classification rule")
    yield from _twice("pools", "name", [pool.name for pool in configuration.pools], "pool")
    yield from _twice("integrations", "name", [item.name for item in configuration.integrations], "integration")
    yield from _twice("webhooks", "name", [hook.name for hook in configuration.webhooks], "webhook")
    yield from _twice("triggers", "name", [trigger.name for trigger in configuration.triggers], "trigger")
    yield from _twice("people", "id", [person.id for person in configuration.people], "person")
    yield from _twice("roles", "name", [role.name for role in configuration.roles], "role")
    severities = [((index, "severity"), _when(rule)) for index, rule in enumerate(configuration.severities)]
    for where, when, first in _seen_before("severities", severities):
        yield Fault(where, f"{when} has a rule already", first=first)
    routed = [
        ((index, "tiers", position), tier)
        for index, route in enumerate(configuration.routes)
        for position, tier in enumerate(route.tiers)
    ]
    for where, tier, first in _seen_before("routes", routed):
        yield Fault(where, f"tier {tier!r} has a route already", first=first)
    kept = [((index, "keep"), rule.data_class) for index, rule in enumerate(configuration.retention)]
    for where, data_class, first in _seen_before("retention", kept):
        about = f"data class {data_class!r}" if data_class else "no data class"
        yield Fault(where, f"retention of {about} is set already", first=first)


def _when(rule: SeverityRule) -> str:
    about = f" and category {rule.category!r}" if rule.category else " without a category"
    return f"severity {rule.severity}{about}"


def _twice(section: str, field: str, names: Sequence[str], kind: str) -> Iterator[Fault]:
    for where, name, first in _seen_before(section, [((index, field), name) for index, name in enumerate(names)]):
        yield Fault(where, f"the {kind} {name!r} stands twice", first=first)


def _seen_before(section: str, items: Iterable[tuple[Place, object]]) -> Iterator[tuple[Place, object, Place]]:
    first: dict[object, Place] = {}
    for tail, value in items:
        where: Place = (section, *tail)
        if value in first:
            yield where, value, first[value]
        else:
            first[value] = where


def _dangling(configuration: Configuration) -> Iterator[Fault]:
    tiers = {tier.id for tier in configuration.tiers}
    pools = {pool.name for pool in configuration.pools}
    integrations = {item.name for item in configuration.integrations}
    people = {person.id for person in configuration.people}
    for index, asset in enumerate(configuration.assets):
        yield from _unknown(("assets", index, "tier"), asset.tier, tiers, "tier")
        yield from _unknown(("assets", index, "protection", "pool"), asset.protection.pool, pools, "pool")
        for name in asset.protection.workloads:
            yield from _unknown(("assets", index, "protection", "workloads", name), name, integrations, "integration")
    for index, pool in enumerate(configuration.pools):
        yield from _unknown(("pools", index, "integration"), pool.integration, integrations, "integration")
    for index, rule in enumerate(configuration.classification):
        yield from _unknown(("classification", index, "tier"), rule.tier, tiers, "tier")
    for index, route in enumerate(configuration.routes):
        for position, tier in enumerate(route.tiers):
            yield from _unknown(("routes", index, "tiers", position), tier, tiers, "tier")
        yield from _unknown(("routes", index, "primary"), route.primary, pools, "pool")
        yield from _unknown(("routes", index, "alternate"), route.alternate, pools, "pool")
        if route.alternate == route.primary:
            yield Fault(("routes", index, "alternate"), "the alternate pool is the primary pool")
    yield from _dangling_webhooks(configuration)
    yield from _unknown(("service", "follows_cases_as"), configuration.service.follows_cases_as, people, "person")
    for index, role in enumerate(configuration.roles):
        for position, member in enumerate(role.members):
            yield from _unknown(("roles", index, "members", position), member, people, "person")


def _dangling_webhooks(configuration: Configuration) -> Iterator[Fault]:
    assets = {asset.id for asset in configuration.assets}
    people = {person.id for person in configuration.people}
    integrations = {item.name for item in configuration.integrations}
    sources = {hook.name for hook in configuration.webhooks}
    for index, hook in enumerate(configuration.webhooks):
        yield from _unknown(("webhooks", index, "person"), hook.person, people, "person")
        yield from _unknown(("webhooks", index, "integration"), hook.integration, integrations, "integration")
        for position, name in enumerate(hook.default_assets):
            yield from _unknown(("webhooks", index, "default_assets", position), name, assets, "asset")
        for word, names in hook.assets.items():
            for position, name in enumerate(names):
                yield from _unknown(("webhooks", index, "assets", word, position), name, assets, "asset")
    for index, trigger in enumerate(configuration.triggers):
        yield from _unknown(("triggers", index, "source"), trigger.source, sources, "webhook")
        for position, name in enumerate(trigger.assets):
            yield from _unknown(("triggers", index, "assets", position), name, assets, "asset")


def _unknown(where: Place, name: str | None, known: set[str], kind: str) -> Iterator[Fault]:
    if name is not None and name not in known:
        yield Fault(where, f"there is no {kind} {name!r}", suggest(name, sorted(known)))
