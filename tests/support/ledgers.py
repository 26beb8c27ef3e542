"""A small configuration with people, roles, a signing key and a trust folder; contexts and ledgers on it."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from snaphold.clock import Clock, FixedClock
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.evidence.signature import create_key
from snaphold.evidence.trust import write_trust
from snaphold.identity import actor_of
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.ledger import Ledger
from snaphold.ledger.schema import TRIGGERS

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
INCIDENT = Incident(id="INC-1", title="Ransomware", severity=1, category="ransomware", declared_at=NOW, assets=("orders-db",))


def configure(folder: Path, *, sign: bool = True, **changes: Any) -> Configuration:
    """Return a configuration in `folder`; with `sign` the key and the trust folder exist."""
    document: dict[str, Any] = {
        "organisation": {"name": "Example Ltd"},
        "tiers": [
            {"id": "T0", "level": 0, "impact": "No orders.", "rto": "1h", "rpo": "15m", "approvals": 2},
            {"id": "T1", "level": 1, "impact": "Slow.", "rto": "8h", "rpo": "4h"},
        ],
        "assets": [
            {"id": "orders-db", "kind": "database", "tier": "T0", "owner": "orders"},
            {"id": "files-01", "kind": "file-share", "tier": "T1", "owner": "office"},
        ],
        "people": [
            {"id": "ana", "name": "Ana Ruiz", "logins": ["ana"]},
            {"id": "ben", "name": "Ben Okoro", "logins": ["ben"]},
            {"id": "cleo", "name": "Cleo Lind", "logins": ["cleo"]},
        ],
        "roles": [
            {"name": "analyst", "members": ["ana"], "may": ["toy.*", "authority.*", "triage.*"]},
            {"name": "reader", "members": ["ben"], "may": ["toy.read"]},
            {"name": "backup-emergency", "may": ["toy.*"]},
        ],
        **changes,
    }
    configuration = Configuration.model_validate(document).placed_at(folder)
    if sign:
        public = create_key(folder / "keys/custodian")
        write_trust(configuration, public, NOW)
    return configuration


def actor(configuration: Configuration, person: str = "ana") -> Actor:
    """Return a person of the configuration as the actor."""
    return actor_of(configuration, next(known for known in configuration.people if known.id == person), person)


def make_context(configuration: Configuration, ledger: Ledger, clock: Clock, *, person: str = "ana", **changes: Any) -> Context:
    """Return a context of INCIDENT for a person."""
    fields: dict[str, Any] = {"key": "INC-1/step/-/1", **changes}
    return Context(configuration, INCIDENT, actor(configuration, person), clock, ledger, **fields)


def open_test_ledger(folder: Path, clock: Clock | None = None) -> DatabaseLedger:
    """Return a ledger at `folder/ledger.sqlite`."""
    return DatabaseLedger(folder / "ledger.sqlite", clock or FixedClock(NOW))


def note(key: str = "", **changes: Any) -> NewEntry:
    """Return an entry of ana about toy.start."""
    fields: dict[str, Any] = {
        "event": Event.INTENT, "actor": "ana", "incident": "INC-1", "action": "toy.start", "key": key, "inputs_digest": "d1",
        **changes,
    }  # fmt: skip
    return NewEntry(**fields)


def outcome(key: str = "", value: str = "succeeded", **changes: Any) -> NewEntry:
    """Return the outcome that belongs to `note(key)`."""
    return note(key, event=Event.OUTCOME, outcome=value, **changes)


def copy_ledger(ledger: DatabaseLedger, target: Path) -> Path:
    """Copy a ledger's file with everything that is still in its journal; return the copy's path."""
    target.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(ledger.path) as source, sqlite3.connect(target / "ledger.sqlite") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    return target / "ledger.sqlite"


def tamper(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Run SQL on a ledger file as somebody would who owns it: triggers and foreign keys are out of the way meanwhile."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma foreign_keys=off")
    connection.execute("pragma synchronous=off")
    for name in TRIGGERS:
        connection.execute(f"drop trigger {name}")
    for statement, values in statements:
        connection.execute(statement, values)
    for statement in TRIGGERS.values():
        connection.execute(statement)
    connection.close()
