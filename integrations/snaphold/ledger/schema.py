"""The ledger's tables. Entries and checkpoints can be added, never changed or removed: triggers refuse it.

The triggers stop mistakes and other programs; whoever owns the file can drop them. That is what the hash chain, the
register digests and the signed checkpoints are for (see chain.py).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text

SCHEMA_VERSION = 1
APPLICATION_ID = 0x536E6170
"""`Snap`: marks the file as ours, so that another program's database is never written to."""

metadata = MetaData()

entry = Table(
    "entry",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("incident", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("body", Text, nullable=False, comment="Canonical JSON of every field but the hash."),
    Column("hash", Text, nullable=False, comment="SHA-256 of the body."),
    Index("entry_by_incident", "incident", "sequence"),
    Index("entry_by_run", "run", "sequence"),
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("entries", Integer, ForeignKey("entry.sequence"), primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("signature", Text, nullable=False),
)

claim = Table(
    "claim",
    metadata,
    Column("key", Text, primary_key=True),
    Column("inputs_digest", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease_until", BigInteger, nullable=False, comment="Milliseconds since 1970 UTC."),
    Column("result", Text, comment="Canonical JSON; null until settled."),
)

register = Table(
    "register",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("body", Text, nullable=False, comment="Canonical JSON of the record."),
    Column("created_by", Integer, ForeignKey("entry.sequence"), nullable=False),
    Column("updated_by", Integer, ForeignKey("entry.sequence"), nullable=False),
    Index("register_by_incident", "kind", "incident", "created_by"),
)

cluster = MetaData()
"""The workers, and which of them drives which run: facts of the moment, not of the trail, so rows here change."""

worker = Table(
    "worker",
    cluster,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("process", Integer, nullable=False),
    Column("at_once", Integer, nullable=False, comment="How many runs it drives at the same time."),
    Column("state", Text, nullable=False, comment="running, stopping, stopped or lost."),
    Column("started_at", BigInteger, nullable=False, comment="Milliseconds since 1970 UTC, by the database's clock."),
    Column("alive_until", BigInteger, nullable=False, comment="Lost when it has not said by then that it lives."),
    Index("worker_by_state", "state", "alive_until"),
)

tenure = Table(
    "tenure",
    cluster,
    Column("run", Text, primary_key=True),
    Column("state", Text, nullable=False, comment="wanted, driven, waiting, left or ended."),
    Column("worker", Text, comment="Who drives it; null when nobody does."),
    Column("fence", Integer, nullable=False, comment="Counts the takers; only the last one's writes count."),
    Column("wake_at", BigInteger, comment="Milliseconds since 1970 UTC: a waiting run is looked at again then."),
    Column("woken", Boolean, nullable=False, comment="Somebody wants it to look at the register again."),
    Column("changed_at", BigInteger, nullable=False),
    Column("plan", Text, nullable=False, comment="Canonical JSON; its SHA-256 stands in the run's record."),
    Index("tenure_by_state", "state", "wake_at"),
    Index("tenure_by_worker", "worker"),
)

REFUSED = (("entry", "update"), ("entry", "delete"), ("checkpoint", "update"), ("checkpoint", "delete"),
           ("claim", "delete"), ("register", "delete"))  # fmt: skip
"""What no row of a table may suffer."""

TRIGGERS: dict[str, str] = {
    f"{table}_refuses_{verb}": (
        f"CREATE TRIGGER {table}_refuses_{verb} before {verb} on {table} begin select raise(abort, '{table} is append-only'); end"
    )
    for table, verb in REFUSED
}
"""SQLite triggers by name. A missing one is a finding of `snaphold audit verify`."""
