"""A live SQLite application: moves money between accounts for ever, in transactions, until it is killed.

Run as `python bank_writer.py DATABASE READY CHECKPOINT_PAGES`. The sum of all balances never changes; the
row in `progress` counts transfers. READY is made when the first transfers are done.
"""

import random
import sqlite3
import sys
import time
from pathlib import Path

ACCOUNTS = 2_000
TOTAL = ACCOUNTS * 100
LARGE_LOG_BYTES = 64 * 1024 * 1024
LOOKS_EVERY = 100


def create(database: Path, journal_mode: str) -> None:
    """Make the database with every balance at 100."""
    connection = sqlite3.connect(database)
    connection.execute(f"PRAGMA journal_mode = {journal_mode}")
    connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note TEXT NOT NULL)")
    connection.execute("CREATE TABLE progress (transfers INTEGER NOT NULL)")
    connection.executemany("INSERT INTO account VALUES (?, 100, ?)", ((number, "x" * 400) for number in range(ACCOUNTS)))
    connection.execute("INSERT INTO progress VALUES (0)")
    connection.commit()
    connection.close()


def write_for_ever(database: Path, ready: Path, checkpoint_pages: int) -> None:
    """Transfer between random accounts until somebody ends the process.

    The write-ahead log grows while somebody reads: once it is large, the transfers go on at leisure, so that a reader on
    a busy machine does not fill the disk.
    """
    log, pause = database.with_name(database.name + "-wal"), 0.0
    connection = sqlite3.connect(database, isolation_level=None, timeout=240)
    connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
    connection.execute("PRAGMA synchronous = OFF")
    source = random.Random(7)  # noqa: S311  nothing here is secret
    for turn in range(10**9):
        amount, giver, taker = source.randint(1, 9), source.randrange(ACCOUNTS), source.randrange(ACCOUNTS)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, giver))
        connection.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, taker))
        connection.execute("UPDATE progress SET transfers = transfers + 1")
        connection.execute("COMMIT")
        if turn == 20:
            ready.touch()
        if turn % LOOKS_EVERY == 0:
            pause = 0.01 if log.exists() and log.stat().st_size > LARGE_LOG_BYTES else 0.0
        if pause:
            time.sleep(pause)


if __name__ == "__main__":
    write_for_ever(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
