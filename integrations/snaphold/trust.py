"""Checks what this installation signed itself (ledger checkpoints, grants) against its trust folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from snaphold.config import Configuration
from snaphold.errors import UnverifiedEvidenceError


def verify_own_signature(configuration: Configuration, message: bytes, armoured: str, *, namespace: str, at: datetime) -> None:
    """Return when the configuration's signer signed the message with a key that was valid at `at` and is not revoked.

    Raises EvidenceError when the signature is bad, UnverifiedEvidenceError when it cannot be checked (no list of
    allowed signers). The lists are read anew each time: a revocation counts at once.
    """
    from snaphold.evidence.layout import ALLOWED_SIGNERS, REVOKED_KEYS
    from snaphold.evidence.signature import verify_signature

    trust = configuration.path(configuration.evidence.trust)
    signers = _read(trust / ALLOWED_SIGNERS)
    if signers is None:
        raise UnverifiedEvidenceError(
            "the signature cannot be checked",
            f"{trust / ALLOWED_SIGNERS} does not exist",
            "get allowed_signers from the custodian, or make it with: snaphold key create",
        )
    verify_signature(
        message,
        armoured,
        namespace=namespace,
        identity=configuration.evidence.identity,
        allowed_signers=signers.decode("utf-8", "replace"),
        at=at,
        revoked=_read(trust / REVOKED_KEYS),
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnverifiedEvidenceError(
            "the signature cannot be checked", f"{path} cannot be read: {error.strerror}", "check its permissions"
        ) from error
