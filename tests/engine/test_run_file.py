from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from snaphold.engine.run_file import file_engine
from snaphold.errors import MissingToolError


def test_the_run_engine_has_its_clock_also_on_an_old_sqlite(tmp_path: Path) -> None:
    before = time.time()
    with file_engine(tmp_path / "run.sqlite").connect() as connection:
        now, nothing = connection.exec_driver_sql("select unixepoch('subsec'), unixepoch('gibberish')").one()
    # SQLite tells milliseconds.
    assert before - 0.001 <= now <= time.time(), (
        "DBOS writes its times with this on Python 3.12 and newer; SQLite has it from 3.42"
    )
    assert nothing is None


def test_a_sqlite_that_the_run_engine_cannot_use_is_refused_before_a_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    with pytest.raises(MissingToolError, match=r"SQLite 3\.34\.1, and playbooks run in a file from SQLite 3\.35 on") as caught:
        file_engine(tmp_path / "run.sqlite")
    assert "PostgreSQL" in str(caught.value)
    assert not (tmp_path / "run.sqlite").exists()
