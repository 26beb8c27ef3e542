"""Comparing two states, and the attack patterns that the difference shows."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snaphold.errors import EvidenceError, InputError
from snaphold.evidence.compare import Category, Comparison, compare_inventories
from snaphold.evidence.differences import Differences, compare_folders
from snaphold.evidence.inventory import format_entry, take_inventory

FileTree = dict[bytes, dict[str, Any]]


def write(path: Path, tree: FileTree) -> Path:
    path.write_bytes(b"".join(format_entry(name, tree[name]) for name in sorted(tree)))
    return path


def entry(content: str, mtime: int = 1, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content.encode()).hexdigest()
    return {"type": "file", "size": len(content), "sha256": digest, "mtime_ns": mtime, "mode": 420, **more}


def compare(tmp_path: Path, before: FileTree, after: FileTree) -> Comparison:
    return compare_inventories(write(tmp_path / "before", before), write(tmp_path / "after", after))


def test_every_category_is_told_apart(tmp_path: Path) -> None:
    before = {
        b"/same": entry("same"), b"/gone": entry("gone"), b"/changed": entry("old"), b"/touched": entry("t", 1),
        b"/old-name": entry("moved"), b"/closed": {"type": "file", "error": "Permission denied", "mtime_ns": 1, "mode": 0},
        b"/link": {"type": "symlink", "target": "a", "mtime_ns": 1, "mode": 511},
    }  # fmt: skip
    after = {
        b"/same": entry("same"), b"/new": entry("new"), b"/changed": entry("newer"), b"/touched": entry("t", 2),
        b"/new-name": entry("moved"), b"/closed": {"type": "file", "error": "Permission denied", "mtime_ns": 1, "mode": 0},
        b"/link": {"type": "symlink", "target": "b", "mtime_ns": 1, "mode": 511},
    }  # fmt: skip
    comparison = compare(tmp_path, before, after)
    assert {(change.category.value, change.path, change.former) for change in comparison.changes} == {
        ("removed", b"/gone", None),
        ("added", b"/new", None),
        ("modified", b"/changed", None),
        ("modified", b"/link", None),
        ("metadata_only", b"/touched", None),
        ("moved", b"/new-name", b"/old-name"),
        ("unreadable", b"/closed", None),
    }
    assert (comparison.before, comparison.after) == (7, 7)


names = st.binary(min_size=1, max_size=4).filter(lambda name: b"/" not in name)
trees = st.dictionaries(names.map(lambda name: b"/" + name), st.sampled_from(["a", "bb", "ccc"]).map(entry), max_size=12)


@settings(max_examples=80, deadline=None)
@given(before=trees, after=trees)
def test_the_merge_agrees_with_dictionaries(tmp_path_factory: pytest.TempPathFactory, before: FileTree, after: FileTree) -> None:
    comparison = compare(tmp_path_factory.mktemp("c"), before, after)
    counts = comparison.counts()
    moved = counts[Category.MOVED]
    assert counts[Category.ADDED] + moved == len(after.keys() - before.keys())
    assert counts[Category.REMOVED] + moved == len(before.keys() - after.keys())
    assert counts[Category.MODIFIED] == sum(before[name] != after[name] for name in before.keys() & after.keys())
    assert (comparison.before, comparison.after) == (len(before), len(after))


def test_equal_digests_with_different_sizes_are_an_error(tmp_path: Path) -> None:
    before, after = {b"/a": entry("x")}, {b"/a": entry("x", size=2)}
    with pytest.raises(EvidenceError, match="equal digests"):
        compare(tmp_path, before, after)
    with pytest.raises(EvidenceError, match="equal digests"):
        compare(tmp_path, {b"/a": entry("x")}, {b"/b": entry("x", size=2)})


def test_an_unsorted_or_broken_inventory_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good", {b"/a": entry("a")})
    unsorted = tmp_path / "unsorted"
    unsorted.write_bytes(format_entry(b"/b", entry("1")) + format_entry(b"/a", entry("2")))
    with pytest.raises(InputError, match="unsorted:2 is out of order"):
        compare_inventories(unsorted, good)
    cut = tmp_path / "cut"
    cut.write_bytes(good.read_bytes()[:-5])
    with pytest.raises(InputError, match="cut:1"):
        compare_inventories(good, cut)
    with pytest.raises(InputError, match="cannot be read"):
        compare_inventories(good, tmp_path / "gone")


def test_a_name_that_is_not_text_is_compared_by_its_bytes(tmp_path: Path) -> None:
    assert compare(tmp_path, {b"/\xff": entry("a")}, {b"/\xff": entry("a")}).changes == []
    assert compare(tmp_path, {b"/\xff": entry("a")}, {b"/\xfe": entry("b")}).counts()[Category.ADDED] == 1


@pytest.fixture
def share(tmp_path: Path) -> Path:
    words = random.Random(7)  # noqa: S311  no secret: text that compresses
    for number in range(60):
        path = tmp_path / f"before/folder{number % 4}/file{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(words.choices(["order", "invoice", "customer", "total"], k=400)))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return tmp_path / "before"


def attack(share: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(share, tmp_path / "after"))


def diff(share: Path, after: Path, tmp_path: Path) -> Differences:
    (tmp_path / "scratch").mkdir()
    return compare_folders(share, after, tmp_path / "scratch")


def test_encrypted_and_renamed_files_with_a_note_are_named(share: Path, tmp_path: Path) -> None:
    after = attack(share, tmp_path)
    for path in sorted(after.rglob("*.txt"))[:40]:
        path.with_name(path.name + ".locked").write_bytes(os.urandom(4096))
        path.unlink()
    for folder in after.iterdir():
        (folder / "READ_ME_TO_DECRYPT.txt").write_text("Your files are encrypted. Pay 2 bitcoin to this wallet.")
    patterns = {pattern.name: pattern for pattern in diff(share, after, tmp_path).patterns}
    assert set(patterns) == {"mass encryption", "ransom note"}
    assert "40 files changed, 40 with the new extension .locked" in patterns["mass encryption"].detail
    assert patterns["ransom note"].count == 4
    assert patterns["ransom note"].samples[0].endswith("READ_ME_TO_DECRYPT.txt")


def test_files_encrypted_in_place_are_named(share: Path, tmp_path: Path) -> None:
    after = attack(share, tmp_path)
    for path in sorted(after.rglob("*.txt"))[:20]:
        path.write_bytes(os.urandom(4096))
    assert [pattern.name for pattern in diff(share, after, tmp_path).patterns] == ["mass encryption"]


def test_an_attack_is_seen_beside_ordinary_work(share: Path, tmp_path: Path) -> None:
    after = attack(share, tmp_path)
    files = sorted(after.rglob("*.txt"))
    for number, path in enumerate(files):
        path.write_bytes(os.urandom(4096) if number % 3 == 0 else path.read_bytes() + b" appended")
    assert [pattern.name for pattern in diff(share, after, tmp_path).patterns] == ["mass encryption"]


def test_ordinary_work_shows_no_pattern(share: Path, tmp_path: Path) -> None:
    import gzip

    after = attack(share, tmp_path)
    for path in sorted(after.rglob("*.txt"))[:30]:
        path.write_text(path.read_text() + " appended")
    for number in range(12):
        (after / f"archive{number}.gz").write_bytes(gzip.compress(os.urandom(2000)))
    (after / "README.md").write_text("How to use this folder.")
    for path in sorted(after.rglob("*.txt"))[:5]:
        path.unlink()
    assert diff(share, after, tmp_path).patterns == ()


def test_deletion_renames_and_time_stamps_are_named(share: Path, tmp_path: Path) -> None:
    after = attack(share, tmp_path)
    files = sorted(after.rglob("*.txt"))
    for path in files[:20]:
        path.unlink()
    for path in files[20:35]:
        path.rename(path.with_name("x" + path.name))
    files[40].write_text("tampered with")
    os.utime(files[40], (1_700_000_000, 1_700_000_000))
    patterns = {pattern.name: pattern for pattern in diff(share, after, tmp_path).patterns}
    assert set(patterns) == {"mass deletion", "mass renames", "timestamp tampering"}
    assert patterns["mass deletion"].count == 20
    assert patterns["mass renames"].count == 15
    assert patterns["timestamp tampering"].samples == (f"/{files[40].relative_to(after)}",)
    assert "e.g. /" in str(patterns["mass deletion"])


def test_without_the_files_the_finding_says_that_content_was_not_looked_at(share: Path, tmp_path: Path) -> None:
    from snaphold.evidence.patterns import find_patterns

    after = attack(share, tmp_path)
    for path in sorted(after.rglob("*.txt"))[:30]:
        path.with_name(path.name + ".locked").write_bytes(os.urandom(300))
        path.unlink()
    for folder in after.iterdir():
        (folder / "HOW_TO_RECOVER.html").write_text("x")
    for name, folder in (("b", share), ("a", after)):
        take_inventory([folder], tmp_path / name, base=folder)
    patterns = find_patterns(compare_inventories(tmp_path / "b", tmp_path / "a"))
    assert [pattern.name for pattern in patterns] == ["mass encryption", "ransom note"]
    assert all("content not looked at" in pattern.detail for pattern in patterns)
