"""Refusals of an object store as errors that say what, why and what to do."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)

from snaphold.errors import SnapholdError, StorageError
from snaphold.secrets import redact
from snaphold.vault.settings import Encryption, VaultSettings

_RIGHTS = (
    "grant the identity s3:PutObject, s3:GetObject, s3:GetObjectVersion, s3:ListBucket, s3:ListBucketVersions, "
    "s3:ListBucketMultipartUploads, s3:AbortMultipartUpload, s3:GetBucketVersioning, s3:GetBucketObjectLockConfiguration, "
    "s3:PutObjectRetention, s3:GetObjectRetention, s3:PutObjectLegalHold and s3:GetObjectLegalHold"
)
_REGION = "set evidence.vault.region to the bucket's region"
_FULL = "free space or raise the quota of the store, then repeat: what is there already is not sent again"
_SIGNATURE = ("the secret key is wrong", "check what evidence.vault.secret_key refers to")
_EXPLAINED: Mapping[str, tuple[str, str]] = {
    "SignatureDoesNotMatch": _SIGNATURE,
    "InvalidAccessKeyId": ("the store does not know the access key", "check what evidence.vault.access_key refers to"),
    "ExpiredToken": ("the credentials have expired", "renew them, then repeat"),
    "InvalidToken": ("the session token is not valid", "renew the credentials, then repeat"),
    "NoSuchBucket": ("there is no such bucket", "check evidence.vault.bucket; Snaphold makes no buckets"),
    "AccessDenied": ("the identity may not do this", _RIGHTS),
    "AllAccessDisabled": ("the account is disabled", "ask the owner of the store"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", _REGION),
    "PermanentRedirect": ("the bucket is in another region", _REGION),
    "IllegalLocationConstraintException": ("the bucket is in another region", _REGION),
    "RequestTimeTooSkewed": ("the clocks of this machine and of the store differ too much", "set the clock (NTP), then repeat"),
    "QuotaExceeded": ("the store is full", _FULL),
    "XMinioStorageFull": ("the store is full", _FULL),
    "XMinioAdminBucketQuotaExceeded": ("the bucket's quota is used up", _FULL),
    "InsufficientStorage": ("the store is full", _FULL),
    "EntityTooLarge": ("the object is larger than the store allows", "set a smaller evidence.vault.part_size_mib"),
    "BadDigest": ("the bytes changed on their way to the store", "repeat; if it happens again, look into network and memory"),
    "XAmzContentSHA256Mismatch": ("the bytes changed on their way", "repeat; if it happens again, look into the network"),
    "XAmzContentChecksumMismatch": ("the bytes changed on their way", "repeat; if it happens again, look into the network"),
    "InvalidBucketState": ("the bucket does not allow this in its state", "look at the bucket's versioning and Object Lock"),
    "KMS.DisabledException": ("the encryption key is disabled", "enable it, or name another evidence.vault.kms_key"),
    "KMS.NotFoundException": ("there is no such encryption key", "check evidence.vault.kms_key"),
    "SlowDown": ("the store asks for fewer requests", "wait, then repeat"),
    "ServiceUnavailable": ("the store is overloaded or down", "wait, then repeat"),
}
_BY_STATUS: Mapping[int, str] = {
    301: "PermanentRedirect",
    403: "AccessDenied",
    503: "ServiceUnavailable",
    507: "InsufficientStorage",
}
_SERVER_ERROR = 500
_NOT_FOUND = 404


def code_of(error: ClientError) -> str:
    """Return the store's error code; a bare status of an answer without a body becomes the code it stands for."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return _BY_STATUS.get(status_of(error), code) if code.isdigit() or not code else code


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the answer; 0 when there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_absent(error: ClientError) -> bool:
    """Return whether the answer says that there is no such object; a bucket that is missing is another thing."""
    return status_of(error) == _NOT_FOUND and code_of(error) != "NoSuchBucket"


def may_have_acted(error: Exception) -> bool:
    """Return whether it is open if a call that failed like this took effect: no answer, or an error of the server."""
    if isinstance(error, ClientError):
        return status_of(error) >= _SERVER_ERROR
    return isinstance(error, (ConnectionClosedError, ReadTimeoutError, EndpointConnectionError, ConnectTimeoutError))


@contextmanager
def s3_errors(what: str, settings: VaultSettings) -> Generator[None]:
    """Turn what botocore raises inside into a StorageError about the bucket."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise explain(what, error, settings) from error


def explain(what: str, error: ClientError | BotoCoreError, settings: VaultSettings) -> SnapholdError:
    """Return the error that tells a person what an answer of the store, or its absence, means."""
    place = f"{what} (bucket {settings.bucket} at {settings.endpoint or 'AWS'})"
    if isinstance(error, ClientError):
        return _explain_answer(place, error, settings)
    why = redact(str(error))
    if isinstance(error, SSLError):
        return StorageError(place, why, "set evidence.vault.ca_file to the PEM file of the store's authority")
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return StorageError(
            place, "there are no credentials", "set evidence.vault.access_key and secret_key, or give this machine a role"
        )
    if isinstance(error, (ReadTimeoutError, ConnectionClosedError, ResponseStreamingError)):
        return StorageError(
            place, f"the store did not answer to the end: {why}", "look into the store and the network, then repeat"
        )
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError)):
        return StorageError(place, f"the store cannot be reached: {why}", "check evidence.vault.endpoint and the network")
    return StorageError(place, why, "check the section evidence.vault")


def _explain_answer(place: str, error: ClientError, settings: VaultSettings) -> SnapholdError:
    code = code_of(error)
    told = redact(str(error.response.get("Error", {}).get("Message", "")))
    operation = str(error.operation_name)
    if settings.encryption is not Encryption.BUCKET and status_of(error) == _SERVER_ERROR and operation in _ENCRYPTING:
        return StorageError(
            place,
            f"the store answered {operation} with an error of its own ({code}: {told}); a store without an encryption key "
            f"answers so when encryption {settings.encryption.value} is asked for",
            "give the store a key (SeaweedFS: WEED_S3_SSE_KEY), or set evidence.vault.encryption: bucket",
        )
    why, do = _EXPLAINED.get(code, ("", "look up this code in the manual of the store"))
    region = str(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", ""))
    if region and do is _REGION:
        do = f"set evidence.vault.region: {region}"
    return StorageError(place, f"{why}: {operation} was answered with {code} {told}".lstrip(": ").rstrip(), do)


_ENCRYPTING = frozenset({"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"})
