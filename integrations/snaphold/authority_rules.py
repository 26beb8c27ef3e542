"""The rules of emergency authority, as data: what needs a grant, and which change covers what is done without approval."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from snaphold.clock import Positive
from snaphold.domain.value import Identifier, Value


class ChangeRule(Value):
    """How emergency backups are covered in the change system. Nothing waits for it: the approval gates decide."""

    integration: Identifier = Field(description="The integration of the change system.", examples=["itsm"])
    standard: str = Field(
        default="",
        max_length=160,
        description="Name of the pre-approved change; left out, or not usable: an emergency change is opened.",
        examples=["Emergency backup of a server"],
    )


class Authority(Value):
    """What needs a grant, how long a grant may last, and the change that covers what is done without one."""

    grant_required: tuple[str, ...] = Field(default=(), description="Actions or patterns.", examples=[["backup.start"]])
    longest_grant: Positive = Field(default=timedelta(hours=8), description="No grant lasts longer.", examples=["8h"])
    change: ChangeRule | None = Field(
        default=None,
        description="Left out: the audit trail alone records emergency backups, and no change is opened.",
        examples=[{"integration": "itsm", "standard": "Emergency backup of a server"}],
    )
