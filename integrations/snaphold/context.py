"""What an action is given besides its input: nothing in the product is global."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from snaphold.clock import Clock
from snaphold.config import Configuration
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.domain.value import Value
from snaphold.errors import InputError
from snaphold.repeated import Repeat

if TYPE_CHECKING:
    from snaphold.ledger.ledger import Ledger
    from snaphold.providers.base import Provider


class Attempt(str, Enum):
    """Whether this is the first attempt under the key, or one that took over from a lost owner."""

    FRESH = "fresh"
    TAKEN_OVER = "taken_over"


def _silent(_text: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Context:
    """The surroundings of one action.

    `key` is the idempotency key (incident/step/asset/generation) under which the action runs; `staged` are register
    records that are written in the same transaction as the outcome; with `retry_failed` a key that ended in a clean
    failure (never an unknown one) is tried again; `repeat` is set when the same question was asked before, and keeps an
    answer without news out of the audit trail.
    """

    configuration: Configuration
    incident: Incident
    actor: Actor
    clock: Clock
    ledger: Ledger
    justification: str = ""
    run: str = ""
    key: str = ""
    attempt: Attempt = Attempt.FRESH
    retry_failed: bool = False
    repeat: Repeat | None = None
    dry_run: bool = False
    progress: Callable[[str], None] = _silent
    staged: list[Value] = field(default_factory=lambda: [])

    def stage(self, record: Value) -> None:
        """Have a register record (restore point, hold, grant, ...) written together with the outcome of this action."""
        self.staged.append(record)

    def provider(self, pool: str) -> Provider:
        """Return the backup engine of a pool, set on this incident's own repository. Raises InputError if unknown."""
        from snaphold.http_guard import acting_in
        from snaphold.providers.registry import open_provider

        for candidate in self.configuration.pools:
            if candidate.name == pool:
                with acting_in(self.run):
                    return open_provider(candidate, self.configuration, self.incident.id, self.clock)
        known = ", ".join(pool.name for pool in self.configuration.pools) or "none"
        raise InputError(f"there is no pool {pool!r}", f"configured: {known}", "add it under pools in snaphold.yaml")
