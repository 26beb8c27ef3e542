"""The ledger's tables. Entries and checkpoints can be added, never changed or removed: triggers refuse it.

The triggers stop mistakes and other programs; whoever owns the file can drop them. That is what the hash chain, the
register digests and the signed checkpoints are for (see chain.py).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, Table, Text

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

_REFUSED = (("entry", "update"), ("entry", "delete"), ("checkpoint", "update"), ("checkpoint", "delete"),
            ("claim", "delete"), ("register", "delete"))  # fmt: skip

TRIGGERS: dict[str, str] = {
    f"{table}_refuses_{verb}": (
        f"CREATE TRIGGER {table}_refuses_{verb} before {verb} on {table} begin select raise(abort, '{table} is append-only'); end"
    )
    for table, verb in _REFUSED
}
"""SQLite triggers by name. A missing one is a finding of `snaphold audit verify`."""
