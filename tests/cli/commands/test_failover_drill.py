"""`snaphold failover-drill`: real workers on a real PostgreSQL; the database of the drill is dropped again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from snaphold.cli.main import main
from snaphold.context import Attempt
from snaphold.drill import vendor
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
@pytest.mark.parametrize("assets", [24, 2], ids=["many assets", "hardly any"])
def test_a_drill_has_all_its_deaths_starts_everything_once_and_leaves_nothing_behind(
    assets: int, config: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAPHOLD_DATABASE", postgres.url())
    size = ("--assets", str(assets), "--deaths", "2", "--lease", "4s")
    code = main(["failover-drill", "--config", str(config), *AT, *size, "--json"])
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (code, found["good"]) == (0, True), told.out + told.err
    assert (found["assets"], found["starts"], found["doubled"], found["lost"]) == (assets, assets, 0, 0)
    fates = [one["fate"] for one in found["workers"]]
    assert fates.count("killed (SIGKILL)") == 1
    assert fates.count("made to stand still") == 1
    assert found["takeover_seconds"]["longest"] > 0
    assert PASSWORD not in told.out + told.err
    names = [name for (name,) in postgres.execute("select datname from pg_database")]
    assert [name for name in names if name.startswith("snaphold_drill_")] == []


def test_the_vendor_takes_the_last_asset_of_a_run_when_the_deaths_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, seen = tmp_path / "book", list[int]()

    def let_time_pass(_seconds: float) -> None:
        seen.append(len(vendor.read_book(book)))
        if len(seen) == 3:
            vendor.take_all(book)

    monkeypatch.setattr(vendor, "time", SimpleNamespace(sleep=let_time_pass))
    start = cast("Any", vendor.drill_actions(book)["drill.start"].function)
    start(vendor.StartDrill(asset="asset-1-last"), SimpleNamespace(attempt=Attempt.FRESH, key="K-last"))
    assert seen == [0, 0, 0, 0, 1], "three looks, and the pauses before and after the book is written"
    assert vendor.read_book(book) == ["K-last"]


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
