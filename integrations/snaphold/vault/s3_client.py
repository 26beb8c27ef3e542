"""Connections to an object store: one for calls that may be repeated, one for puts, which never are unseen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from snaphold.config import Configuration
from snaphold.errors import InputError, MissingToolError
from snaphold.secrets import resolve
from snaphold.vault.settings import VaultSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Bucket:
    """A bucket and how to talk to it.

    `client` repeats calls by itself and serves reads and settings that may be made twice. `writer` sends once: a second
    put of a key makes a second version, so who puts looks the first one up before it repeats.
    """

    settings: VaultSettings
    client: S3Client
    writer: S3Client

    @property
    def name(self) -> str:
        """The bucket's name."""
        return self.settings.bucket


def open_bucket(settings: VaultSettings, configuration: Configuration) -> Bucket:
    """Return the configured bucket; nothing is sent yet.

    Raises MissingToolError when boto3 is not installed, InputError when a secret or the certificate file is missing.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingToolError("an S3 vault needs the Python package boto3", str(error), "pip install 'snaphold[s3]'") from error

    base = configuration.base
    access = resolve(settings.access_key, base) if settings.access_key else None
    secret = resolve(settings.secret_key, base) if settings.secret_key else None
    session: Any = boto3.session.Session(aws_access_key_id=access, aws_secret_access_key=secret, region_name=settings.region)

    def connect(attempts: int) -> S3Client:
        client = session.client(
            "s3",
            endpoint_url=settings.endpoint or None,
            verify=_authority(settings, configuration),
            config=Config(
                connect_timeout=settings.connect_timeout.total_seconds(),
                read_timeout=settings.read_timeout.total_seconds(),
                retries={"mode": "standard", "total_max_attempts": attempts},
                s3={"addressing_style": "path" if settings.path_style else "auto"},
                # Only the checksums that are given explicitly: older stores refuse the ones that botocore adds.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        return cast("S3Client", client)

    try:
        return Bucket(settings, connect(settings.attempts), connect(1))
    except (BotoCoreError, ValueError) as error:
        raise InputError("the S3 vault cannot be set up", str(error), "check the section evidence.vault") from error


def _authority(settings: VaultSettings, configuration: Configuration) -> str | None:
    if not settings.ca_file:
        return None
    path: Path = configuration.path(settings.ca_file)
    if not path.is_file():
        raise InputError(f"the certificate file {path} does not exist", do="check evidence.vault.ca_file")
    return str(path)
