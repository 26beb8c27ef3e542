"""Opens the vault that the configuration names, and tells until when a package must be locked there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from snaphold.clock import Clock
from snaphold.config import Configuration
from snaphold.domain.stored_package import StoredPackage
from snaphold.errors import InputError, UnverifiedEvidenceError
from snaphold.vault.base import Vault
from snaphold.vault.local import LocalVault


def open_vault(configuration: Configuration, clock: Clock, *, holding: StoredPackage | None = None) -> Vault:
    """Return the configured vault; nothing is sent yet.

    With `holding` it must be the one in which that package rests. Raises InputError when it is another one or a secret is
    missing, MissingToolError when the package for it is not installed.
    """
    settings = configuration.evidence.vault
    working = LocalVault(configuration.path(configuration.evidence.store))
    if holding is not None:
        _refuse_another(holding, configuration)
    if settings.kind == "local":
        return working
    from snaphold.vault.s3_client import open_bucket

    bucket = open_bucket(settings, configuration)
    # After open_bucket, which says how to install boto3 when it is missing.
    from snaphold.vault.s3 import S3Vault

    def sign(message: bytes) -> str:
        from snaphold.evidence.signature import EVIDENCE_NAMESPACE, load_signer

        return load_signer(configuration).sign(message, EVIDENCE_NAMESPACE)

    def judge(message: bytes, signature: str, at: datetime) -> None:
        from snaphold.evidence.signature import EVIDENCE_NAMESPACE, verify_signature
        from snaphold.evidence.verify import load_trust

        folder = configuration.path(configuration.evidence.trust)
        trust = load_trust(folder)
        if trust.allowed_signers is None:
            raise UnverifiedEvidenceError(
                "the marker of the vault cannot be judged", f"{folder} has no allowed_signers", "put the trust folder back"
            )
        identity = configuration.evidence.identity
        verify_signature(
            message, signature, namespace=EVIDENCE_NAMESPACE, identity=identity, allowed_signers=trust.allowed_signers, at=at,
            revoked=trust.revoked,
        )  # fmt: skip

    return S3Vault(bucket, working, clock=clock, sign=sign, judge=judge)


def lock_until(configuration: Configuration, assets: Iterable[str], now: datetime) -> datetime:
    """Return until when evidence of these assets is locked: `keep` of the vault, or the longest rule for their data.

    The rule of a data class goes before the one for all data. What a case needs beyond that is added while it is open.
    """
    rules = {rule.data_class: rule.keep for rule in configuration.retention}
    known = {asset.id: asset for asset in configuration.assets}
    classes = {name for asset in assets if asset in known for name in known[asset].data_classes} or {None}
    lengths = [configuration.evidence.vault.keep]
    lengths += [length for name in classes if (length := rules.get(name, rules.get(None))) is not None]
    return now + max(lengths)


def _refuse_another(holding: StoredPackage, configuration: Configuration) -> None:
    settings = configuration.evidence.vault
    configured = (settings.bucket, settings.prefix, settings.endpoint)
    prefix = holding.prefix.rstrip("/").rpartition("/")[0]
    if settings.kind != "s3" or configured != (holding.bucket, prefix, holding.endpoint):
        raise InputError(
            f"the package rests in {holding.uri} at {holding.endpoint or 'AWS'}, which is not the configured vault",
            f"configured: {settings.kind} {settings.bucket}/{settings.prefix} {settings.endpoint}".rstrip(" /"),
            "configure that bucket, prefix and endpoint under evidence.vault",
        )
