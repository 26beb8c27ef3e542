"""The folder as a vault: whole or not at all, and read-only afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snaphold.errors import InputError, StorageError
from snaphold.vault.local import LocalVault, remove_tree


def fill(staged: Path) -> None:
    for name in ("data/E0001.bin", "custody/custody.jsonl"):
        (staged / name).parent.mkdir()
        (staged / name).write_text("x")


def test_a_package_is_found_only_after_its_commit(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path / "store")
    staged = vault.stage("EV-1")
    fill(staged)
    assert vault.find("EV-1") is None
    final = vault.commit(staged, "EV-1")
    assert vault.find("EV-1") == final
    assert not staged.exists()


def test_everything_is_read_only_afterwards_but_the_custody_folder(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path)
    staged = vault.stage("EV-1")
    fill(staged)
    final = vault.commit(staged, "EV-1")
    modes = {str(path.relative_to(final)): path.stat().st_mode & 0o777 for path in [final, *final.rglob("*")]}
    assert modes == {
        ".": 0o555, "data": 0o555, "data/E0001.bin": 0o444, "custody": 0o755, "custody/custody.jsonl": 0o644,
    }  # fmt: skip


def test_leftovers_of_a_lost_attempt_are_removed(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path)
    (vault.stage("EV-1") / "leftover").write_text("x")
    assert list(vault.stage("EV-1").iterdir()) == []


def test_a_sealed_package_is_never_replaced(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path)
    vault.commit(vault.stage("EV-1"), "EV-1")
    staged = vault.stage("EV-1")
    with pytest.raises(StorageError, match="exists already"):
        vault.commit(staged, "EV-1")
    assert staged.is_dir()


@pytest.mark.parametrize("code", [28, 30])
def test_a_storage_that_refuses_leaves_nothing_at_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    vault = LocalVault(tmp_path)
    staged = vault.stage("EV-1")
    fill(staged)

    def refuse(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError) as caught:
        vault.commit(staged, "EV-1")
    assert caught.value.do
    assert vault.find("EV-1") is None
    assert staged.is_dir()


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot take a package"):
        LocalVault(tmp_path / "file" / "store").stage("EV-1")


@pytest.mark.parametrize("name", ["../EV-1", "a/b", "", ".hidden"])
def test_a_name_cannot_lead_out_of_the_vault(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        LocalVault(tmp_path).stage(name)


def test_a_write_protected_tree_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b").chmod(0o555)
    (tmp_path / "a").chmod(0o555)
    remove_tree(tmp_path / "a")
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()
