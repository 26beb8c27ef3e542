"""`snaphold failover-drill`: real workers on a real PostgreSQL; the database of the drill is dropped again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from snaphold.cli.main import main
from support.ledgers import configure
from support.postgres import PASSWORD, Postgres

AT = ("--database", "env:SNAPHOLD_DATABASE")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    document = configure(tmp_path, sign=False).model_dump(mode="json", exclude_defaults=True)
    path = tmp_path / "snaphold.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_drill_starts_everything_once_and_leaves_nothing_behind(
    config: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAPHOLD_DATABASE", postgres.url())
    code = main(["failover-drill", "--config", str(config), *AT, "--assets", "24", "--deaths", "2", "--lease", "4s", "--json"])
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (code, found["good"]) == (0, True), told.out + told.err
    assert (found["assets"], found["starts"], found["doubled"], found["lost"]) == (24, 24, 0, 0)
    fates = [one["fate"] for one in found["workers"]]
    assert fates.count("killed (SIGKILL)") == 1
    assert fates.count("made to stand still") == 1
    assert found["takeover_seconds"]["longest"] > 0
    assert PASSWORD not in told.out + told.err
    names = [name for (name,) in postgres.execute("select datname from pg_database")]
    assert [name for name in names if name.startswith("snaphold_drill_")] == []


@pytest.mark.parametrize(
    ("words", "why"),
    [((), "needs a PostgreSQL server"), ((*AT, "--workers", "1"), "--workers 1"), ((*AT, "--lease", "1s"), "too short"),
     ((*AT, "--assets", "0"), "--assets 0"), ((*AT, "--deaths", "99"), "--deaths 99")],
)  # fmt: skip
def test_a_drill_that_could_show_nothing_is_refused(
    config: Path, words: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["failover-drill", "--config", str(config), *words]) == 2
    assert why in capsys.readouterr().err
