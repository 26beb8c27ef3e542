"""One account and region of AWS: its address, its sign-in, and the services that are opened there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from snaphold.config import Configuration, Integration
from snaphold.errors import InputError, MissingToolError
from snaphold.http_guard import PRODUCT_CALLS_PER_RUN, budget_of
from snaphold.http_session import check_address
from snaphold.platforms.credentials import credential
from snaphold.providers.aws_session import POLICY, AwsService
from snaphold.secrets import redact, remember

LONGEST_CONNECT_SECONDS = 10.0
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.")
_SETTINGS = frozenset({"region", "sts_endpoint", "ssm_endpoint", "role_arn"})


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
        self._budget = budget_of("", integration.name, integration.calls_per_run or PRODUCT_CALLS_PER_RUN)
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
