"""metadata/evidence.json: what a package holds, where it comes from, and how it was taken."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.value import Identifier, Moment, Value


class Tool(Value):
    """The program that made the package."""

    name: str = Field(description="Name.", examples=["snaphold"])
    version: str = Field(description="Version.", examples=["0.1.0"])
    python: str = Field(default="", description="Version of Python.", examples=["3.11.7"])
    host: str = Field(default="", description="Where it ran.", examples=["vault-01"])


class PayloadRecord(Value):
    """One payload file. Both digests are taken by the product: in the stream, and from the stored file."""

    name: str = Field(description="Generated name in the package.", examples=["data/E0001.tar"])
    description: str = Field(description="What it is.", examples=["restore point RP-files-01-0a1b2c3d as a tar archive"])
    bytes: int = Field(ge=0, description="Size in bytes.", examples=[4096])
    sha256: str = Field(description="Digest of the stream while it was written.", examples=["00" * 32])
    sha256_read_back: str = Field(description="Digest of the stored file, read again.", examples=["00" * 32])
    restore_point: str = Field(default="", description="Id of the restore point.", examples=["RP-files-01-0a1b2c3d"])
    original_names: tuple[str, ...] = Field(default=(), description="Paths at the source.", examples=[["/srv/share"]])


class InventoryCheck(Value):
    """How the restored data compared with the inventory that was taken while backing up."""

    restore_point: str = Field(description="Id of the restore point.", examples=["RP-files-01-0a1b2c3d"])
    compared: bool = Field(description="False when the restore point has no inventory.", examples=[True])
    files: int = Field(default=0, ge=0, description="Regular files.", examples=[300])
    bytes: int = Field(default=0, ge=0, description="Their bytes.", examples=[1048576])
    inventory_sha256: str = Field(default="", description="Digest of the inventory.", examples=["00" * 32])
    findings: tuple[str, ...] = Field(default=(), description="What a reader should know.", examples=[[]])


class ProviderRecord(Value):
    """The backup engine behind a restore point, and how its storage is encrypted."""

    pool: Identifier = Field(description="Pool.", examples=["isolated-01"])
    provider: str = Field(description="Adapter.", examples=["restic"])
    engine: str = Field(description="Engine and version.", examples=["restic 0.14.0"])
    encryption: str = Field(default="", description="Method and key id.", examples=["restic AES-256, key 1a2b3c4d"])
    proved_on: str = Field(default="", description="How the adapter was proved.", examples=["real system"])


class EvidenceMetadata(Value):
    """The whole of metadata/evidence.json."""

    format: Literal["snaphold-evidence-1"] = Field(default="snaphold-evidence-1", description="Format.", examples=[""])
    evidence_id: Identifier = Field(description="The package.", examples=["EV-INC-2026-0042-0a1b2c3d"])
    case: Incident = Field(description="The incident.", examples=[{}])
    sealed_at: Moment = Field(description="When, by the clock of the sealing machine.", examples=["2026-11-22T18:00:00.000Z"])
    sealed_by: Actor = Field(description="Who.", examples=[{}])
    signed_by: str = Field(description="Identity to look for in allowed_signers.", examples=["custodian@soc"])
    organisation: str = Field(default="", description="Whose evidence it is.", examples=["Example Ltd"])
    justification: str = Field(default="", description="Why.", examples=["Ransomware on files-01"])
    key: str = Field(default="", description="Idempotency key of the sealing.", examples=["INC-1/seal/-/1"])
    content: Literal["full", "inventory", "record"] = Field(
        default="full",
        description="Data, or inventories only, or records only of what backup products keep.",
        examples=["full"],
    )
    tool: Tool = Field(description="What made the package.", examples=[{}])
    payload: tuple[PayloadRecord, ...] = Field(default=(), description="Every payload file.", examples=[[]])
    restore_points: tuple[RestorePoint, ...] = Field(default=(), description="As registered.", examples=[[]])
    providers: tuple[ProviderRecord, ...] = Field(default=(), description="Engines.", examples=[[]])
    inventories: tuple[InventoryCheck, ...] = Field(default=(), description="Comparison at sealing.", examples=[[]])
    approvals: tuple[str, ...] = Field(default=(), description="Ids; the records stand in approvals.json.", examples=[[]])
    notes: tuple[str, ...] = Field(default=(), description="What a reader should know.", examples=[[]])
