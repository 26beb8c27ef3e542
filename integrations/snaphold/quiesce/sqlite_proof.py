"""Proves a copy of a SQLite database: integrity check and consistency query, on a file that is never written to."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from snaphold.domain.asset import Application
from snaphold.quiesce.base import ConsistencyReport
from snaphold.quiesce.sqlite_file import beside, file_faults, limit_time, open_read_only

INTEGRITY_SECONDS = 3600.0
QUERY_SECONDS = 300.0
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})


def prove_copy(application: Application, copy: Path) -> ConsistencyReport:
    """Return what the integrity check and the consistency query say about a copy (a file, or the folder of it).

    The copy is opened as immutable, so that SQLite writes neither to it nor beside it.
    """
    path = copy / Path(application.location).name if copy.is_dir() else copy
    faults = [*file_faults(path), *_leftovers(path)]
    if faults:
        return ConsistencyReport(consistent=False, reasons=tuple(faults))
    try:
        connection = open_read_only(path, immutable=True)
    except sqlite3.Error as error:
        return ConsistencyReport(consistent=False, reasons=(f"{path} does not open: {error}",))
    try:
        return _prove(connection, application)
    finally:
        connection.close()


def _leftovers(path: Path) -> list[str]:
    """A non-empty log beside a copy shows that files were copied; the database without it is not what was saved."""
    found = [beside(path, suffix) for suffix in ("-wal", "-journal")]
    return [f"{log.name} lies beside the copy: this is a plain file copy" for log in found if log.exists() and log.stat().st_size]


def _prove(connection: sqlite3.Connection, application: Application) -> ConsistencyReport:
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        limit_time(connection, INTEGRITY_SECONDS)
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.Error as error:
        return ConsistencyReport(consistent=False, reasons=(f"the integrity check did not end: {error}",))
    if found != ["ok"]:
        return ConsistencyReport(consistent=False, reasons=tuple(f"integrity check: {fault}" for fault in found))
    checks = ("opened read-only", "integrity check: ok")
    if not application.consistency_query:
        reason = "no consistency query is configured, so nothing proves the content"
        return ConsistencyReport(consistent=False, checks=checks, reasons=(reason,))
    answer, fault = _ask(connection, application.consistency_query)
    if fault:
        return ConsistencyReport(consistent=False, checks=checks, answer=answer, reasons=(fault,))
    checks = (*checks, f"consistency query: {answer}")
    if not application.expected:
        reason = f"the consistency query answered {answer!r}, but no expected answer is configured"
        return ConsistencyReport(consistent=False, checks=checks, answer=answer, reasons=(reason,))
    if answer != application.expected:
        reason = f"the consistency query answered {answer!r}, expected {application.expected!r}"
        return ConsistencyReport(consistent=False, checks=checks, answer=answer, reasons=(reason,))
    return ConsistencyReport(consistent=True, checks=checks, answer=answer)


def _ask(connection: sqlite3.Connection, query: str) -> tuple[str, str]:
    """Return the query's one row, its columns joined by `|`, and a fault or an empty text."""

    refused: list[int] = []

    def allow(action: int, *_rest: str | None) -> int:
        if action in _READING:
            return sqlite3.SQLITE_OK
        refused.append(action)
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(allow)
    limit_time(connection, QUERY_SECONDS)
    try:
        rows = connection.execute(query).fetchmany(2)
    except (sqlite3.Error, sqlite3.Warning) as error:
        if refused:
            return "", "the consistency query was refused: it may only read"
        if "interrupted" in str(error):
            return "", f"the consistency query did not end within {QUERY_SECONDS:g} s"
        return "", f"the consistency query failed: {error}"
    if len(rows) != 1:
        return "", "the consistency query must answer with one row; it gave " + ("more" if rows else "none")
    return "|".join(_text(value) for value in rows[0]), ""


def _text(value: object) -> str:
    if value is None:
        return "NULL"
    return value.hex() if isinstance(value, bytes) else str(value)
