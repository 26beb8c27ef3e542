"""Run by Alembic: the scripts run on the connection that upgrade.py gives, in its transaction."""

from __future__ import annotations

from alembic import context

from snaphold.ledger.revisions import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
