"""Tests every integration, pool and key of the configuration, without changing anything behind them.

When each was last fit is kept in the state folder, so that a failure shows since when.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, cast

from snaphold.clock import Clock, format_time
from snaphold.config import Configuration, Integration, Pool
from snaphold.errors import SnapholdError, StorageError
from snaphold.secrets import redact

STATE_FILE = "doctor.json"
NOBODYS_INCIDENT = "DOCTOR"
"""Stands for an incident whose repository does not exist, so that only engine and storage are tested."""


@dataclass(frozen=True)
class Examined:
    """One thing that was tested; it is fit when it has no findings."""

    part: str
    name: str
    kind: str
    detail: str = ""
    owner: str = ""
    contact: str = ""
    review_by: str = ""
    last_success: str = ""
    findings: tuple[str, ...] = field(default=())

    @property
    def fit(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def examine(configuration: Configuration, clock: Clock) -> list[Examined]:
    """Return what was found of every integration, pool and key, and note which were fit.

    Raises StorageError when the state folder cannot be written.
    """
    now, path = clock.now(), configuration.state_folder / STATE_FILE
    successes = _read_successes(path)
    found: list[Examined] = []
    for item in _all(configuration, clock):
        key = f"{item.part}/{item.name}"
        if item.fit:
            successes[key] = format_time(now)
        overdue = _overdue(item, now.date())
        found.append(
            Examined(
                item.part, item.name, item.kind, item.detail, item.owner, item.contact, item.review_by,
                successes.get(key, ""), (*item.findings, *overdue),
            )
        )  # fmt: skip
    _write_successes(path, {key: at for key, at in successes.items() if key in {f"{item.part}/{item.name}" for item in found}})
    return found


def _all(configuration: Configuration, clock: Clock) -> Iterator[Examined]:
    unreached: set[str] = set()
    for integration in configuration.integrations:
        examined = _integration(integration, configuration)
        if not examined.detail:
            unreached.add(integration.name)
        yield examined
    for pool in configuration.pools:
        # A wrong password is not sent once more for each pool: that locks accounts.
        yield _untested(pool, pool.integration) if pool.integration in unreached else _pool(pool, configuration, clock)
    yield _signing_key(configuration)
    if configuration.evidence.time_stamping is not None:
        yield _time_stamping(configuration)


def _integration(integration: Integration, configuration: Configuration) -> Examined:
    from snaphold.platforms.registry import open_platform
    from snaphold.providers.registry import check_connection, product_names

    def test() -> tuple[str, Sequence[str]]:
        if integration.kind in product_names():
            reached = check_connection(integration, configuration)
        else:
            reached = open_platform(integration, configuration).check()
        return f"signed in as {reached.signed_in_as}", reached.missing

    detail, findings = _try(test)
    if not integration.owner or not integration.contact:
        findings = (*findings, "nobody answers for it: owner or contact is missing")
    if not integration.review_by:
        findings = (*findings, "it has no review date")
    return Examined(
        "integration", integration.name, integration.kind, detail, integration.owner, integration.contact,
        integration.review_by, "", findings,
    )  # fmt: skip


def _untested(pool: Pool, integration: str | None) -> Examined:
    finding = f"not tested: {integration} could not be signed in to"
    return Examined("pool", pool.name, pool.provider, "", pool.owner, pool.contact, pool.review_by, "", (finding,))


def _pool(pool: Pool, configuration: Configuration, clock: Clock) -> Examined:
    from snaphold.providers.registry import open_provider

    def test() -> tuple[str, Sequence[str]]:
        provider = open_provider(pool, configuration, NOBODYS_INCIDENT, clock)
        health = provider.check_health()
        if not health.fit:
            return "", health.reasons
        capacity = provider.capacity()
        known = "room not known" if capacity.free is None else f"{capacity.free / 1024**3:.1f} GiB free"
        room = "grows as it is used" if capacity.elastic else known
        return f"{provider.describe().engine}, {room}", health.reasons

    detail, findings = _try(test)
    if pool.compromised:
        findings = (*findings, "it is marked compromised and is never used")
    return Examined("pool", pool.name, pool.provider, detail, pool.owner, pool.contact, pool.review_by, "", findings)


def _signing_key(configuration: Configuration) -> Examined:
    from snaphold.evidence.signature import load_signer

    def test() -> tuple[str, Sequence[str]]:
        return load_signer(configuration).public_key.split(" ")[1][-16:], ()

    detail, findings = _try(test)
    shown = f"public key ends in {detail}" if detail else ""
    return Examined("key", configuration.evidence.identity, "signing key", shown, findings=findings)


def _time_stamping(configuration: Configuration) -> Examined:
    """Look whether the authority's certificate can be read and its server answers at all; a stamp may cost money."""
    from urllib.parse import urlsplit

    from snaphold.http import send

    settings = configuration.evidence.time_stamping
    assert settings is not None  # noqa: S101  the caller looked
    url = settings.url

    def test() -> tuple[str, Sequence[str]]:
        path = configuration.path(settings.ca_file)
        try:
            has_certificate = b"-----BEGIN CERTIFICATE-----" in path.read_bytes()
        except OSError as error:
            raise StorageError(f"the certificate file {path} cannot be read", error.strerror) from error
        answer = send("GET", url, timeout=settings.timeout.total_seconds())
        missing = [] if has_certificate else [f"{settings.ca_file} holds no certificate"]
        return f"answers with HTTP status {answer.status}", missing

    detail, findings = _try(test)
    return Examined("time stamping", urlsplit(url).hostname or url, "RFC 3161", detail, findings=findings)


def _try(test: Callable[[], tuple[str, Sequence[str]]]) -> tuple[str, tuple[str, ...]]:
    try:
        detail, findings = test()
    except SnapholdError as error:
        return "", (redact("; ".join(part for part in (error.what, error.why, error.do) if part)),)
    return detail, tuple(findings)


def _overdue(item: Examined, today: date) -> list[str]:
    late = bool(item.review_by) and date.fromisoformat(item.review_by) < today
    return [f"it was to be reviewed by {item.review_by}"] if late else []


def _read_successes(path: Path) -> dict[str, str]:
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # the first time, or damaged: it is only a memory, and is written anew
    if not isinstance(told, dict):
        return {}
    return {str(name): str(at) for name, at in cast("dict[str, Any]", told).items()}


def _write_successes(path: Path, successes: Mapping[str, str]) -> None:
    beside = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with beside.open("w", encoding="utf-8") as file:
            json.dump(dict(sorted(successes.items())), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written", error.strerror, "check the state folder") from error
