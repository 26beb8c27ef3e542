"""The ledger: entries, checkpoints, claims, registers, and what makes the database refuse their change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables. A SQLite ledger without a revision has them: it was made before there were any."""
    if op.get_bind().dialect.name == "sqlite":
        return
    op.create_table(
        "entry",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False, comment="Canonical JSON of every field but the hash."),
        sa.Column("hash", sa.Text, nullable=False, comment="SHA-256 of the body."),
    )
    op.create_index("entry_by_incident", "entry", ["incident", "sequence"])
    op.create_index("entry_by_run", "entry", ["run", "sequence"])
    op.create_table(
        "checkpoint",
        sa.Column("entries", sa.Integer, sa.ForeignKey("entry.sequence"), primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
    )
    op.create_table(
        "claim",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("inputs_digest", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False, comment="Milliseconds since 1970 UTC."),
        sa.Column("result", sa.Text, comment="Canonical JSON; null until settled."),
    )
    op.create_table(
        "register",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False, comment="Canonical JSON of the record."),
        sa.Column("created_by", sa.Integer, sa.ForeignKey("entry.sequence"), nullable=False),
        sa.Column("updated_by", sa.Integer, sa.ForeignKey("entry.sequence"), nullable=False),
    )
    op.create_index("register_by_incident", "register", ["kind", "incident", "created_by"])
    _refuse_changes()


def _refuse_changes() -> None:
    body = "begin raise exception ''% is append-only'', tg_table_name; end"
    op.execute(f"create function refuse_change() returns trigger language plpgsql as '{body}'")
    for table, verb in (("entry", "update"), ("entry", "delete"), ("checkpoint", "update"), ("checkpoint", "delete"),
                        ("claim", "delete"), ("register", "delete")):  # fmt: skip
        _refuse(table, verb, "row")
    for table in ("entry", "checkpoint", "claim", "register"):
        _refuse(table, "truncate", "statement")


def _refuse(table: str, verb: str, each: str) -> None:
    name = f"{table}_refuses_{verb}"
    op.execute(f"create trigger {name} before {verb} on {table} for each {each} execute function refuse_change()")
