"""The live application of the demonstration: transfers between accounts without a pause, in its own process.

Run as `python -m snaphold.demo.writer DATABASE`. Every transfer is one transaction, so at each commit the balances add
up to OPENING_TOTAL and the entries to 0; a copy that shows anything else was torn. It ends on SIGTERM, when the
process that started it is gone, and after LONGEST_LIFE_SECONDS at the latest.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

ACCOUNTS = 40
OPENING_BALANCE = 25_000
OPENING_TOTAL = ACCOUNTS * OPENING_BALANCE
LONGEST_LIFE_SECONDS = 900
PAUSE_SECONDS = 0.002
STOP_SECONDS = 60
BUSY_SECONDS = 120
"""So long the application and who looks at it wait for each other; only a hang takes longer."""
_SCHEMA = """
create table account (id integer primary key, name text not null, balance integer not null);
create table entry (id integer primary key, reference text not null, account integer not null references account (id),
                    amount integer not null);
"""


def create_database(path: Path) -> None:
    """Create the application's database in WAL mode with its accounts; raises sqlite3.Error when it exists."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.executescript(_SCHEMA)
        rows = [(number, f"Customer {number:03}", OPENING_BALANCE) for number in range(1, ACCOUNTS + 1)]
        with connection:
            connection.executemany("insert into account values (?, ?, ?)", rows)
            connection.execute("insert into entry values (1, 'OPENING', 1, 0)")


def transfer(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Move money from one account to another in one transaction, with both entries."""
    payer, payee = chance.sample(range(1, ACCOUNTS + 1), 2)
    amount = chance.randint(1, 500)
    reference = f"ORD-{chance.randrange(10**8):08}"
    with connection:
        connection.execute("update account set balance = balance - ? where id = ?", (amount, payer))
        connection.execute("insert into entry (reference, account, amount) values (?, ?, ?)", (reference, payer, -amount))
        connection.execute("update account set balance = balance + ? where id = ?", (amount, payee))
        connection.execute("insert into entry (reference, account, amount) values (?, ?, ?)", (reference, payee, amount))


def count_transfers(path: Path) -> int:
    """Return how many transfers have been committed so far."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        return int(connection.execute("select count(*) / 2 from entry").fetchone()[0])


@contextmanager
def running_writer(database: Path) -> Generator[subprocess.Popen[bytes], None, None]:
    """Keep the application writing while the block runs; it has always ended when the block is left."""
    child = subprocess.Popen(
        [sys.executable, "-m", "snaphold.demo.writer", str(database)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches the demo only, which then ends the writer in order
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def main(database: str) -> int:
    """Write until told to stop, and return 0."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    parent, ends_at = os.getppid(), time.monotonic() + LONGEST_LIFE_SECONDS
    chance = random.Random()  # noqa: S311 - made-up business, nothing secret
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
        connection.execute("pragma synchronous = normal")
        while not stopped and os.getppid() == parent and time.monotonic() < ends_at:
            transfer(connection, chance)
            time.sleep(PAUSE_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
