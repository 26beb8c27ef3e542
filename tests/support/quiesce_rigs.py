"""One rig per quiesce adapter: a live application under writes, and a way to damage a copy of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from snaphold.domain.asset import Application
from support import bank_writer


@dataclass(frozen=True)
class Rig:
    """An application that writes all the time. `corrupt` damages the content of a copy (a file or a folder)."""

    application: Application
    base: Path
    corrupt: Callable[[Path], None]


@contextmanager
def live_bank(folder: Path, *, journal_mode: str = "wal", checkpoint_pages: int = 1000) -> Generator[Path]:
    """Yield the path of a SQLite database into which another process writes until the end."""
    database, ready = folder / "bank.db", folder / "ready"
    bank_writer.create(database, journal_mode)
    argv = [sys.executable, str(Path(bank_writer.__file__)), str(database), str(ready), str(checkpoint_pages)]
    with subprocess.Popen(argv) as writer:
        try:
            until = time.monotonic() + 240
            while not ready.exists():
                assert writer.poll() is None, "the writer ended by itself"
                assert time.monotonic() < until, "the writer did not start to write"
                time.sleep(0.01)
            yield database
            assert writer.poll() is None, "the writer ended by itself"
        finally:
            writer.kill()


def bank_application(**changes: object) -> Application:
    """Return the bank as an application with its consistency query and the answer that must hold."""
    fields: dict[str, object] = {
        "quiesce": "sqlite",
        "location": "bank.db",
        "consistency_query": "SELECT count(*), sum(balance) FROM account",
        "expected": f"{bank_writer.ACCOUNTS}|{bank_writer.TOTAL}",
        "freeze_deadline": timedelta(minutes=8),
    }
    return Application.model_validate({**fields, **changes})


def _change_balance(copy: Path) -> None:
    """Change one balance in place: a well-formed database with a wrong sum, as a torn copy has."""
    path = copy / "bank.db" if copy.is_dir() else copy
    content = path.read_bytes()
    at = content.index(b"x" * 400) + 20
    path.write_bytes(content[:at] + bytes(2000) + content[at + 2000 :])


@contextmanager
def _sqlite(folder: Path) -> Generator[Rig]:
    with live_bank(folder):
        yield Rig(bank_application(), folder, _change_balance)


RIGS = {"sqlite": _sqlite}
