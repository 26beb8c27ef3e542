"""A context for calling an action's function directly, with a ledger that only holds register records."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, TypeVar, cast

from snaphold.clock import FixedClock
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.domain.value import Value
from snaphold.ledger.ledger import Ledger

Record = TypeVar("Record", bound=Value)
NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)


class RegisterOnlyLedger:
    """Answers for records that were put in; everything else of a ledger is missing on purpose."""

    def __init__(self, *records: Value) -> None:
        self.kept = list(records)

    def record(self, model: type[Record], id: str) -> Record | None:
        """Return the record with that id, or None."""
        return next((kept for kept in self.records(model) if getattr(kept, "id", "") == id), None)

    def records(self, model: type[Record], incident: str | None = None) -> list[Record]:
        """Return the records of one kind, of one incident when it is named."""
        return [kept for kept in self.kept if isinstance(kept, model) and incident in (None, getattr(kept, "incident", None))]


def make_configuration(**changes: Any) -> Configuration:
    """Return a small configuration: tiers T0 to T2, a shop that needs a database, a file share, two people."""
    document: dict[str, Any] = {
        "organisation": {"name": "Example Ltd"},
        "tiers": [
            {"id": "T0", "level": 0, "impact": "No orders.", "rto": "1h", "rpo": "15m"},
            {"id": "T1", "level": 1, "impact": "Slow orders.", "rto": "4h", "rpo": "1h"},
            {"id": "T2", "level": 2, "impact": "Nuisance.", "rto": "2d", "rpo": "1d"},
        ],
        "assets": [
            {"id": "shop", "kind": "application", "tier": "T0", "owner": "web", "depends_on": ["orders-db"]},
            {"id": "orders-db", "kind": "database", "owner": "dba", "data_classes": ["personal-data"]},
            {"id": "files-01", "kind": "file-share", "owner": "it"},
        ],
        "classification": [
            {"name": "databases", "match": {"kinds": ["database"]}, "tier": "T1", "why": "Databases hold the records."}
        ],
        "people": [{"id": "ana", "name": "Ana Ruiz"}, {"id": "ben", "name": "Ben Oke"}],
    }
    return Configuration.model_validate({**document, **changes})


def make_context(*records: Value, configuration: Configuration | None = None, **changes: Any) -> Context:
    """Return a context for the incident INC-1 on shop and files-01, acted on by ana at a fixed time."""
    given: dict[str, Any] = {
        "configuration": configuration or make_configuration(),
        "incident": Incident(
            id="INC-1",
            title="Ransomware on the file server",
            severity=1,
            category="ransomware",
            declared_at=NOW,
            assets=("files-01", "shop"),
        ),
        "actor": Actor(id="ana", name="Ana Ruiz", roles=()),
        "clock": FixedClock(NOW),
        "ledger": cast("Ledger", RegisterOnlyLedger(*records)),
        "key": "INC-1/promote/files-01/1",
    }
    return Context(**{**given, **changes})
