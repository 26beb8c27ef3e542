"""Workers, and which of them drives which run. Runs of a SQLite ledger are driven on its own machine and need neither."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables in PostgreSQL."""
    if op.get_bind().dialect.name == "sqlite":
        return
    op.create_table(
        "worker",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("process", sa.Integer, nullable=False),
        sa.Column("at_once", sa.Integer, nullable=False, comment="How many runs it drives at the same time."),
        sa.Column("state", sa.Text, nullable=False, comment="running, stopping, stopped or lost."),
        sa.Column("started_at", sa.BigInteger, nullable=False, comment="Milliseconds since 1970 UTC, by the database's clock."),
        sa.Column("alive_until", sa.BigInteger, nullable=False, comment="Lost when it has not said by then that it lives."),
    )
    op.create_index("worker_by_state", "worker", ["state", "alive_until"])
    op.create_table(
        "tenure",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False, comment="wanted, driven, waiting, left or ended."),
        sa.Column("worker", sa.Text, comment="Who drives it; null when nobody does."),
        sa.Column("fence", sa.Integer, nullable=False, comment="Counts the takers; only the last one's writes count."),
        sa.Column("wake_at", sa.BigInteger, comment="Milliseconds since 1970 UTC: a waiting run is looked at again then."),
        sa.Column("woken", sa.Boolean, nullable=False, comment="Somebody wants it to look at the register again."),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("plan", sa.Text, nullable=False, comment="Canonical JSON; its SHA-256 stands in the run's record."),
    )
    op.create_index("tenure_by_state", "tenure", ["state", "wake_at"])
    op.create_index("tenure_by_worker", "tenure", ["worker"])
