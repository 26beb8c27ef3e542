"""The section evidence.vault of the configuration: where finished packages rest beside the local working copy."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Literal

from pydantic import Field, model_validator

from snaphold.clock import Positive
from snaphold.domain.value import Value
from snaphold.secrets import SecretReference


class LockMode(str, Enum):
    """What Object Lock allows. Governance can be lifted by an identity with a special right, compliance by nobody."""

    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


class Encryption(str, Enum):
    """Server-side encryption that is asked for with every object; `bucket` asks for nothing: the bucket decides."""

    BUCKET = "bucket"
    AES256 = "AES256"
    KMS = "aws:kms"


class VaultSettings(Value):
    """Where finished packages rest. `local`: only in the store's folder. `s3`: in a bucket, with a working copy there."""

    kind: Literal["local", "s3"] = Field(default="local", description="local or s3.", examples=["s3"])
    bucket: str = Field(
        default="", pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$", description="The bucket.", examples=["evidence-vault"]
    )
    prefix: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?$",
        description="Keys start with it.",
        examples=["snaphold"],
    )
    region: str = Field(default="us-east-1", min_length=1, description="The bucket's region.", examples=["eu-west-1"])
    endpoint: str = Field(
        default="",
        pattern=r"^(https?://.+)?$",
        description="Address of the store; empty: AWS.",
        examples=["https://s3.example.org"],
    )
    path_style: bool = Field(default=False, description="Bucket in the path, not in the host name.", examples=[True])
    ca_file: str = Field(default="", description="PEM file of the store's own authority.", examples=["trust/s3-ca.pem"])
    access_key: SecretReference | None = Field(
        default=None,
        description="Access key, by reference; left out with secret_key: the machine's own identity (role, profile).",
        examples=["env:VAULT_ACCESS_KEY"],
    )
    secret_key: SecretReference | None = Field(
        default=None, description="Secret key, by reference.", examples=["file:keys/vault-secret"]
    )
    mode: LockMode = Field(default=LockMode.GOVERNANCE, description="governance or compliance.", examples=["compliance"])
    keep: Positive = Field(
        default=timedelta(days=30),
        description="Locked at least so long from sealing; a longer retention rule wins.",
        examples=["365d"],
    )
    encryption: Encryption = Field(
        default=Encryption.AES256, description="AES256, aws:kms, or bucket (the bucket decides).", examples=["aws:kms"]
    )
    kms_key: str = Field(default="", description="Key id for aws:kms.", examples=["alias/evidence"])
    allow_unlocked_bucket: str = Field(
        default="", description="Name the bucket here to use it without Object Lock.", examples=["exercise-bucket"]
    )
    connect_timeout: Positive = Field(default=timedelta(seconds=10), description="Wait for a connection.", examples=["10s"])
    read_timeout: Positive = Field(default=timedelta(seconds=60), description="Wait for bytes of an answer.", examples=["60s"])
    attempts: int = Field(default=4, ge=1, le=10, description="Tries of a call that may be repeated.", examples=[4])
    part_size_mib: int = Field(
        default=32, ge=5, le=1024, description="Larger files are sent in parts of this size, in MiB.", examples=[32]
    )

    @model_validator(mode="after")
    def _fits_together(self) -> VaultSettings:
        if self.kind == "s3" and not self.bucket:
            raise ValueError("kind s3 needs a bucket")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key are given together or not at all")
        if self.kms_key and self.encryption is not Encryption.KMS:
            raise ValueError("kms_key is only for encryption aws:kms")
        return self
