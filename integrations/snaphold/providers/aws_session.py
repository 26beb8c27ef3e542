"""Calls to one AWS service at one address: sign-in, time limits, retries, circuit breaker, budget.

Reads, and writes of which a repeat does no harm, are repeated by botocore (standard mode). A write that makes something
new without a key of its own is sent once; only what AWS surely refused before acting is sent again.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from snaphold.config import Configuration, Integration
from snaphold.errors import InputError, MissingToolError, ProviderError
from snaphold.http_guard import CallBudget, breaker_of, budget_of
from snaphold.http_policy import RetryPolicy
from snaphold.http_session import check_address
from snaphold.platforms.credentials import credential
from snaphold.providers.aws_errors import (
    DENIED,
    THROTTLED,
    AwsDeniedError,
    AwsError,
    code_of,
    explain,
    not_understood,
    request_id_of,
    status_of,
)
from snaphold.secrets import redact, remember

log = logging.getLogger(__name__)
Members = dict[str, Any]
POLICY = RetryPolicy("aws", attempts=4, reads=frozenset(), keyed=frozenset(), pause=0.5)
"""The pauses of what we repeat ourselves: refused single writes, and second looks for tags that appear late."""
LONGEST_CONNECT_SECONDS = 10.0
_SERVER_ERROR = 500
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.")
_SETTINGS = frozenset({"region", "sts_endpoint", "ssm_endpoint", "role_arn"})


class AwsService:
    """One service of one account and region, as one identity."""

    def __init__(self, service: str, client: Any, single: Any, integration: Integration, budget: CallBudget) -> None:
        self.service = service
        self.region = str(client.meta.region_name)
        self._client = client
        self._single = single
        self._integration = integration.name
        self._budget = budget
        self._breaker = breaker_of(urlsplit(str(client.meta.endpoint_url)).netloc)

    def read(self, operation: str, must: str = "", **parameters: Any) -> Members:
        """Return the answer to a call that changes nothing, or of which a repeat does no harm.

        `must` names a member without which the answer is not one. Raises AwsError, AwsDeniedError or CapacityError.
        """
        try:
            return self._checked(operation, must, self._call(self._client, operation, parameters))
        except AwsError as error:
            error.retryable = error.retryable or error.may_have_acted  # doing it again does no harm
            raise

    def write(self, operation: str, must: str = "", **parameters: Any) -> Members:
        """Make a call of which a repeat does no harm (it sets something, or carries a key); raises what `read` does."""
        return self.read(operation, must, **parameters)

    def write_once(self, operation: str, must: str, **parameters: Any) -> Members:
        """Make a call that must not be made twice; only what was refused for being too many is made again.

        Raises AwsError with `may_have_acted` when the effect is open: look it up.
        """
        for attempt in range(1, POLICY.attempts + 1):
            try:
                return self._checked(operation, must, self._call(self._single, operation, parameters))
            except AwsError as error:
                if error.code not in THROTTLED or attempt == POLICY.attempts:
                    raise
            time.sleep(POLICY.pause_before(attempt))
        raise AssertionError("unreachable")  # the last attempt returns or raises

    def pages(self, operation: str, member: str, **parameters: Any) -> Iterator[Members]:
        """Return every item of a list, over all of its pages; raises what `read` does."""
        parameters = dict(parameters)
        while True:
            answer = self.read(operation, member, **parameters)
            yield from cast("list[Members]", answer[member])
            following = str(answer.get("NextToken") or "")
            if not following:
                return
            if following == parameters.get("NextToken"):
                raise not_understood(self.service, operation, "next page: the list goes in a circle")
            parameters["NextToken"] = following

    def may(self, operation: str, **parameters: Any) -> bool:
        """Return whether a dry run of a call of EC2 is not refused for want of the right. Nothing is ever changed."""
        try:
            self.read(operation, DryRun=True, **parameters)
        except AwsError as error:
            if not error.code:
                raise
        except AwsDeniedError as error:
            if error.code in DENIED:
                return False
            raise
        return True

    def _checked(self, operation: str, must: str, answer: Members) -> Members:
        # Pages of gateways come with status 200 too; whatever AWS itself answers bears the id of the request.
        if not answer.get("ResponseMetadata", {}).get("RequestId"):
            raise not_understood(self.service, operation, "request id, so that it is not one of AWS")
        if must and must not in answer:
            raise not_understood(self.service, operation, must)
        return answer

    def _call(self, client: Any, operation: str, parameters: Mapping[str, Any]) -> Members:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        self._budget.take()
        self._breaker.enter()
        began = time.monotonic()
        try:
            answer = cast("Members", getattr(client, operation)(**parameters))
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            answered = isinstance(error, ClientError) and status_of(error) < _SERVER_ERROR
            self._breaker.succeeded() if answered else self._breaker.failed()
            if code_of(error) != "DryRunOperation":
                self._log(operation, error, began)
            raise explain(error, self.service, operation, self._integration) from error
        self._breaker.succeeded()
        return answer

    def _log(self, operation: str, error: Exception, began: float) -> None:
        told = {
            "event": "aws call failed",
            "integration": self._integration,
            "service": self.service,
            "region": self.region,
            "operation": operation,
            "status": status_of(error),
            "code": code_of(error) or type(error).__name__,
            "request_id": request_id_of(error),
            "seconds": round(time.monotonic() - began, 3),
        }
        log.warning("%s", redact(json.dumps(told)))


class AwsAccount:
    """Opens the services of one integration. Nothing is sent before the first call, except to take on a role."""

    def __init__(self, integration: Integration, configuration: Configuration) -> None:
        unknown = sorted(set(integration.settings) - _SETTINGS)
        if unknown:
            raise InputError(
                f"{integration.name} has settings that AWS has no use for: {', '.join(unknown)}",
                f"known: {', '.join(sorted(_SETTINGS))}",
                "correct settings in snaphold.yaml",
            )
        self.integration = integration
        self.address = check_address(integration.url)
        self.region = _region_of(integration)
        self._configuration = configuration
        self._budget = budget_of("", integration.name, integration.calls_per_run)
        self._verify = _authority(integration, configuration)
        self._keys: dict[str, str] | None = None

    def open(self, service: str) -> AwsService:
        """Return EC2 or AWS Backup at the integration's address.

        Raises MissingToolError without boto3, InputError when the address is another service's.
        """
        host = urlsplit(self.address).hostname or ""
        if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) and service not in host.split("."):
            raise InputError(
                f"{self.integration.name} has the address of another service",
                f"{host} is not {service}",
                f"write https://{service}.{self.region}.amazonaws.com",
            )
        return self._open(service, self.address)

    def open_beside(self, service: str) -> AwsService:
        """Return another service (sts, ssm) of the same account and region, at its own address."""
        return self._open(service, self.integration.settings.get(f"{service}_endpoint", ""))

    def who(self) -> tuple[str, str]:
        """Return the account and the identity as which we are signed in."""
        answer = self.open_beside("sts").read("get_caller_identity", "Arn")
        return str(answer.get("Account", "")), str(answer["Arn"])

    def _open(self, service: str, address: str) -> AwsService:
        return self._connect(service, address, self._credentials())

    def _connect(self, service: str, address: str, keys: Mapping[str, str]) -> AwsService:
        try:
            import boto3
            import botocore.session
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise MissingToolError("AWS needs the Python package boto3", str(error), "pip install 'snaphold[aws]'") from error
        from snaphold.providers.aws_models import shared_loader

        seconds = self.integration.timeout.total_seconds()

        bare: Any = botocore.session.Session()
        bare.register_component("data_loader", shared_loader())
        session: Any = boto3.session.Session(botocore_session=bare, region_name=self.region, **cast("Any", keys))

        def connect(attempts: int) -> Any:
            return session.client(
                service,
                endpoint_url=check_address(address) if address else None,
                verify=self._verify,
                config=Config(
                    connect_timeout=min(seconds, LONGEST_CONNECT_SECONDS),
                    read_timeout=seconds,
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    user_agent_extra="snaphold",
                ),
            )

        try:
            return AwsService(service, connect(POLICY.attempts), connect(1), self.integration, self._budget)
        except (BotoCoreError, ValueError) as error:
            raise InputError(f"{self.integration.name} cannot be set up", redact(str(error)), "check url and settings") from error

    def _credentials(self) -> dict[str, str]:
        """Return the keys of the configuration, or of the role that they may take on; none: the machine's own role."""
        if self._keys is not None:
            return self._keys
        given, base = self.integration.credentials, self._configuration.base
        keys: dict[str, str] = {}
        if {"access_key", "secret_key"} & set(given):
            keys = {
                "aws_access_key_id": credential(self.integration, "access_key", base),
                "aws_secret_access_key": credential(self.integration, "secret_key", base),
            }
            if "session_token" in given:
                keys["aws_session_token"] = credential(self.integration, "session_token", base)
        role = self.integration.settings.get("role_arn", "")
        self._keys = self._take_role(role, keys) if role else keys
        return self._keys

    def _take_role(self, role: str, keys: Mapping[str, str]) -> dict[str, str]:
        parameters: dict[str, str] = {"RoleArn": role, "RoleSessionName": "snaphold"}
        if "external_id" in self.integration.credentials:
            parameters["ExternalId"] = credential(self.integration, "external_id", self._configuration.base)
        sts = self._connect("sts", self.integration.settings.get("sts_endpoint", ""), keys)
        got = cast("dict[str, str]", sts.read("assume_role", "Credentials", **parameters)["Credentials"])
        remember(got["SecretAccessKey"])
        remember(got["SessionToken"])
        return {
            "aws_access_key_id": got["AccessKeyId"],
            "aws_secret_access_key": got["SecretAccessKey"],
            "aws_session_token": got["SessionToken"],
        }


def pause_for_tags(look: int) -> None:
    """Wait before look number 1, 2, ... at tags: AWS shows what was just tagged with a delay."""
    time.sleep(POLICY.pause_before(look))


def check_settings(settings: Mapping[str, str], known: frozenset[str], pool: str) -> None:
    """Raise InputError when a pool has settings that nobody reads."""
    unknown = sorted(set(settings) - known)
    if unknown:
        raise InputError(
            f"the pool {pool} has settings that nobody reads: {', '.join(unknown)}",
            f"known: {', '.join(sorted(known))}",
            "correct settings of the pool in snaphold.yaml",
        )


def unknown_job(job: str, pool: str) -> ProviderError:
    """Return the error of a job that AWS does not show."""
    return ProviderError(
        f"there is no job {job} in pool {pool}",
        "AWS shows nothing that bears its mark",
        "check the job's id; what was deleted cannot be asked any more",
    )


def _region_of(integration: Integration) -> str:
    found = _REGION.search(urlsplit(integration.url).hostname or "")
    region = integration.settings.get("region") or (found[1] if found else "")
    if not region:
        raise InputError(f"the region of {integration.name} is not known", None, "add region to its settings, e.g. eu-west-1")
    return region


def _authority(integration: Integration, configuration: Configuration) -> str | None:
    if not integration.ca_file:
        return None
    path = configuration.path(integration.ca_file)
    if not path.is_file():
        raise InputError(f"the certificate file {path} does not exist", do="correct ca_file in snaphold.yaml")
    return str(path)
