"""What is worth a person's attention in a configuration that is valid: a review, before an incident does it.

Nothing here contacts a backup engine or runs a program; files and the search path are looked at.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from snaphold.config import Configuration, Pool
from snaphold.documents import suggest
from snaphold.domain.classification import Source, classify
from snaphold.domain.dependency import find_cycles
from snaphold.errors import InputError

MOST_NAMED = 5
"""How many names one finding lists."""


@dataclass(frozen=True)
class Finding:
    """One finding: the part of the configuration and a sentence about it."""

    part: str
    text: str


def review(configuration: Configuration, today: date) -> list[Finding]:
    """Return all findings, by part of the configuration."""
    parts: Sequence[tuple[str, Callable[[], Iterable[str]]]] = (
        ("tiers", lambda: _tiers(configuration)),
        ("assets", lambda: _assets(configuration)),
        ("dependencies", lambda: _dependencies(configuration)),
        ("severities", lambda: _severities(configuration)),
        ("pools", lambda: _pools(configuration)),
        ("routes", lambda: _routes(configuration)),
        ("integrations", lambda: _integrations(configuration, today)),
        ("authority", lambda: _authority(configuration)),
        ("people", lambda: _people(configuration)),
        ("evidence", lambda: _evidence(configuration)),
        ("contacts", lambda: _contacts(configuration, today)),
    )
    return [Finding(part, text) for part, look in parts for text in look()]


def _tiers(configuration: Configuration) -> Iterator[str]:
    ordered = sorted(configuration.tiers, key=lambda tier: tier.level)
    for upper, lower in pairwise(ordered):
        if upper.level == lower.level:
            yield f"{upper.id} and {lower.id} have the same level {upper.level}: neither is more critical"
        elif upper.rto > lower.rto or upper.rpo > lower.rpo:
            yield f"{upper.id} is more critical than {lower.id}, but allows a longer recovery (rto or rpo)"


def _assets(configuration: Configuration) -> Iterator[str]:
    from snaphold.quiesce.registry import adapter_names

    classified = classify(configuration.assets, configuration.tiers, configuration.classification)
    unclassified = sorted(item.asset for item in classified if item.source is Source.NOTHING)
    if unclassified:
        tier = next(item.tier for item in classified if item.source is Source.NOTHING)
        yield f"nobody classified {_some(unclassified)}: no tier, no rule matches, counted as {tier}"
    by_product = _assets_of_products(configuration, {item.asset: item.tier for item in classified})
    bare = [asset.id for asset in configuration.assets
            if not asset.protection.paths and asset.application is None and asset.id not in by_product]  # fmt: skip
    if bare:
        yield f"nothing is backed up of {_some(bare)}: give protection.paths or an application"
    missing = [f"{asset.id} ({path})" for asset in configuration.assets for path in asset.protection.paths
               if not configuration.path(path).exists()]  # fmt: skip
    if missing:
        yield f"paths that do not exist here: {_some(missing)}"
    applications = [(asset.id, asset.application) for asset in configuration.assets if asset.application is not None]
    unproved = [name for name, application in applications if not (application.consistency_query and application.expected)]
    if unproved:
        yield f"no consistency query with an expected answer for {_some(unproved)}: copies cannot be proved"
    for name, application in applications:
        if application.quiesce not in adapter_names():
            hint = suggest(application.quiesce, adapter_names()) or f"known: {', '.join(adapter_names())}"
            yield f"{name} names the unknown quiesce adapter {application.quiesce!r} ({hint})"


def _assets_of_products(configuration: Configuration, tiers: Mapping[str, str]) -> set[str]:
    """Return the assets that go to a backup product: it knows by itself what belongs to a machine."""
    from snaphold.providers.registry import product_names

    products = {pool.name for pool in configuration.pools if pool.provider in product_names()}
    routes = {tier: (route.primary, route.alternate) for route in configuration.routes for tier in route.tiers}
    return {
        asset.id for asset in configuration.assets
        if products & ({asset.protection.pool} if asset.protection.pool else {*routes.get(tiers[asset.id], ())})
    }  # fmt: skip


def _dependencies(configuration: Configuration) -> Iterator[str]:
    needs = {asset.id: asset.depends_on for asset in configuration.assets}
    unknown = [f"{asset} needs {name}" for asset, names in needs.items() for name in names if name not in needs]
    if unknown:
        yield f"dependencies that nobody defined: {_some(unknown)}"
    cycles = [" → ".join(cycle) for cycle in find_cycles(needs)]
    if cycles:
        yield f"assets depend on each other in a circle: {_some(cycles)}"


def _severities(configuration: Configuration) -> Iterator[str]:
    from snaphold.playbook.load import find_playbook

    everyday = {rule.severity for rule in configuration.severities if rule.category is None}
    without = [str(severity) for severity in range(1, 6) if severity not in everyday]
    if without:
        yield f"incidents of severity {', '.join(without)} have a playbook only for some categories, or none"
    for name in sorted({rule.playbook for rule in configuration.severities}):
        try:
            find_playbook(name, configuration)
        except InputError as error:
            yield f"the playbook {name!r} is not found" + (f": {error.why}" if error.why else "")


def _pools(configuration: Configuration) -> Iterator[str]:
    from snaphold.providers.registry import product_names, provider_names

    names, products = provider_names(), product_names()
    for pool in configuration.pools:
        if not pool.isolated:
            yield f"{pool.name} is not isolated: whoever holds the daily backups holds it too"
        if pool.compromised:
            yield f"{pool.name} is marked compromised and is never used"
        if pool.provider not in names:
            yield f"{pool.name} names the unknown provider {pool.provider!r} ({suggest(pool.provider, names) or _some(names)})"
        elif pool.provider in products:
            if pool.integration is None:
                yield f"{pool.name} names no integration: {pool.provider} is a product that is reached through one"
        elif not _program_found(pool, configuration):
            program = pool.program or pool.provider
            yield f"{pool.name} needs the program {program}, which is not found: install it, or set program"
        elif pool.password is None:
            yield f"{pool.name} has no password: {pool.provider} encrypts what it stores"
        if pool.password is not None:
            yield from _secret(f"the password of {pool.name}", pool.password, configuration)


def _program_found(pool: Pool, configuration: Configuration) -> bool:
    if pool.program:
        return shutil.which(str(configuration.path(pool.program))) is not None
    beside_python = str(Path(sys.executable).parent)
    return any(shutil.which(pool.provider, path=place) for place in (None, beside_python))


def _routes(configuration: Configuration) -> Iterator[str]:
    if not configuration.pools:
        yield "there is no pool, so nothing can be backed up"
    routed = {tier for route in configuration.routes for tier in route.tiers}
    without = [tier.id for tier in configuration.tiers if tier.id not in routed]
    if without:
        yield f"no route for {_some(without)}"
    alone = [", ".join(route.tiers) for route in configuration.routes if route.alternate is None]
    if alone:
        yield f"no alternate pool for {_some(alone)}"


def _integrations(configuration: Configuration, today: date) -> Iterator[str]:
    for item in configuration.integrations:
        if not item.owner or not item.contact:
            yield f"{item.name} has no owner or no contact: nobody answers for it"
        if not item.review_by:
            yield f"{item.name} has no review date"
        elif date.fromisoformat(item.review_by) < today:
            yield f"{item.name} was to be reviewed by {item.review_by}"
        if item.url.lower().startswith("http://"):
            yield f"{item.name} is reached without encryption, its password too: {item.url}"
        if item.ca_file and not configuration.path(item.ca_file).is_file():
            yield f"the certificate file {item.ca_file} of {item.name} does not exist"
        for name, reference in sorted(item.credentials.items()):
            yield from _secret(f"the {name} of {item.name}", reference, configuration)


def _authority(configuration: Configuration) -> Iterator[str]:
    from snaphold.platforms.base import PlatformVerb
    from snaphold.platforms.registry import kinds_able

    rule = configuration.authority.change
    if rule is None:
        return
    kinds = {item.name: item.kind for item in configuration.integrations}
    if rule.integration not in kinds:
        why = suggest(rule.integration, list(kinds)) or f"configured: {', '.join(kinds) or 'none'}"
        yield f"change names the unknown integration {rule.integration!r} ({why}): no emergency change can be opened"
        return
    able = kinds_able(PlatformVerb.OPEN_CHANGE)
    if kinds[rule.integration] not in able:
        kind = kinds[rule.integration]
        yield f"change names {rule.integration}, a {kind}, which knows no changes; kinds that do: {', '.join(sorted(able))}"


def _people(configuration: Configuration) -> Iterator[str]:
    if not configuration.people:
        yield "nobody is listed, so nobody can act: every action is recorded against a person"
    # They act through the service only.
    served = {webhook.person for webhook in configuration.webhooks} | {configuration.service.follows_cases_as}
    without = [person.id for person in configuration.people if not person.logins and person.id not in served]
    if without:
        yield f"no login for {_some(without)}: they cannot act on this machine"
    # A role that may do something and has no members is one that people get by grant only.
    empty = [role.name for role in configuration.roles if not role.members and not role.may]
    if empty:
        yield f"roles without members: {_some(empty)}"
    idle = {person.id for person in configuration.people} - {name for role in configuration.roles for name in role.members}
    if idle:
        yield f"people without a role: {_some(sorted(idle))}"
    most = max(tier.approvals for tier in configuration.tiers)
    if configuration.people and most >= len(configuration.people):
        yield f"a tier needs {most} approvals beside the one who asks; {len(configuration.people)} people are listed"


def _evidence(configuration: Configuration) -> Iterator[str]:
    yield from _secret("the signing key", configuration.evidence.signing_key, configuration)
    vault = configuration.evidence.vault
    for name, reference in (("access key", vault.access_key), ("secret key", vault.secret_key)):
        if reference is not None:
            yield from _secret(f"the {name} of the vault", reference, configuration)
    if vault.ca_file and not configuration.path(vault.ca_file).is_file():
        yield f"the certificate file {vault.ca_file} of the vault does not exist"
    if vault.kind == "s3" and vault.allow_unlocked_bucket == vault.bucket:
        yield f"the vault {vault.bucket} may be without Object Lock: whoever may delete there can delete evidence"
    if vault.endpoint.startswith("http://"):
        yield f"the vault is reached without encryption: {vault.endpoint}"
    stamping = configuration.evidence.time_stamping
    if stamping is not None and not configuration.path(stamping.ca_file).is_file():
        yield f"the time-stamping authority's root {stamping.ca_file} does not exist"


def _contacts(configuration: Configuration, today: date) -> Iterator[str]:
    if not configuration.contacts:
        yield "no contacts are listed"
    for contact in configuration.contacts:
        if not contact.review_by:
            yield f"{contact.role} ({contact.name}) has no review date"
        elif date.fromisoformat(contact.review_by) < today:
            yield f"{contact.role} ({contact.name}) was to be reviewed by {contact.review_by}"


def _secret(what: str, reference: str, configuration: Configuration) -> Iterator[str]:
    """Look whether a secret is there, without reading it and without running its command."""
    kind, _, rest = reference.partition(":")
    if kind == "env" and not os.environ.get(rest):
        yield f"{what} is missing: the environment variable {rest} is not set"
    elif kind == "file":
        path = configuration.path(rest)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            yield f"{what} is missing: {path}: {error.strerror}"
            return
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield f"{what} can be read by others: chmod 600 {path}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
