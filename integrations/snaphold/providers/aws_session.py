"""Calls to one AWS service at one address: sign-in, time limits, retries, circuit breaker, budget.

Reads, and writes of which a repeat does no harm, are repeated by botocore (standard mode). A write that makes something
new without a key of its own is sent once; only what AWS surely refused before acting is sent again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from snaphold.config import Integration
from snaphold.errors import InputError, ProviderError
from snaphold.http_guard import CallBudget, breaker_of
from snaphold.http_policy import RetryPolicy
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
from snaphold.secrets import redact

log = logging.getLogger(__name__)
Members = dict[str, Any]
POLICY = RetryPolicy("aws", attempts=4, reads=frozenset(), keyed=frozenset(), pause=0.5)
"""The pauses of what we repeat ourselves: refused single writes, and second looks for tags that appear late."""
_SERVER_ERROR = 500


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
