"""Records of runs and approval requests that differ in nothing but their numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from snaphold.domain.authority import Approval
from snaphold.engine.run import Run
from support.ledgers import NOW


def run(number: int, incident: str = "INC-1", **changes: Any) -> Run:
    """Return a run of that number."""
    return Run(
        id=f"RUN-{number:08d}", incident=incident, playbook="p", version="1.0.0", digest="0" * 64, requested_by="ana",
        started_at=NOW, **changes,
    )  # fmt: skip


def approval(number: int, incident: str = "INC-1", ask: str = "Go on?", **changes: Any) -> Approval:
    """Return a request of that number that waits for an hour."""
    return Approval(
        id=f"APR-{number:08d}", incident=incident, step="gate", ask=ask, asked_of="group/managers", requested_by="ana",
        requested_at=NOW, expires_at=NOW + timedelta(hours=1), **changes,
    )  # fmt: skip
