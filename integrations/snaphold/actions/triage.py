"""Triage: which assets are critical, in which order they are backed up, and documented exceptions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from pydantic import Field

from snaphold.action import Effect, Name, Names, Needs, Recovery, Request, Result, action
from snaphold.clock import Duration, format_duration, format_time
from snaphold.context import Context
from snaphold.domain.asset import Asset
from snaphold.domain.authority import PromotionException
from snaphold.domain.classification import Classification, Source, classify
from snaphold.domain.dependency import MOST_NAMED
from snaphold.domain.dependency import order_by_dependency as put_in_order
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, NotAuthorisedError
from snaphold.validation import suggest

LONGEST_EXCEPTION = timedelta(days=90)


class ClassifyAssets(Request):
    """Input of triage.classify_assets."""

    assets: Names = Field(
        default=[],
        description="Ids of assets; left out, those of the incident.",
        examples=[["orders-db", "files-01"]],
    )


class ClassifiedAssets(Result):
    """Assets by criticality."""

    assets: list[str] = Field(description="The assets, the most critical tier first.", examples=[["orders-db", "files-01"]])
    top_tier: str = Field(description="The most critical tier among them.", examples=["T0"])
    top_level: int = Field(description="That tier's level; 0 is the most critical.", examples=[0])
    critical: bool = Field(description="Whether an asset of level 0 is among them.", examples=[True])
    tags: list[str] = Field(
        description="Each asset's tier and the reason.", examples=[["orders-db=T0: set in the configuration"]]
    )


@action(
    "triage.classify_assets",
    title="Classify assets by tier",
    effect=Effect.READS,
    recovery=Recovery.IDEMPOTENT,
)
def classify_assets(request: ClassifyAssets, context: Context) -> ClassifiedAssets:
    """Give each asset its tier from the configuration, the rules and the incident's exceptions, and say why."""
    classified = _classify(_chosen(request.assets, context), context)
    unmatched = sorted(item.asset for item in classified if item.source is Source.NOTHING)
    top = classified[0]
    return ClassifiedAssets(
        outcome=Outcome.SUCCEEDED,
        findings=_unmatched_finding(unmatched, classified),
        assets=[item.asset for item in classified],
        top_tier=top.tier,
        top_level=top.level,
        critical=top.level == 0,
        tags=[f"{item.asset}={item.tier}: {item.why}" for item in classified],
    )


class OrderByDependency(Request):
    """Input of triage.order_by_dependency."""

    assets: Names = Field(
        default=[],
        description="Ids of assets; left out, those of the incident.",
        examples=[["orders-db", "orders-web"]],
    )


class DependencyWaves(Result):
    """Assets in the order in which they are backed up."""

    waves: list[str] = Field(
        description="The waves, each a list with commas: dependencies first, the most critical first within a wave.",
        examples=[["orders-db", "orders-web,files-01"]],
    )
    ordered: list[str] = Field(description="All assets in that order.", examples=[["orders-db", "orders-web", "files-01"]])
    raised: list[str] = Field(description="Assets that something more critical depends on.", examples=[["orders-db"]])


@action(
    "triage.order_by_dependency",
    title="Order assets by dependency",
    effect=Effect.READS,
    recovery=Recovery.IDEMPOTENT,
)
def order_by_dependency(request: OrderByDependency, context: Context) -> DependencyWaves:
    """Put assets into waves so that what others need comes first; refuse circles and unknown dependencies by name."""
    known = context.configuration.assets
    chosen = list(dict.fromkeys(request.assets or context.incident.assets))
    everything = {item.asset: item for item in _classify(known, context)}
    order = put_in_order(
        chosen,
        {asset.id: asset.depends_on for asset in known},
        {asset: item.level for asset, item in everything.items()},
    )
    raised = [asset for asset in order.ordered if order.levels[asset].needed_by]
    findings = [_raised_finding(asset, order.levels[asset].needed_by, everything) for asset in raised]
    if order.outside:
        names = _name_some(order.outside)
        findings.append(f"needed, but not in the scope, so not backed up: {names}")
    return DependencyWaves(
        outcome=Outcome.SUCCEEDED,
        findings=findings,
        waves=[",".join(wave) for wave in order.waves],
        ordered=order.ordered,
        raised=raised,
    )


class ReadDependencies(Request):
    """Input of triage.read_dependencies."""

    assets: Names = Field(
        default=[], description="Ids of assets; left out, those of the incident.", examples=[["orders-db", "orders-web"]]
    )
    integration: str = Field(
        default="", max_length=128, description="The integration; left out, the only one that can do it.", examples=["itsm"]
    )


class DependenciesRead(Result):
    """Waves by the configuration and the other system's records together, and where the two differ."""

    waves: list[str] = Field(
        description="The waves, each a list with commas: dependencies first. Empty when there is a circle.",
        examples=[["orders-db", "orders-web,files-01"]],
    )
    ordered: list[str] = Field(description="All assets in that order.", examples=[["orders-db", "orders-web", "files-01"]])
    unknown: list[str] = Field(description="Assets that the other system does not know.", examples=[["files-01"]])


@action(
    "triage.read_dependencies",
    title="Validate dependencies against the CMDB, and order by both",
    effect=Effect.READS,
    needs=Needs.PLATFORM,
    recovery=Recovery.IDEMPOTENT,
)
def read_dependencies(request: ReadDependencies, context: Context) -> DependenciesRead:
    """Compare the dependencies of the configuration with the CMDB, and put assets into waves by both together.

    An asset's tag `ci` is its name in the CMDB; without it, its id. Whatever differs is a finding and the outcome is
    `partial`; with a circle there are no waves and the outcome is `failed`.
    """
    from snaphold.domain.dependency_map import join_maps
    from snaphold.platforms.base import PlatformVerb
    from snaphold.platforms.registry import open_able

    configuration = context.configuration
    chosen = list(dict.fromkeys(request.assets or context.incident.assets))
    _, platform = open_able(configuration, PlatformVerb.READ_DEPENDENCIES, request.integration, context.run)
    names = {asset.id: asset.tags.get("ci", asset.id) for asset in configuration.assets}
    by_name = {name: asset for asset, name in names.items()}
    found = platform.read_dependencies([names.get(asset, asset) for asset in chosen])
    there = {by_name.get(name, name): [by_name.get(item, item) for item in needs] for name, needs in found.needs.items()}
    configured = {asset.id: asset.depends_on for asset in configuration.assets}
    joined = join_maps(configured, there, there)
    findings = [*found.findings, *joined.findings]
    unknown = [by_name.get(name, name) for name in found.unknown]
    if joined.cycles:
        return DependenciesRead(outcome=Outcome.FAILED, findings=findings, waves=[], ordered=[], unknown=unknown)
    levels = {item.asset: item.level for item in _classify(configuration.assets, context)}
    order = put_in_order(chosen, joined.needs, levels)
    return DependenciesRead(
        outcome=Outcome.PARTIAL if findings else Outcome.SUCCEEDED,
        findings=findings,
        waves=[",".join(wave) for wave in order.waves],
        ordered=order.ordered,
        unknown=unknown,
    )


class PromoteAsset(Request):
    """Input of triage.promote_asset."""

    asset: Name = Field(description="Id of the asset to treat as more critical.", examples=["files-01"])
    tier: Name = Field(description="The tier to give it in this incident.", examples=["T0"])
    justification: str = Field(
        min_length=1, max_length=2000, description="Why; it is kept with the exception.", examples=["Holds the payroll run."]
    )
    lasts: Duration = Field(default=timedelta(days=7), description="How long, at most 90d (s, m, h, d).", examples=["7d"])
    approved_by: str = Field(default="", description="Id of the person who approved; never the one who asks.", examples=["ben"])


class RecordedException(Result):
    """The documented exception."""

    exception: str = Field(description="Id of the exception in the register.", examples=["EXC-1a2b3c4d5e6f"])


@action(
    "triage.promote_asset",
    title="Promote an asset by documented exception",
    effect=Effect.WRITES,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("asset", "tier"),
)
def promote_asset(request: PromoteAsset, context: Context) -> RecordedException:
    """Record that a non-critical asset is treated as critical in this incident, with reason, approver and expiry."""
    _refuse_promotion(request, context)
    exception_id = f"EXC-{hashlib.sha256(context.key.encode()).hexdigest()[:12]}"
    recorded = context.ledger.record(PromotionException, exception_id)
    if recorded is None:
        (current,) = _classify(_find([request.asset], context), context)
        tier = _find_tier_level(request.tier, context)
        if tier >= current.level:
            raise InputError(
                f"{request.asset} cannot be promoted to {request.tier}",
                f"it has {current.tier} already ({current.why}), which is as critical or more",
                "name a more critical tier; an exception never lowers one",
            )
        now = context.clock.now()
        recorded = PromotionException(
            id=exception_id,
            incident=context.incident.id,
            asset=request.asset,
            from_tier=current.tier,
            to_tier=request.tier,
            justification=request.justification,
            requested_by=context.actor.id,
            approved_by=request.approved_by,
            recorded_at=now,
            expires_at=now + request.lasts,
        )
        context.stage(recorded)
    said = f"{recorded.asset} counts as {recorded.to_tier} instead of {recorded.from_tier}"
    findings = [f"{said} until {format_time(recorded.expires_at)}: {recorded.justification}"]
    if not recorded.approved_by:
        findings.append(f"exception {recorded.id} names no approver")
    return RecordedException(outcome=Outcome.SUCCEEDED, findings=findings, exception=recorded.id)


def _refuse_promotion(request: PromoteAsset, context: Context) -> None:
    _find([request.asset], context)
    _find_tier_level(request.tier, context)
    if not timedelta(0) < request.lasts <= LONGEST_EXCEPTION:
        longest = format_duration(LONGEST_EXCEPTION)
        raise InputError(f"an exception cannot last {format_duration(request.lasts)}", f"more than 0 s and at most {longest}")
    if not request.approved_by:
        return
    if request.approved_by == context.actor.id:
        raise NotAuthorisedError(
            "nobody approves an exception of their own",
            f"{context.actor.id} asks and is named as the approver",
            "have another person approve it",
        )
    people = [person.id for person in context.configuration.people]
    if request.approved_by not in people:
        hint = suggest(request.approved_by, people)
        raise InputError(f"there is no person {request.approved_by!r}", hint or None, "name an id under people in snaphold.yaml")


def _find_tier_level(tier: str, context: Context) -> int:
    levels = {known.id: known.level for known in context.configuration.tiers}
    if tier not in levels:
        why = " ".join(part for part in (suggest(tier, list(levels)), f"tiers: {', '.join(levels)}") if part)
        raise InputError(f"there is no tier {tier!r}", why, "name a tier of snaphold.yaml")
    return levels[tier]


def _chosen(asked: Sequence[str], context: Context) -> list[Asset]:
    return _find(list(dict.fromkeys(asked or context.incident.assets)), context)


def _find(names: Sequence[str], context: Context) -> list[Asset]:
    known = context.configuration.assets_by_id
    unknown = [name for name in names if name not in known]
    if unknown:
        named = [f"{name!r} {suggest(name, list(known))}".rstrip() for name in unknown[:MOST_NAMED]]
        more = f"; and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        raise InputError(
            "there are assets that the configuration does not know",
            "; ".join(named) + more,
            "add them under assets in snaphold.yaml, or correct the incident",
        )
    return [known[name] for name in names]


def _classify(assets: Sequence[Asset], context: Context) -> list[Classification]:
    configuration = context.configuration
    exceptions = context.ledger.records(PromotionException, context.incident.id)
    now = context.clock.now()
    return classify(assets, configuration.tiers, configuration.classification, exceptions=exceptions, now=now)


def _unmatched_finding(unmatched: Sequence[str], classified: Sequence[Classification]) -> list[str]:
    if not unmatched:
        return []
    tier = next(item.tier for item in classified if item.source is Source.NOTHING)
    return [f"nobody classified {_name_some(unmatched)}: counted as {tier}, the least critical tier"]


def _raised_finding(asset: str, needed_by: str, everything: dict[str, Classification]) -> str:
    own, by = everything[asset], everything[needed_by]
    return f"{asset} goes with {by.tier} instead of {own.tier}: {needed_by} ({by.tier}) depends on it"


def _name_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
