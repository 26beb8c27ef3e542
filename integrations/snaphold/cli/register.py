"""Opens the register for commands that only look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snaphold.config import Configuration
    from snaphold.ledger.database import DatabaseLedger


def open_register(config: Path | None) -> tuple[Configuration, DatabaseLedger | None]:
    """Return the configuration and its ledger, opened without writing; None when nothing was ever recorded.

    Whoever can read the file may look: no person of the configuration is needed.
    """
    from snaphold.clock import SystemClock
    from snaphold.config import load_configuration
    from snaphold.ledger import open_ledger

    configuration = load_configuration(config)
    if not configuration.database and not (configuration.state_folder / "ledger.sqlite").exists():
        return configuration, None
    return configuration, open_ledger(configuration, SystemClock(), read_only=True)
