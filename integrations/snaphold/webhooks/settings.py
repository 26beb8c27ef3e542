"""The sections `webhooks` and `triggers` of snaphold.yaml."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from pydantic import Field, model_validator

from snaphold.clock import Positive
from snaphold.domain.incident import Severity
from snaphold.domain.value import Identifier, Value
from snaphold.secrets import SecretReference

SHORTEST_INTERVAL = timedelta(minutes=1)
"""No schedule is made tighter than this."""


class SourceKind(str, Enum):
    """Which form the deliveries of a webhook have."""

    PAGERDUTY = "pagerduty"
    SERVICENOW = "servicenow"
    ALERTMANAGER = "alertmanager"
    GENERIC = "generic"


class Check(str, Enum):
    """How a delivery proves where it comes from."""

    HMAC = "hmac"
    BEARER = "bearer"


class Webhook(Value):
    """One source of deliveries: how it is recognised, and what its words mean here."""

    name: Identifier = Field(description="Its name, the last part of the address: /v1/webhooks/NAME.", examples=["paging-in"])
    kind: SourceKind = Field(description="pagerduty, servicenow, alertmanager or generic.", examples=["pagerduty"])
    secrets: tuple[SecretReference, ...] = Field(
        min_length=1,
        max_length=5,
        description="Secrets by reference; several while one is being replaced.",
        examples=[["env:PAGERDUTY_WEBHOOK_SECRET"]],
    )
    check: Check = Field(
        default=Check.HMAC,
        description="hmac: a signature over the body; bearer: the secret in the header Authorization. PagerDuty always signs.",
        examples=["hmac"],
    )
    header: str = Field(
        default="X-Snaphold-Signature",
        pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$",
        description="The header with the signature (v1=HEX or sha256=HEX); PagerDuty has its own.",
        examples=["X-Snaphold-Signature"],
    )
    window: Positive = Field(
        default=timedelta(hours=49), description="Older deliveries are refused. PagerDuty repeats for 48 hours.", examples=["49h"]
    )
    person: Identifier = Field(description="In whose name it acts, with that person's roles.", examples=["alerts"])
    integration: Identifier | None = Field(
        default=None, description="The integration of the same system, when there is one.", examples=["paging"]
    )
    mapping: str = Field(
        default="",
        description="For generic: the file that says where in the body everything stands.",
        examples=["mappings/siem.yaml"],
    )
    starts_runs: bool = Field(
        default=True, description="Whether it starts playbooks; false: it only drives triggers.", examples=[True]
    )
    severities: dict[str, Severity] = Field(
        default_factory=dict,
        description="What the source's words for priority, severity or urgency mean here.",
        examples=[{"P1": 1, "P2": 2, "high": 2}],
    )
    severity: Severity | None = Field(
        default=None, description="For deliveries that name none. Left out: they are refused.", examples=[3]
    )
    categories: dict[str, Identifier] = Field(
        default_factory=dict,
        description="What the source's words for the category mean here.",
        examples=[{"Malware": "ransomware"}],
    )
    category: Identifier = Field(
        default="infrastructure-outage",
        description="For deliveries whose category is not listed.",
        examples=["infrastructure-outage"],
    )
    assets: dict[str, tuple[Identifier, ...]] = Field(
        default_factory=dict,
        description="Which assets the source means by a service, host or item. An asset's own id needs no entry.",
        examples=[{"Orders": ["orders-db", "orders-web"]}],
    )
    default_assets: tuple[Identifier, ...] = Field(
        default=(), description="For deliveries that name no asset. Left out: they are refused.", examples=[["orders-db"]]
    )

    @model_validator(mode="after")
    def _kind_fits(self) -> Webhook:
        if self.kind is SourceKind.PAGERDUTY and self.check is not Check.HMAC:
            raise ValueError("PagerDuty signs its deliveries: leave check out")
        if self.kind is SourceKind.GENERIC and not self.mapping:
            raise ValueError("a generic webhook needs a mapping file: mapping: mappings/NAME.yaml")
        return self


class Trigger(Value):
    """What a monitoring system must tell for backup schedules to be tightened, or a playbook to be started."""

    name: Identifier = Field(description="Its name.", examples=["mass-rename"])
    source: Identifier = Field(description="The webhook that it listens to.", examples=["monitoring"])
    match: dict[str, str] = Field(
        min_length=1,
        description="Path in the alert (or body) and the pattern that its text must match; * and ? stand for others.",
        examples=[{"labels.alertname": "MassRename", "labels.site": "north*"}],
    )
    field: str = Field(
        default="", description="Path of a number that is compared with above or below.", examples=["annotations.value"]
    )
    above: float | None = Field(default=None, description="Fires while the number is above this.", examples=[90])
    below: float | None = Field(default=None, description="Fires while the number is below this.", examples=[10])
    assets: tuple[Identifier, ...] = Field(
        default=(),
        description="The assets to protect more often; left out, those that the delivery names.",
        examples=[["files-01"]],
    )
    every: Positive | None = Field(default=None, description="How often they are backed up while it fires.", examples=["15m"])
    lasts: Positive = Field(
        default=timedelta(hours=4),
        description="How long after the last firing, when nobody says that it is over.",
        examples=["4h"],
    )
    playbook: Identifier | None = Field(
        default=None,
        description="A playbook to start when it fires, whatever the severities say.",
        examples=["ransomware-response"],
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Trigger:
        if self.every is None and self.playbook is None:
            raise ValueError("a trigger needs every (a tighter schedule), a playbook, or both")
        if self.every is not None and self.every < SHORTEST_INTERVAL:
            raise ValueError("every must be at least 1m")
        limits = [limit for limit in (self.above, self.below) if limit is not None]
        if bool(self.field) != bool(limits):
            raise ValueError("a threshold needs field, and above or below")
        return self
