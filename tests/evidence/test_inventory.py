"""Inventories: sorted, complete, lossless."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snaphold.errors import InputError, StorageError
from snaphold.evidence import hashing
from snaphold.evidence.hashing import LARGE_FILE_BYTES, group, hash_file, hash_tree
from snaphold.evidence.inventory import entry_path, inventory_roots, read_inventory, take_inventory


def test_every_kind_of_name_is_kept_without_loss(tmp_path: Path) -> None:
    tree = os.fsencode(tmp_path / "tree")
    os.mkdir(tree)
    names = [b"plain", b"new\nline", b"not utf-8 \xff\xfe", b"100%", b"%0A", b"long" * 60, "ümlaut".encode(), b'quo"te\\']
    for name in names:
        with open(os.path.join(tree, name), "wb") as file:
            file.write(name)
    summary = take_inventory([tmp_path / "tree"], tmp_path / "inventory.jsonl")
    found = {entry_path(entry): entry for entry in read_inventory(tmp_path / "inventory.jsonl")}
    assert set(found) == {tree, *(tree + b"/" + name for name in names)}
    for name in names:
        assert found[tree + b"/" + name]["sha256"] == hashlib.sha256(name).hexdigest()
    assert summary.files == len(names)
    assert summary.bytes == sum(map(len, names))
    assert summary.sha256 == hashlib.sha256((tmp_path / "inventory.jsonl").read_bytes()).hexdigest()


def test_links_folders_and_pipes_are_described_and_never_followed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "empty").mkdir(parents=True)
    (tree / "outside").symlink_to("/etc")
    (tree / "loop").symlink_to("loop")
    os.mkfifo(tree / "pipe")
    take_inventory([tree], tmp_path / "inventory.jsonl")
    kinds = {Path(entry["path"]).name: entry for entry in read_inventory(tmp_path / "inventory.jsonl")}
    assert kinds["outside"]["target"] == "/etc"
    assert {name: entry["type"] for name, entry in kinds.items()} == {
        "tree": "directory", "empty": "directory", "outside": "symlink", "loop": "symlink", "pipe": "other",
    }  # fmt: skip


def test_what_cannot_be_read_has_a_line_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    (tree / "closed").mkdir(parents=True)
    (tree / "secret").write_text("x")
    real_open, real_scandir = os.open, os.scandir

    def refuse_open(path: bytes, *rest: int) -> int:
        if os.fspath(path).endswith(b"secret"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *rest)

    def refuse_scandir(path: bytes) -> object:
        if os.fspath(path).rstrip(b"/").endswith(b"closed"):
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    monkeypatch.setattr(os, "open", refuse_open)
    monkeypatch.setattr(os, "scandir", refuse_scandir)
    summary = take_inventory([tree], tmp_path / "inventory.jsonl")
    monkeypatch.undo()
    errors = {Path(entry["path"]).name for entry in read_inventory(tmp_path / "inventory.jsonl") if "error" in entry}
    assert errors == {"closed", "secret"}
    assert len(summary.unreadable) == 2


names = st.binary(min_size=1, max_size=3).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(names, min_size=1, max_size=3), max_size=8))
def test_lines_stand_in_the_order_of_path_bytes(tmp_path_factory: pytest.TempPathFactory, paths: list[list[bytes]]) -> None:
    tree = tmp_path_factory.mktemp("sorted")
    top = os.fsencode(tree / "t")
    os.mkdir(top)
    for parts in paths:
        os.makedirs(os.path.join(top, *parts), exist_ok=True)
    take_inventory([tree / "t"], tree / "inventory.jsonl")
    found = [entry_path(entry) for entry in read_inventory(tree / "inventory.jsonl")]
    assert found == sorted(found)
    assert len(found) == len(set(found))


def test_roots_that_lie_in_each_other_or_sort_between_are_taken_once(tmp_path: Path) -> None:
    for name in ("a/x", "a-b/y"):
        (tmp_path / name).mkdir(parents=True)
    roots = [tmp_path / "a", tmp_path / "a-b", tmp_path / "a/x"]
    take_inventory(roots, tmp_path / "i", base=tmp_path)
    paths = [entry["path"] for entry in read_inventory(tmp_path / "i")]
    assert paths == ["/a", "/a-b", "/a-b/y", "/a/x"]
    assert inventory_roots(tmp_path / "i") == [b"/a", b"/a-b"]


def test_a_missing_root_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        take_inventory([tmp_path / "gone"], tmp_path / "i")
    assert list(tmp_path.iterdir()) == []


def test_an_inventory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        take_inventory([tmp_path], tmp_path / "no-folder" / "i")


def test_a_line_that_is_not_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "i").write_text('{"path":"/a","type":"directory"}\n{"path":3}\n')
    with pytest.raises(InputError, match="i:2"):
        list(read_inventory(tmp_path / "i"))


def test_a_large_file_is_a_task_of_its_own() -> None:
    sizes = [1] * 70 + [LARGE_FILE_BYTES] + [1]
    assert [len(task) for task in group((size, size) for size in sizes)] == [64, 6, 1, 1]


def test_a_tree_hashes_as_its_files_do(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    big = os.urandom(3 * 1024 * 1024 + 7)
    (tmp_path / "d" / "big").write_bytes(big)
    (tmp_path / "empty").write_bytes(b"")
    found = dict(hash_tree(os.fsencode(tmp_path)))
    assert found[os.fsencode(tmp_path / "d/big")] == hash_file(tmp_path / "d/big")
    assert hash_file(tmp_path / "d/big").sha256 == hashlib.sha256(big).hexdigest()
    assert hash_file(tmp_path / "empty").bytes == 0


def test_a_platform_without_readv_gives_the_same_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(os.urandom(2 * 1024 * 1024 + 3))
    expected = hash_file(tmp_path / "f")
    monkeypatch.setattr(hashing, "_read_into", hashing._read_plain)
    assert hash_file(tmp_path / "f") == expected
