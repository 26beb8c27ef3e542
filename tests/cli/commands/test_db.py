"""`snaphold db`: where the schema is, and bringing it to this program's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from snaphold.cli.main import main
from snaphold.ledger.revisions import HEAD
from support.ledgers import configure
from support.postgres import PASSWORD, Postgres

Snaphold = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def snaphold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Snaphold:
    """Run `snaphold db ... --json` on a configuration and return exit code and document."""
    document = configure(tmp_path, sign=False).model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "snaphold.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        code = main(["db", *words, "--config", str(tmp_path / "snaphold.yaml"), "--json"])
        told = capsys.readouterr()
        assert PASSWORD not in told.out + told.err
        return code, json.loads(told.out or told.err)

    return run


def test_a_ledger_file_is_made_and_noted(snaphold: Snaphold) -> None:
    code, status = snaphold("status")
    assert (code, status["exists"], status["kind"]) == (3, False, "sqlite")
    assert snaphold("upgrade")[1]["changed"] is True
    code, status = snaphold("status")
    assert (code, status["revision"], status["current"]) == (0, HEAD, True)


def test_a_postgresql_is_prepared_once(snaphold: Snaphold, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPHOLD_DATABASE", postgres.url(postgres.create()))
    at = ("--database", "env:SNAPHOLD_DATABASE")
    assert snaphold("status", *at)[0] == 3
    code, made = snaphold("upgrade", *at)
    assert (code, made["before"], made["revision"], made["changed"]) == (0, "", HEAD, True)
    assert snaphold("upgrade", *at)[1]["changed"] is False
    assert snaphold("status", *at)[0] == 0


def test_a_password_in_the_open_is_refused(snaphold: Snaphold) -> None:
    code, told = snaphold("status", "--database", "postgresql://ana:hunter2hunter2@db/x")
    assert code == 2
    assert "hunter2" not in json.dumps(told)
