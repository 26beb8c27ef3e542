"""The audit chain, idempotency with lease and fence, and the registers; SQLite (WAL) through SQLAlchemy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snaphold.clock import Clock
    from snaphold.config import Configuration
    from snaphold.ledger.database import DatabaseLedger


def open_ledger(configuration: Configuration, clock: Clock, *, read_only: bool = False) -> DatabaseLedger:
    """Return the configuration's ledger; see `DatabaseLedger.open`. Raises MissingToolError without SQLAlchemy."""
    from snaphold.errors import MissingToolError

    try:
        from snaphold.ledger.database import DatabaseLedger
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed", "the ledger needs it", "pip install 'snaphold[run]'"
        ) from error
    return DatabaseLedger.open(configuration, clock, read_only=read_only)
