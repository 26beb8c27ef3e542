"""Outputs are written as a whole set or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.errors import InputError, StorageError
from snaphold.targets import write
from snaphold.targets.write import MARK, write_outputs


def found_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARK
    }


def test_the_folder_holds_exactly_the_new_set(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    write_outputs({"a.txt": b"1", "b/c.txt": b"2"}, folder)
    assert found_in(folder) == {"a.txt": b"1", "b/c.txt": b"2"}
    write_outputs({"a.txt": b"3"}, folder)
    assert found_in(folder) == {"a.txt": b"3"}
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_a_disk_that_fills_leaves_the_old_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    write_outputs({"a.txt": b"old"}, folder)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_outputs({"a.txt": b"new"}, folder)
    assert found_in(folder) == {"a.txt": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_old_set_comes_back_when_the_last_rename_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    write_outputs({"a.txt": b"old"}, folder)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".new":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError):
        write_outputs({"a.txt": b"new"}, folder)
    assert found_in(folder) == {"a.txt": b"old"}


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="were not compiled"):
        write_outputs({"a.txt": b"1"}, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_file_or_a_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(InputError, match="is not a folder"):
            write_outputs({"a.txt": b"1"}, tmp_path / name)


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a//b", "a\\b", "./a"])
def test_a_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be the name"):
        write_outputs({name: b"1"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_may_be_taken(tmp_path: Path) -> None:
    write_outputs({"a.txt": b"1"}, tmp_path / "empty")
    assert found_in(tmp_path / "empty") == {"a.txt": b"1"}
