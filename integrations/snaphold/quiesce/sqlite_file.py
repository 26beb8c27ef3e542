"""A SQLite database as a file: its header, what lies beside it, and opening it without ever writing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

CHECK_SECONDS = 10.0
BUSY_WAIT_SECONDS = 0.05
_PROGRESS_INSTRUCTIONS = 10_000
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_PAGE_SIZES = frozenset(2**power for power in range(9, 17))


@dataclass(frozen=True)
class Header:
    """What the first hundred bytes of a database file say."""

    page_size: int
    write_ahead: bool
    change_counter: int


def open_read_only(path: Path, *, immutable: bool, wait_seconds: float = BUSY_WAIT_SECONDS) -> sqlite3.Connection:
    """Return a read-only connection that waits so long for a lock of the application.

    `immutable` promises that nobody writes: SQLite then takes no lock and adds no file.
    """
    uri = path.absolute().as_uri() + "?mode=ro" + ("&immutable=1" if immutable else "")
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=wait_seconds)


def read_value(connection: sqlite3.Connection, statement: str) -> str | int:
    """Return the first column of the first row."""
    value: str | int = connection.execute(statement).fetchone()[0]
    return value


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that SQLite keeps beside a database: `-wal`, `-shm` or `-journal`."""
    return path.with_name(path.name + suffix)


def identity(path: Path) -> tuple[int, int, int, int]:
    """Return what changes when a file is written to or replaced."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def describe_log(source: Path) -> str:
    """Return how large the write-ahead log is, as text."""
    size = _size(beside(source, "-wal"))
    return "no write-ahead log" if size is None else f"write-ahead log {size} bytes"


def _size(path: Path) -> int | None:
    """The application may remove its log at any moment."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def read_header(path: Path) -> Header:
    """Return what the header says. Raises OSError."""
    with path.open("rb") as stream:
        header = stream.read(_HEADER_BYTES)
    size = int.from_bytes(header[16:18], "big")
    return Header(65536 if size == 1 else size, header[18:20] == b"\2\2", int.from_bytes(header[24:28], "big"))


def file_faults(path: Path) -> list[str]:
    """Return what speaks against the file being a SQLite database, from its first bytes."""
    try:
        if not path.is_file():
            return [f"{path} is not a file" if path.exists() else f"{path} does not exist"]
        with path.open("rb") as stream:
            begin = stream.read(_HEADER_BYTES)
        size, header = path.stat().st_size, read_header(path)
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}"]
    if len(begin) < _HEADER_BYTES or not begin.startswith(_MAGIC):
        return [f"{path} is not a SQLite database: its header is missing or damaged"]
    if header.page_size not in _PAGE_SIZES:
        return [f"{path} has a damaged header: page size {header.page_size}"]
    if size % header.page_size:
        return [f"{path} is cut off: {size} bytes are not whole pages of {header.page_size}"]
    return []


def room_faults(path: Path, folder: Path) -> list[str]:
    """Return why a copy of the database does not fit into a folder."""
    needed = path.stat().st_size + (_size(beside(path, "-wal")) or 0)
    free = shutil.disk_usage(folder).free
    return [f"the copy needs up to {needed} bytes, {folder} has {free} free"] if needed > free else []


def opening_faults(path: Path) -> list[str]:
    """Return why the database cannot be opened and read without writing."""
    journal = beside(path, "-journal")
    at_rest = read_header(path).write_ahead and not beside(path, "-wal").exists()
    try:
        connection = open_read_only(path, immutable=at_rest)
        try:
            limit_time(connection, CHECK_SECONDS)
            read_value(connection, "SELECT count(*) FROM sqlite_master")
        finally:
            connection.close()
    except sqlite3.Error as error:
        hint = f"; {journal} was left by a crash, start the application once" if journal.exists() else ""
        return [f"{path} does not answer: {error}{hint}"]
    if not os.access(path.parent, os.W_OK) and beside(path, "-wal").exists() and not beside(path, "-shm").exists():
        return [f"{path} has a write-ahead log but no index of it, and {path.parent} cannot be written to"]
    return []


def limit_time(connection: sqlite3.Connection, seconds: float) -> None:
    """Interrupt whatever the connection does after so many seconds from now."""
    stop_at = time.monotonic() + seconds
    connection.set_progress_handler(lambda: int(time.monotonic() > stop_at), _PROGRESS_INSTRUCTIONS)
