"""Refusals of an object store in words: each names why and what to do, and repeats no secret."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from snaphold.errors import StorageError
from snaphold.secrets import remember
from snaphold.vault.s3_errors import is_absent, may_have_acted, s3_errors
from snaphold.vault.settings import VaultSettings

SETTINGS = VaultSettings(kind="s3", bucket="vault", endpoint="https://s3.example.org")


def answer(code: str, status: int, operation: str = "GetObject", message: str = "", **headers: str) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "HTTPHeaders": {name.replace("_", "-"): value for name, value in headers.items()},
        },
    }
    return ClientError(response, operation)


def explained(error: Exception) -> StorageError:
    with pytest.raises(StorageError) as caught, s3_errors("x cannot be put", SETTINGS):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "why", "do"),
    [
        (answer("SignatureDoesNotMatch", 403), "the secret key is wrong", "secret_key"),
        (answer("AccessDenied", 403), "may not do this", "s3:PutObjectRetention"),
        (answer("403", 403), "may not do this", "s3:PutObject"),
        (answer("NoSuchBucket", 404), "no such bucket", "evidence.vault.bucket"),
        (answer("PermanentRedirect", 301, x_amz_bucket_region="eu-west-1"), "another region", "region: eu-west-1"),
        (answer("AuthorizationHeaderMalformed", 400), "another region", "evidence.vault.region"),
        (answer("RequestTimeTooSkewed", 403), "clocks", "NTP"),
        (answer("XMinioStorageFull", 507), "full", "raise the quota"),
        (answer("", 507), "full", "raise the quota"),
        (answer("Strange", 400), "Strange", "manual"),
        (answer("InternalError", 500, "PutObject"), "without an encryption key", "encryption: bucket"),
        (EndpointConnectionError(endpoint_url="https://s3.example.org"), "cannot be reached", "endpoint"),
        (ReadTimeoutError(endpoint_url="https://s3.example.org"), "did not answer to the end", "repeat"),
        (SSLError(endpoint_url="https://s3.example.org", error=OSError("self-signed")), "self-signed", "ca_file"),
        (NoCredentialsError(), "no credentials", "access_key"),
    ],
)
def test_each_refusal_has_its_reason_and_its_remedy(error: Exception, why: str, do: str) -> None:
    told = explained(error)
    assert "bucket vault at https://s3.example.org" in told.what
    assert why in str(told.why)
    assert do in str(told.do)


def test_a_secret_in_an_answer_is_hidden() -> None:
    remember("s3cr3t-of-the-vault")
    assert "s3cr3t-of-the-vault" not in str(explained(answer("Strange", 400, message="bad key s3cr3t-of-the-vault")))


@pytest.mark.parametrize(
    ("error", "open_"),
    [
        (ConnectionClosedError(endpoint_url="x"), True),
        (ReadTimeoutError(endpoint_url="x"), True),
        (answer("InternalError", 500), True),
        (answer("AccessDenied", 403), False),
        (answer("InvalidBucketState", 409), False),
    ],
)
def test_only_a_lost_answer_leaves_open_whether_a_put_took_effect(error: Exception, open_: bool) -> None:
    assert may_have_acted(error) is open_


def test_a_bucket_that_is_missing_is_not_an_object_that_is_absent() -> None:
    assert is_absent(answer("404", 404))
    assert is_absent(answer("NoSuchKey", 404))
    assert not is_absent(answer("NoSuchBucket", 404))
