"""Small sealed packages, with their key and trust folder, for tests."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from snaphold.clock import FixedClock
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.evidence.metadata import EvidenceMetadata, Tool
from snaphold.evidence.package import PackagePlan, SealedPackage, Stamp, build_package
from snaphold.evidence.payload import PayloadSource, StreamSource
from snaphold.evidence.signature import Signer, create_key
from snaphold.evidence.trust import VERIFY_SCRIPT, signer_line
from snaphold.evidence.verify import Trust, load_trust
from snaphold.vault.local import LocalVault

SEALED_AT = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
IDENTITY = "custodian@soc"
EVIDENCE_ID = "EV-INC-1-0a1b2c3d"
ANA = Actor(id="ana", name="Ana Ruiz", roles=("soc-analyst",), title="SOC analyst", organisation="Example Ltd")


@dataclass
class Sealed:
    """A package in a vault, with what is needed to check and to extend it."""

    package: Path
    trust_folder: Path
    signer: Signer
    result: SealedPackage

    @property
    def trust(self) -> Trust:
        return load_trust(self.trust_folder)


def incident(**changes: object) -> Incident:
    given: dict[str, object] = {
        "id": "INC-1",
        "title": "Ransomware on the file server",
        "severity": 1,
        "category": "ransomware",
        "declared_at": "2026-11-22T17:00:00Z",
        "assets": ["files-01"],
        **changes,
    }
    return Incident.model_validate(given)


def make_signer(path: Path) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    public = create_key(path)
    key = load_ssh_private_key(path.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return Signer(IDENTITY, public, key)


def plan(*sources: PayloadSource) -> PackagePlan:
    metadata = EvidenceMetadata(
        evidence_id=EVIDENCE_ID,
        case=incident(),
        sealed_at=SEALED_AT,
        sealed_by=ANA,
        signed_by=IDENTITY,
        organisation="Example Ltd",
        justification="Ransomware",
        tool=Tool(name="snaphold", version="0"),
    )
    chosen = sources or (
        StreamSource("a disk image", [b"first ", b"second\n"], "img"),
        StreamSource("a log", [b"line\n" * 20], "log"),
    )
    return PackagePlan(metadata, chosen, {"timeline.jsonl": lambda _stored: [b'{"message":"sealed"}\n']})


def seal(folder: Path, *sources: PayloadSource, stamp: Stamp | None = None, tsa_ca: Path | None = None) -> Sealed:
    """Seal a package at folder/evidence/EV-... and a trust folder beside the store."""
    signer = make_signer(folder / "key")
    trust = folder / "trust"
    trust.mkdir()
    (trust / "allowed_signers").write_text(signer_line(IDENTITY, signer.public_key, datetime(2020, 1, 1, tzinfo=timezone.utc)))
    (trust / "verify.sh").write_text(VERIFY_SCRIPT)
    if tsa_ca:
        shutil.copy(tsa_ca, trust / "tsa-ca.pem")
    vault = LocalVault(folder / "evidence")
    staged = vault.stage(EVIDENCE_ID)
    result = build_package(staged, plan(*sources), signer=signer, clock=FixedClock(SEALED_AT), stamp=stamp)
    return Sealed(vault.commit(staged, EVIDENCE_ID), trust, signer, result)


def copy_sealed(sealed: Sealed, folder: Path) -> Sealed:
    """Return a writable copy of package and trust folder, modes and times kept."""
    package = folder / "evidence" / sealed.package.name
    shutil.copytree(sealed.package, package, symlinks=True)
    shutil.copytree(sealed.trust_folder, folder / "trust")
    for path in [package, *package.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    return Sealed(package, folder / "trust", sealed.signer, sealed.result)


def rewrite(path: Path, content: bytes) -> None:
    """Change a file as an intruder who hides the traces would: mode and times stay."""
    import os

    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(status.st_mode & 0o7777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
