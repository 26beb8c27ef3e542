"""Criticality tiers: the outcome of the business impact analysis, as data."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from snaphold.clock import Duration
from snaphold.domain.value import Identifier, Value


class Tier(Value):
    """One tier of the business impact analysis."""

    id: Identifier = Field(description="The tier's name.", examples=["T0"])
    level: int = Field(ge=0, le=9, description="0 is the most critical; what is lower goes first.", examples=[0])
    impact: str = Field(min_length=1, description="What the business loses.", examples=["No orders can be taken."])
    rto: Duration = Field(description="Recovery time objective.", examples=["1h"])
    rpo: Duration = Field(description="Recovery point objective.", examples=["15m"])
    acknowledge_within: Duration = Field(
        default=timedelta(minutes=15), description="How soon the backup team must answer.", examples=["15m"]
    )
    start_within: Duration = Field(
        default=timedelta(minutes=30), description="How soon after the incident the backup must start.", examples=["30m"]
    )
    protect_within: Duration | None = Field(
        default=None, description="How soon a whole restore point must exist; left out, within the RTO.", examples=["4h"]
    )
    approvals: int = Field(default=1, ge=1, le=9, description="People who must approve a high-risk step.", examples=[1])
