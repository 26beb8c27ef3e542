"""The section service of the configuration: where people reach the service, and how much one caller may ask of it."""

from __future__ import annotations

from pydantic import Field

from snaphold.domain.value import Identifier, Value


class ServiceSettings(Value):
    """The service as its callers see it. Where it listens is said at its start."""

    address: str = Field(
        default="",
        max_length=500,
        pattern=r"^(https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*[A-Za-z0-9_~-])?)?$",
        description="Its address for people, without a slash at the end; stands in links to its pages.",
        examples=["https://snaphold.example.org"],
    )
    requests_per_second: float = Field(
        default=100.0, gt=0, le=100_000, description="Requests that one token may make for long.", examples=[50.0]
    )
    burst: int = Field(default=500, ge=1, le=1_000_000, description="Requests that one token may make at once.", examples=[200])
    refusals_per_minute: int = Field(
        default=60,
        ge=1,
        le=1_000_000,
        description="Callers without a valid token, and deliveries that a webhook refuses, from one address: so many hear why.",
        examples=[60],
    )
    follows_cases_as: Identifier | None = Field(
        default=None,
        description="The person in whose name the service looks at open cases by itself, in every integration; left out: that of "
        "the first webhook with an integration, and without one nobody looks.",
        examples=["alerts"],
    )

    def link(self, path: str) -> str:
        """Return the address of one of the service's pages; empty when no address is configured."""
        return f"{self.address}{path}" if self.address else ""
