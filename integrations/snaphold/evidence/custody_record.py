"""What one record of the chain of custody says: who did what to which evidence, when, by what right, and with what proof."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from snaphold.domain.value import Identifier, Moment, Value

_SHA256 = r"^[0-9a-f]{64}$"


class CustodyEvent(str, Enum):
    """What happened to the evidence."""

    ACQUIRED = "acquired"
    SEALED = "sealed"
    TIMESTAMPED = "timestamped"
    VERIFIED = "verified"
    TRANSFERRED = "transferred"
    CHECKED_OUT = "checked_out"
    RETURNED = "returned"
    ACCESSED = "accessed"
    EXPORTED = "exported"
    HOLD_PLACED = "hold_placed"
    HOLD_RELEASED = "hold_released"
    DISPOSED = "disposed"


class Party(Value):
    """Somebody who held the evidence, or saw it change hands."""

    id: str = Field(min_length=1, description="Id in the configuration, or a name for a system.", examples=["ana"])
    name: str = Field(default="", description="Full name.", examples=["Ana Ruiz"])
    title: str = Field(default="", description="Job title.", examples=["SOC analyst"])
    org: str = Field(default="", description="Employer.", examples=["Example Ltd"])
    contact: str = Field(default="", description="Telephone or mail.", examples=["ana@example.org"])


class Place(Value):
    """Where the evidence rests."""

    system: str = Field(default="", description="Host or storage system.", examples=["vault-01"])
    uri: str = Field(default="", description="Address in it.", examples=["file:///vault/EV-1"])
    region: str = Field(default="", description="Region or site.", examples=["eu-west-1"])
    immutability: str = Field(default="", description="What protects it from change.", examples=["read-only files"])


class Source(Value):
    """What the evidence was taken from."""

    host: str = Field(default="", description="Host name.", examples=["files-01"])
    serial: str = Field(default="", description="Serial number.", examples=["SN-1"])
    ip: str = Field(default="", description="IP address.", examples=["192.0.2.7"])
    mac: str = Field(default="", description="MAC address.", examples=["00:00:5e:00:53:01"])
    asset: str = Field(default="", description="Assets, comma-separated.", examples=["files-01"])
    snapshot_id: str = Field(default="", description="Snapshots, comma-separated.", examples=["1a2b3c4d"])
    backup_job: str = Field(default="", description="Backup jobs or restore points.", examples=["RP-files-01-0a1b2c3d"])
    provider_audit_event_id: str = Field(default="", description="The product's own audit event.", examples=["ae-1"])


class Method(Value):
    """How it was done."""

    tool: str = Field(default="", description="Tool.", examples=["snaphold"])
    version: str = Field(default="", description="Its version.", examples=["0.1.0"])
    command_sha256: str = Field(default="", description="SHA-256 of the exact command or order.", examples=["00" * 32])
    quiesce: str = Field(default="", description="How consistency was reached.", examples=["application-consistent"])


class CustodyDigest(Value):
    """The digest of one file, before and after the event. `match` is left out when there is nothing to compare."""

    of: str = Field(min_length=1, description="File in the package.", examples=["data/E0001.tar"])
    alg: str = Field(default="sha256", description="Algorithm.", examples=["sha256"])
    before: str = Field(default="", description="Digest before (hex).", examples=["00" * 32])
    before_bytes: int | None = Field(default=None, ge=0, description="Bytes before.", examples=[4096])
    after: str = Field(default="", description="Digest after (hex).", examples=["00" * 32])
    after_bytes: int | None = Field(default=None, ge=0, description="Bytes after.", examples=[4096])
    match: bool | None = Field(default=None, description="Whether both are equal.", examples=[True])


class CustodyChange(Value):
    """An unavoidable change of the evidence."""

    what: str = Field(min_length=1, description="What changed.", examples=["access time of the source"])
    who: str = Field(min_length=1, description="Who did it.", examples=["ana"])
    why: str = Field(min_length=1, description="Why it could not be avoided.", examples=["mounted read-write"])


class Disposition(Value):
    """How the evidence ended."""

    authority: str = Field(min_length=1, description="Who ordered it.", examples=["legal counsel"])
    method: str = Field(min_length=1, description="How.", examples=["crypto-shredding"])
    time: Moment = Field(description="When.", examples=["2027-11-22T18:00:00Z"])


class CustodyNote(Value):
    """A custody record before it is chained."""

    case_id: Identifier = Field(description="The incident.", examples=["INC-2026-0042"])
    evidence_id: Identifier = Field(description="The evidence.", examples=["EV-INC-2026-0042-0a1b2c3d"])
    event: CustodyEvent = Field(description="What happened.", examples=["sealed"])
    purpose: str = Field(default="", description="What for.", examples=["incident response"])
    actor_tz: str = Field(default="UTC", description="Time zone of the actor.", examples=["Europe/Berlin"])
    clock_source: str = Field(default="system clock", description="Where the time comes from.", examples=["NTP"])
    clock_offset_ms: int | None = Field(default=None, description="Known error of the clock.", examples=[12])
    approval_id: str = Field(default="", description="Approvals, comma-separated.", examples=["AP-1"])
    approvers: tuple[str, ...] = Field(default=(), description="Who approved.", examples=[["bo"]])
    reason: str = Field(default="", description="Justification.", examples=["Ransomware on files-01"])
    expires_at: Moment | None = Field(default=None, description="When the right ends.", examples=["2026-11-23T18:00:00Z"])
    legal_basis: str = Field(default="", description="Law or contract.", examples=["GDPR art. 6(1)(f)"])
    released_by: Party | None = Field(default=None, description="Who gave it away.", examples=[None])
    received_by: Party | None = Field(default=None, description="Who has it now.", examples=[None])
    witness: Party | None = Field(default=None, description="Who saw it.", examples=[None])
    place: Place = Field(default=Place(), description="Where it rests.", examples=[{}])
    source: Source = Field(default=Source(), description="What it was taken from.", examples=[{}])
    method: Method = Field(default=Method(), description="How.", examples=[{}])
    digests: tuple[CustodyDigest, ...] = Field(default=(), description="Proof.", examples=[[]])
    working_copy_of: str = Field(default="", description="The original, when this is a copy.", examples=["EV-1"])
    changes: tuple[CustodyChange, ...] = Field(default=(), description="Unavoidable changes.", examples=[[]])
    kms_key_id: str = Field(default="", description="Keys that encrypt it.", examples=["restic key 1a2b3c4d"])
    legal_holds: tuple[str, ...] = Field(default=(), description="Holds on it.", examples=[["HOLD-0a1b2c3d"]])
    disposition: Disposition | None = Field(default=None, description="Its end.", examples=[None])
    notes: str = Field(default="", description="Anything else.", examples=["not time-stamped"])


class CustodyRecord(CustodyNote):
    """A chained record. `prev` is the SHA-256 of the line before; of the tag manifest in the first record."""

    event_id: str = Field(pattern=r"^[0-9a-f-]{36}$", description="Unique id.", examples=["0" * 36])
    seq: int = Field(ge=1, description="Advances with every record; a gap is legal.", examples=[1])
    prev: str = Field(pattern=_SHA256, description="SHA-256 of the line before.", examples=["00" * 32])
    time_utc: Moment = Field(description="When.", examples=["2026-11-22T18:00:00.000Z"])
