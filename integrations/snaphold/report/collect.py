"""Gathers the facts of the incident report from the configuration, the ledger and its registers."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from snaphold import __version__
from snaphold.clock import format_duration
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.authority import Approval, EvidenceRecord, Grant, Hold, PromotionException
from snaphold.domain.change import CoveringChange
from snaphold.domain.classification import classify
from snaphold.domain.dependency import order_by_dependency
from snaphold.domain.restore_point import RestorePoint
from snaphold.engine.run import Run
from snaphold.errors import SnapholdError
from snaphold.evidence import layout
from snaphold.evidence.signature import EVIDENCE_NAMESPACE
from snaphold.report.entry_facts import read_entries
from snaphold.report.facts import AssetRow, ReportFacts
from snaphold.report.figures import in_bytes


def collect(context: Context) -> ReportFacts:
    """Return everything that is known of the context's incident now. Raises LedgerError when the ledger is damaged."""
    configuration, incident, ledger = context.configuration, context.incident, context.ledger
    exceptions = ledger.records(PromotionException, incident.id)
    points = ledger.records(RestorePoint, incident.id)
    evidence = ledger.records(EvidenceRecord, incident.id)
    rows, waves, findings = _priorities(context, exceptions)
    return ReportFacts(
        written_at=context.clock.now(),
        product=f"snaphold {__version__}",
        organisation=configuration.organisation.name,
        contact=configuration.organisation.contact,
        incident=incident,
        assets=rows,
        waves=waves,
        order_findings=findings,
        capacity=_capacity(context, points),
        runs=ledger.records(Run, incident.id),
        restore_points=points,
        evidence=evidence,
        approvals=ledger.records(Approval, incident.id),
        grants=ledger.records(Grant, incident.id),
        holds=ledger.records(Hold, incident.id),
        exceptions=exceptions,
        changes=ledger.records(CoveringChange, incident.id),
        entries=read_entries(ledger.each_entry(incident.id)),
        checks=check_commands(configuration, evidence[-1]) if evidence else (),
    )


def check_commands(configuration: Configuration, record: EvidenceRecord, start: Path | None = None) -> tuple[str, ...]:
    """Return the stock commands that check a package; paths count from `start` (the configuration's folder)."""
    base = start or configuration.base
    package = Path(record.path)
    inside = os.path.relpath(configuration.path(configuration.evidence.trust) / layout.ALLOWED_SIGNERS, package)
    signers, identity = shlex.quote(inside), shlex.quote(configuration.evidence.identity)
    return (
        f"cd {shlex.quote(os.path.relpath(package, base))}",
        f"sha256sum --strict --quiet -c {layout.TAG_MANIFEST} {layout.MANIFEST}",
        f"ssh-keygen -Y verify -f {signers} -I {identity} -n {EVIDENCE_NAMESPACE} -s {layout.SIGNATURE} < {layout.TAG_MANIFEST}",
    )


def _priorities(
    context: Context, exceptions: Sequence[PromotionException]
) -> tuple[list[AssetRow], tuple[str, ...], tuple[str, ...]]:
    configuration = context.configuration
    known = configuration.assets_by_id
    tiers = {tier.id: tier for tier in configuration.tiers}
    found = classify(
        configuration.assets, configuration.tiers, configuration.classification, exceptions=exceptions, now=context.clock.now()
    )
    scope = {asset: None for asset in context.incident.assets if asset in known}
    rows = [
        AssetRow(
            asset=item.asset,
            kind=known[item.asset].kind.value,
            tier=item.tier,
            why=item.why,
            owner=known[item.asset].owner,
            data_classes=known[item.asset].data_classes,
            recovery=f"{format_duration(tiers[item.tier].rto)} / {format_duration(tiers[item.tier].rpo)}",
        )
        for item in found
        if item.asset in scope
    ]
    missing = tuple(f"{asset} is not in the configuration." for asset in context.incident.assets if asset not in known)
    levels = {item.asset: item.level for item in found}
    try:
        order = order_by_dependency(list(scope), {asset.id: asset.depends_on for asset in configuration.assets}, levels)
    except SnapholdError as error:
        return rows, (), (*missing, f"{error.what}: {error.why or 'no reason is known'}")
    raised = tuple(
        f"{asset} is backed up with the urgency of {order.levels[asset].needed_by}, which depends on it."
        for asset in order.ordered
        if order.levels[asset].needed_by
    )
    return rows, tuple(",".join(wave) for wave in order.waves), (*missing, *raised)


def _capacity(context: Context, points: Sequence[RestorePoint]) -> tuple[str, ...]:
    """The room behind each pool that was used, as it is now."""
    lines: list[str] = []
    reserves = {pool.name: pool.reserve for pool in context.configuration.pools}
    sizes = Counter[str]()
    for point in points:
        sizes[point.pool] += point.size
    for pool, size in sizes.items():
        used = in_bytes(size)
        try:
            room = context.provider(pool).capacity()
        except SnapholdError as error:
            lines.append(f"{pool}: {used} of source data backed up; its room cannot be told ({error.what})")
            continue
        free = "unknown" if room.free is None else in_bytes(room.free)
        total = "unknown" if room.total is None else in_bytes(room.total)
        reserve = "" if room.total is None else f", of which {in_bytes(round(room.total * reserves[pool]))} must stay free"
        lines.append(f"{pool}: {used} of source data backed up; free {free} of {total}{reserve}")
    return tuple(lines)
