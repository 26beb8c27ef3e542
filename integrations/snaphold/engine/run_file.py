"""The SQLite file in which a run that one machine drives keeps its history."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.event import listen

from snaphold.errors import MissingToolError

BUSY_MILLISECONDS = 30_000
SQLITE_WITH_RETURNING = (3, 35, 0)
SQLITE_WITH_SUBSEC = (3, 42, 0)


def file_engine(path: Path, most: int = 5) -> sa.Engine:
    """Return an engine of our own: DBOS's has no write-ahead log, and is twenty times slower. `most` connections are kept.

    Raises MissingToolError where this Python's SQLite is older than 3.35 (RHEL 9 has 3.34).
    """
    if sqlite3.sqlite_version_info < SQLITE_WITH_RETURNING:
        raise MissingToolError(
            f"this Python has SQLite {sqlite3.sqlite_version}, and playbooks run in a file from SQLite 3.35 on",
            "the run engine (DBOS) writes with RETURNING, which came with 3.35",
            "use a Python that brings a newer SQLite (python.org, uv, conda), or keep runs in PostgreSQL: `snaphold serve "
            "--database postgresql://HOST/NAME` and `snaphold worker`",
        )
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    seconds = BUSY_MILLISECONDS / 1000
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": seconds}, pool_size=most, pool_timeout=seconds)

    def tune(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        if sqlite3.sqlite_version_info < SQLITE_WITH_SUBSEC:
            connection.create_function("unixepoch", 1, _unix_seconds)
        # NORMAL may lose the last steps in a power cut. They run again then, and the ledger, which is FULL, has them.
        for pragma in ("journal_mode=wal", "synchronous=normal", f"busy_timeout={BUSY_MILLISECONDS}", "foreign_keys=on"):
            connection.execute(f"pragma {pragma}")

    listen(engine, "connect", tune)
    return engine


def _unix_seconds(modifier: str) -> float | None:
    """Answer `unixepoch('subsec')`, with which DBOS writes its times on Python 3.12 and newer, for an older SQLite.

    Debian 12 has SQLite 3.40, which answers NULL where DBOS needs a time.
    """
    return time.time() if modifier == "subsec" else None
