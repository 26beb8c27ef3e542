"""The revisions of the ledger's schema, in order, as Alembic's scripts make them (ledger/migrations).

They stand here so that opening a ledger needs no Alembic; a test keeps them equal to the scripts.
"""

from __future__ import annotations

import sqlalchemy as sa

from snaphold.errors import LedgerError

REVISIONS = ("0001", "0002", "0003")
"""0001: the ledger itself. 0002: workers, and who drives which run, in PostgreSQL. 0003: the same in a SQLite file."""
HEAD = REVISIONS[-1]
VERSION_TABLE = "alembic_version"


def read_revision(connection: sa.Connection) -> str | None:
    """Return the revision that a database is at; None when none was ever noted."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(sa.text(f"select version_num from {VERSION_TABLE}")).scalars().all()  # noqa: S608
    return str(found[0]) if found else None


def check_known(revision: str, what: str) -> None:
    """Raise LedgerError when a revision is none of this program's: then a newer one made it."""
    if revision not in REVISIONS:
        raise LedgerError(
            f"{what} is newer than this program",
            f"its schema is at revision {revision}, this program knows {', '.join(REVISIONS)}",
            "use the newer snaphold",
        )
