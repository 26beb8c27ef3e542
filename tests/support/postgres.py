"""A real PostgreSQL on loopback: a cluster of its own, with a free port, a password and throw-away data.

The server refuses to run as root, so as root it runs as an unprivileged user. Each process of the tests has its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.needs import missing
from support.ports import reserve_port
from support.waiting import wait_for

USER, PASSWORD = "snaphold", "pg-secret-0123456789"
_READY_SECONDS = 240
_ATTEMPTS = 5
_UNPRIVILEGED = ("postgres", "nobody")
# Nothing here must survive a crash of the machine; it does survive a kill of the server.
_SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "max_connections": "400", "shared_buffers": "32MB",
    "listen_addresses": "127.0.0.1", "autovacuum": "off", "max_wal_size": "256MB", "log_min_messages": "fatal", "timezone": "UTC",
}  # fmt: skip


@dataclass
class Postgres:
    """A running server."""

    folder: Path
    programs: Path
    owner: dict[str, Any]
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    made: int = field(default=0)
    _prepared: str = ""
    _ledger: str = ""

    def url(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        """Return the address of a database."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the owner of everything; return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create(self, template: str = "template1") -> str:
        """Make a database and return its name."""
        self.made += 1
        name = f"test_{os.getpid()}_{self.made}"
        # A connection that was closed is there until its process has ended, and PostgreSQL waits for that only five seconds.
        users = f"select pid from pg_stat_activity where datname = '{template}'"  # noqa: S608  a name of ours
        wait_for(lambda: not self.execute(users))
        self.execute(f"create database {name} template {template}")
        return name

    @property
    def prepared(self) -> str:
        """A database that `snaphold db upgrade` has prepared, to make others from."""
        if not self._prepared:
            from snaphold.ledger.upgrade import upgrade_postgres

            name = self.create()
            upgrade_postgres(self.url(name))
            self._prepared = name
        return self._prepared

    def empty_ledger(self) -> str:
        """Return the address of one prepared database, emptied of what an earlier test left: faster than a new one."""
        self._ledger = self._ledger or self.create(self.prepared)
        tables = "entry, checkpoint, claim, register, worker, tenure"
        with psycopg.connect(self.url(self._ledger), autocommit=True) as connection:
            connection.execute("set search_path = snaphold")
            connection.execute("set session_replication_role = replica")  # the triggers that refuse this
            connection.execute(f"truncate {tables}".encode())
        return self.url(self._ledger)

    def start(self) -> None:
        """Start the server; the port stays what it was, once it has one."""
        for _ in range(_ATTEMPTS):
            port = self.port or reserve_port()
            settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
            command = [self.programs / "postgres", "-D", self.folder / "data", "-p", str(port), "-k", "", *settings]
            spawn: Any = subprocess.Popen
            with (self.folder / "log").open("ab") as log:
                self.process = spawn(command, stdout=log, stderr=log, cwd=self.folder, **self.owner)
            if self._ready(port):
                self.port = port
                return
        raise AssertionError((self.folder / "log").read_text(encoding="utf-8", errors="replace"))

    def _ready(self, port: int) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while self.process is not None and self.process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres", connect_timeout=60).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT cuts every connection and ends in order, SIGQUIT ends at once as a crash would."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(240)
            self.process = None


def find_programs() -> Path:
    """Return the folder of PostgreSQL's own programs; Debian keeps them off the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    if found is None:
        missing("PostgreSQL's server (initdb) is not installed")
    return Path(str(found)).resolve().parent


def _owner() -> dict[str, Any]:
    """Return as whom the server runs: its options for a child process."""
    if os.geteuid() != 0:
        return {}
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return missing("PostgreSQL does not run as root, and there is no unprivileged user")


@contextmanager
def run_postgres() -> Generator[Postgres, None, None]:
    """Run a server for the length of the block. Its folder is not pytest's own, which other users cannot enter."""
    programs, owner = find_programs(), _owner()
    folder = Path(tempfile.mkdtemp(prefix="snaphold-postgres-"))
    server = Postgres(folder, programs, owner)
    try:
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        password = folder / "password"
        password.write_text(PASSWORD, encoding="ascii")
        if owner:
            os.chown(password, owner["user"], owner["group"])
        command = [programs / "initdb", "-D", folder / "data", "-U", USER, "--pwfile", password, "-A", "scram-sha-256",
                   "-E", "UTF8", "--no-locale", "--no-sync"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **owner)
        server.start()
        with pytest.MonkeyPatch.context() as patch:
            # A new connection is a new process, and no test is about one that comes late.
            patch.setattr("snaphold.ledger.postgresql.CONNECT_SECONDS", _READY_SECONDS)
            yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)
