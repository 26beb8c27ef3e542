"""Workers, and who drives which run, also in a SQLite ledger: the service drives many runs there from one process."""

from __future__ import annotations

from alembic import op

from snaphold.ledger.schema import cluster

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables in a SQLite file, unless opening it has made them; PostgreSQL has them since 0002."""
    if op.get_bind().dialect.name == "sqlite":
        cluster.create_all(op.get_bind())
