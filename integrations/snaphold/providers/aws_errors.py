"""Refusals of AWS, and answers that never came, as errors that say what, why and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from snaphold.errors import CapacityError, InputError, NotAuthorisedError, ProviderError, SnapholdError
from snaphold.secrets import redact

_SERVER_ERROR = 500
_KEPT_CHARACTERS = 500
_SIGN_IN = "check the credentials of the integration, and the clock of this machine"
_SIGN_IN_CODES: Mapping[str, str] = {
    "AuthFailure": "the access key is not valid",
    "InvalidClientTokenId": "AWS does not know the access key",
    "InvalidAccessKeyId": "AWS does not know the access key",
    "UnrecognizedClientException": "AWS does not know the access key or the session token",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "InvalidSignatureException": "the secret key is wrong, or the clock of this machine is",
    "IncompleteSignature": "the signature is not complete",
    "MissingAuthenticationToken": "nothing proves who we are",
    "MissingAuthenticationTokenException": "nothing proves who we are",
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "RequestExpired": "the session token has expired, or the clock of this machine is wrong",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "OptInRequired": "the account is not signed up for this service or region",
}
DENIED = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})
THROTTLED = frozenset(
    {
        "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException", "RequestThrottled",
        "RequestThrottledException", "SlowDown", "SnapshotCreationPerVolumeRateExceeded",
    }
)  # fmt: skip
"""Refused before anything was done: every call may be made again after a pause."""
_FULL: Mapping[str, str] = {
    "SnapshotLimitExceeded": "the account has as many snapshots as its quota allows",
    "LimitExceededException": "a quota of AWS Backup is used up",
    "ResourceLimitExceeded": "a quota of the account is used up",
}
_BUSY: Mapping[str, str] = {
    "ConcurrentSnapshotLimitExceeded": "as many snapshots of the volume are being made as AWS allows at once",
    "PendingSnapshotLimitExceeded": "as many snapshots are being made as AWS allows at once",
}
_UNKNOWN_CALLS = frozenset({"InvalidAction", "UnknownOperationException", "UnknownOperation"})
_EXPLAINED: Mapping[str, tuple[str, str]] = {
    "InvalidSnapshot.InUse": ("an image (AMI) or a volume uses it", "deregister the image first, if nobody needs it"),
    "IncorrectState": ("it is not in a state that allows this", "wait until it is complete, then repeat"),
    "InvalidInstanceID.NotFound": ("AWS has no such instance in this region", "correct protection.workloads of the asset"),
    "InvalidInstanceID.Malformed": ("it is no id of an instance", "correct protection.workloads of the asset"),
    "InvalidInstanceId": ("Systems Manager does not manage the instance", "install the SSM agent and its instance profile"),
    "UnsupportedPlatformType": ("the document does not run on the instance's platform", "set consistency: crash on the pool"),
    "InvalidDocument": ("Systems Manager has no such document", "correct vss_document of the pool"),
    "InvalidResourceStateException": (
        "AWS Backup keeps it: a vault lock, a legal hold, or work in progress", "wait until the lock ends or release the hold",
    ),
}  # fmt: skip


class AwsError(ProviderError):
    """AWS refused, or did not answer. `code` is its own word; `may_have_acted` when the effect is open."""

    def __init__(
        self, what: str, why: str | None = None, do: str | None = None, *, code: str = "", may_have_acted: bool = False
    ) -> None:
        super().__init__(what, why, do, retryable=not may_have_acted and (not code or code in THROTTLED))
        self.code = code
        self.may_have_acted = may_have_acted


class AwsDeniedError(NotAuthorisedError):
    """The identity may not make this call. `code` is AWS's own word."""

    def __init__(self, what: str, why: str | None = None, do: str | None = None, *, code: str = "") -> None:
        super().__init__(what, why, do)
        self.code = code


def code_of(error: Exception) -> str:
    """Return AWS's error code of what botocore or this module raised; empty when there was no answer."""
    if isinstance(error, (AwsError, AwsDeniedError)):
        return error.code
    answer = cast("Mapping[str, Any]", getattr(error, "response", None) or {})
    return str(answer.get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """Return the HTTP status of the answer; 0 when there is none."""
    answer = cast("Mapping[str, Any]", getattr(error, "response", None) or {})
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def request_id_of(error: Exception) -> str:
    """Return the id by which AWS's support finds the call; empty when there is none."""
    answer = cast("Mapping[str, Any]", getattr(error, "response", None) or {})
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))


def explain(error: Exception, service: str, operation: str, integration: str) -> SnapholdError:
    """Return the error that tells a person what an answer of AWS, or its absence, means."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return _explain_answer(error, service, operation, integration)
    return _explain_silence(error, service, operation, integration)


def not_understood(service: str, operation: str, lacks: str) -> AwsError:
    """Return the error of an answer that lacks what it must hold: what AWS did is then not known."""
    return AwsError(
        f"the answer of {service} to {operation} is not understood",
        f"it has no {lacks}",
        "check that url is the regional endpoint of the service, and what stands between",
        may_have_acted=True,
    )


def _explain_answer(error: Exception, service: str, operation: str, integration: str) -> SnapholdError:
    code, told = code_of(error), redact(str(_told(error)))[:_KEPT_CHARACTERS]
    said = f"{operation} was answered with {code}: {told}".rstrip(": ")
    if code in _SIGN_IN_CODES:
        return AwsDeniedError(
            f"{integration} does not accept the sign-in", f"{_SIGN_IN_CODES[code]}: {said}", _SIGN_IN, code=code
        )
    if code in DENIED:
        return AwsDeniedError(
            f"{integration} does not allow {operation}",
            said,
            f"give the identity the right {_right(service, operation)}",
            code=code,
        )
    if code in THROTTLED:
        return AwsError(f"{service} takes no more calls now", said, "wait, then repeat", code=code)
    if code in _FULL:
        return CapacityError(f"{service} has no room for this", f"{_FULL[code]}: {said}", "raise the quota, then repeat")
    if code in _BUSY:
        return AwsError(f"{service} is busy with earlier work", f"{_BUSY[code]}: {said}", "wait until it ends", code=code)
    if code in _UNKNOWN_CALLS:
        return AwsError(
            f"{service} at this address does not know {operation}",
            said,
            "check url: not every endpoint, region or Outpost has every call",
            code=code,
        )
    if status_of(error) >= _SERVER_ERROR:
        return AwsError(f"{service} failed", said, "repeat later", code=code, may_have_acted=True)
    why, do = _EXPLAINED.get(code, ("", ""))
    kms = "KMS" in code
    return AwsError(
        f"{service} refused {operation}",
        f"{why}: {said}" if why else said,
        do or ("check the key of the encryption and its policy" if kms else None),
        code=code,
    )


def _explain_silence(error: Exception, service: str, operation: str, integration: str) -> SnapholdError:
    from botocore import exceptions

    why = redact(str(error))[:_KEPT_CHARACTERS]
    if isinstance(error, exceptions.ParamValidationError):
        return InputError(f"{service} does not take this input of {operation}", why)
    if isinstance(
        error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.CredentialRetrievalError)
    ):
        return AwsDeniedError(
            f"{integration} has no credentials", why, "set access_key and secret_key, or give this machine a role"
        )
    if isinstance(error, exceptions.SSLError):
        return AwsError(
            f"the certificate of {integration} is not trusted",
            why,
            "correct url, or set ca_file to the PEM file of the authority between",
        )
    if isinstance(error, (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError, exceptions.ProxyConnectionError)):
        return AwsError(f"{integration} cannot be reached", why, "check url and the network")
    return AwsError(
        f"{integration} did not answer {operation} to the end", why, "look into the network, then repeat", may_have_acted=True
    )


def _told(error: Exception) -> str:
    answer = cast("Mapping[str, Any]", getattr(error, "response", None) or {})
    return str(answer.get("Error", {}).get("Message", ""))


def _right(service: str, operation: str) -> str:
    return f"{service}:{''.join(part.capitalize() for part in operation.split('_'))}"
