"""Puts the parts together for one process: configuration, ledger, clock, actor. Everything else is handed a Context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.clock import Clock, SystemClock
from snaphold.config import Configuration, load_configuration
from snaphold.context import Context
from snaphold.documents import load_document, read_model
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.identity import resolve_actor
from snaphold.ledger import open_ledger

if TYPE_CHECKING:
    from snaphold.ledger.database import DatabaseLedger


def _silent(_text: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Runtime:
    """One process's view of the product."""

    configuration: Configuration
    ledger: DatabaseLedger
    clock: Clock
    actor: Actor

    def context(
        self,
        incident: Incident,
        *,
        justification: str = "",
        run: str = "",
        key: str = "",
        dry_run: bool = False,
        progress: Callable[[str], None] = _silent,
    ) -> Context:
        """Return the surroundings for one action of an incident."""
        return Context(
            configuration=self.configuration,
            incident=incident,
            actor=self.actor,
            clock=self.clock,
            ledger=self.ledger,
            justification=justification,
            run=run,
            key=key,
            dry_run=dry_run,
            progress=progress,
        )


def open_runtime(config: Path | None = None, acting_as: str | None = None) -> Runtime:
    """Read the configuration, open the ledger (made when missing) and resolve the actor.

    Raises ConfigurationError, NotAuthorisedError, MissingToolError (extra not installed) or StorageError.
    """
    configuration = load_configuration(config)
    actor = resolve_actor(configuration, acting_as)
    clock = SystemClock()
    return Runtime(configuration, open_ledger(configuration, clock), clock, actor)


def load_incident(path: Path) -> Incident:
    """Return the incident in a JSON or YAML file. Raises DocumentError with file:line:column and field."""
    return read_model(Incident, load_document(path, "incident"), "incident")
