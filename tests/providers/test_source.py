from __future__ import annotations

import os
from pathlib import Path

import pytest

from snaphold.domain.asset import Application, Asset, Protection
from snaphold.errors import ProviderError
from snaphold.evidence.inventory import take_inventory
from snaphold.providers.source import (
    NAMED_PATHS,
    application_files,
    changed_since,
    count_inventory,
    find_sources,
    leave_out,
    live_files,
    measure,
    name_paths,
)


def asset(*paths: str, application: Application | None = None) -> Asset:
    return Asset.model_validate(
        {"id": "a", "kind": "file-share", "owner": "x", "protection": Protection(paths=paths), "application": application}
    )


def test_links_are_followed_to_what_they_name_and_nested_paths_fold(tmp_path: Path) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    workload = find_sources(asset("link", "real/inner"), tmp_path, tmp_path / "pool")
    assert workload.paths == (str((tmp_path / "real").resolve()),)


def test_every_missing_source_is_named(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(ProviderError) as refused:
        find_sources(asset("here", "gone", "lost"), tmp_path, tmp_path / "pool")
    assert "gone" in refused.value.what
    assert "lost" in refused.value.what


def test_an_asset_without_paths_and_application_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="nothing that could be backed up"):
        find_sources(asset(), tmp_path, tmp_path / "pool")
    application = Application(quiesce="sqlite", location="app.db")
    assert find_sources(asset(application=application), tmp_path, tmp_path / "pool").paths == ()


def test_the_live_files_of_an_application_are_left_out_with_their_journals(tmp_path: Path) -> None:
    for name in ("app.db", "app.db-wal", "app.db-shm", "app.dbx", "sub/kept"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text("x")
    (tmp_path / "other").mkdir()
    live = live_files(tmp_path / "data/app.db")
    kept = leave_out(tmp_path / "data", live)
    assert [path.name for path in kept] == ["app.dbx", "sub"]
    assert leave_out(tmp_path / "other", live) == [tmp_path / "other"]
    assert leave_out(tmp_path / "data/app.db", live) == []


def test_the_size_of_an_application_counts_its_journals(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_bytes(b"x" * 10)
    (tmp_path / "app.db-wal").write_bytes(b"x" * 5)
    files = application_files(Application(quiesce="sqlite", location="app.db"), tmp_path)
    assert measure(files).bytes == 15
    assert application_files(Application(quiesce="postgresql", location="db.example.org"), tmp_path) == []


def test_files_that_change_or_go_away_are_named(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    for name in ("same", "grown", "gone"):
        (share / name).write_text(name)
    take_inventory([share], tmp_path / "inventory.jsonl")
    with (share / "grown").open("a") as stream:
        stream.write("more")
    (share / "gone").unlink()
    assert changed_since(tmp_path / "inventory.jsonl") == [str(share / "gone"), str(share / "grown")]


def test_an_inventory_is_counted_by_kind(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (share / "file").write_text("12345")
    (share / "link").symlink_to("file")
    os.mkfifo(share / "pipe")
    take_inventory([share], tmp_path / "inventory.jsonl")
    counted = count_inventory(tmp_path / "inventory.jsonl")
    assert (counted.files, counted.bytes, counted.symlinks) == (1, 5, 1)
    assert counted.special == (str(share / "pipe"),)


def test_many_paths_are_named_in_part_and_counted() -> None:
    text = name_paths([f"/p{number}" for number in range(NAMED_PATHS + 3)])
    assert text.endswith("and 3 more")
    assert "\\udcff" in name_paths(["/bad\udcff"])
