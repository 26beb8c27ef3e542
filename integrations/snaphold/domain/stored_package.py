"""Where an evidence package rests in a remote vault: every object with its version and digest, and what locks it."""

from __future__ import annotations

from pydantic import Field

from snaphold.domain.value import Moment, Value


class RestingPlace(Value):
    """Where a package will rest, in the words of a custody record."""

    uri: str = Field(description="Address.", examples=["s3://evidence/vault/EV-INC-1-0a1b2c3d"])
    region: str = Field(default="", description="Region or endpoint.", examples=["eu-west-1"])
    immutability: str = Field(description="What protects it from change.", examples=["read-only files; nothing stronger"])


class StoredObject(Value):
    """One file of a package in the vault. The digest was taken while it was sent and compared with a read-back."""

    name: str = Field(description="Path in the package.", examples=["data/E0001.tar"])
    version: str = Field(description="Version id in the bucket; empty when the bucket keeps no versions.", examples=["3sL4kq"])
    bytes: int = Field(ge=0, description="Size in bytes.", examples=[4096])
    sha256: str = Field(description="SHA-256 of the content.", examples=["00" * 32])
    modified: int = Field(default=0, description="Time of the file, seconds since 1970.", examples=[1795370400])


class StoredPackage(Value):
    """A complete package in a bucket, as its marker states it; the marker itself is the last object that was put."""

    bucket: str = Field(description="The bucket.", examples=["evidence"])
    prefix: str = Field(description="All keys of the package start with it.", examples=["vault/EV-INC-1-0a1b2c3d/"])
    region: str = Field(default="", description="Region.", examples=["eu-west-1"])
    endpoint: str = Field(default="", description="Address of the store; empty: AWS.", examples=["https://s3.example.org"])
    mode: str = Field(description="governance, compliance, or none (bucket without Object Lock).", examples=["compliance"])
    retain_until: Moment | None = Field(default=None, description="Locked until then.", examples=["2027-11-22T18:00:00.000Z"])
    completed_at: Moment = Field(
        description="When the last object but the marker was put.", examples=["2026-11-22T18:00:00.000Z"]
    )
    encryption: str = Field(default="", description="Server-side encryption, as the store stated it.", examples=["AES256"])
    objects: tuple[StoredObject, ...] = Field(description="Every file of the package.", examples=[[]])
    marker: StoredObject = Field(description="The marker that makes the package complete.", examples=[{}])
    signature: StoredObject = Field(description="The signature of the marker.", examples=[{}])

    @property
    def uri(self) -> str:
        """The address of the package."""
        return f"s3://{self.bucket}/{self.prefix.rstrip('/')}"
