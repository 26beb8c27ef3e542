"""Compares two inventories by a streaming merge over the bytes of the paths.

Equal lines are skipped unparsed, so a comparison of a million entries takes well under a second; what is kept in memory
grows with the number of differences only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Any, NamedTuple

from snaphold.errors import EvidenceError, InputError
from snaphold.evidence.inventory import entry_path, parse_entry

MAXIMUM_CHANGES = 5_000_000
_ERROR_MARK = b'"error":'


class Category(str, Enum):
    """How a path differs."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    METADATA_ONLY = "metadata_only"
    MOVED = "moved"
    UNREADABLE = "unreadable"


class Change(NamedTuple):
    """One difference. `path` is where it is now (or was, when removed); `former` the path before a move.

    The lines are kept as they are: parsed ones take five times the memory.
    """

    category: Category
    path: bytes
    before_line: bytes | None
    after_line: bytes | None
    former: bytes | None = None

    @property
    def before(self) -> dict[str, Any] | None:
        """The entry before, or None when the path is new."""
        return json.loads(self.before_line) if self.before_line else None

    @property
    def after(self) -> dict[str, Any] | None:
        """The entry after, or None when the path is gone."""
        return json.loads(self.after_line) if self.after_line else None


@dataclass
class Comparison:
    """All differences, sorted by path, and how many entries each side has (`before`, `after`)."""

    before: int = 0
    after: int = 0
    changes: list[Change] = field(default_factory=lambda: [])

    def counts(self) -> dict[Category, int]:
        """Return the number of differences of every category, zeros included."""
        counted = Counter(change.category for change in self.changes)
        return {category: counted[category] for category in Category}

    def of(self, *categories: Category) -> list[Change]:
        """Return the differences of these categories, in order of path."""
        return [change for change in self.changes if change.category in categories]


class _Side:
    """One inventory, read line by line; `path` and `entry` are filled only when asked for."""

    def __init__(self, source: Path, lines: IO[bytes]) -> None:
        self.source = source
        self.lines = lines
        self.line = b""
        self.number = 0
        self.last: bytes | None = None
        self.advance()

    def advance(self) -> None:
        self.line = self.lines.readline()
        self.number += bool(self.line)

    def parse(self) -> tuple[bytes, dict[str, Any]]:
        entry = parse_entry(self.line, self.source, self.number)
        path = entry_path(entry)
        if self.last is not None and path < self.last:
            raise InputError(
                f"{self.source}:{self.number} is out of order", "an inventory is sorted by path bytes", "take it anew"
            )
        self.last = path
        return path, entry


def compare_inventories(before: Path, after: Path) -> Comparison:
    """Return how `after` differs from `before` (two inventories, sorted by path bytes).

    Raises InputError when one is missing, malformed or unsorted, EvidenceError when equal digests have different sizes.
    """
    comparison = Comparison()
    try:
        with before.open("rb") as old, after.open("rb") as new:
            left, right = _Side(before, old), _Side(after, new)
            for change in _merge(left, right):
                comparison.changes.append(change)
                if len(comparison.changes) > MAXIMUM_CHANGES:
                    raise InputError("the inventories differ too much", f"more than {MAXIMUM_CHANGES} differences")
            comparison.before, comparison.after = left.number, right.number
    except OSError as error:
        raise InputError(f"the inventory {error.filename} cannot be read", error.strerror, "check the path") from error
    comparison.changes = _pair_moves(comparison.changes)
    return comparison


def _merge(left: _Side, right: _Side) -> Iterator[Change]:
    while left.line or right.line:
        if left.line == right.line:
            if _ERROR_MARK in left.line:
                path, _ = left.parse()
                yield Change(Category.UNREADABLE, path, left.line, right.line)
            left.advance()
            right.advance()
            continue
        old = left.parse() if left.line else None
        new = right.parse() if right.line else None
        if new is None or (old is not None and old[0] < new[0]):
            assert old is not None  # noqa: S101  one of the two lines is there
            yield Change(Category.UNREADABLE if "error" in old[1] else Category.REMOVED, old[0], left.line, None)
            left.advance()
        elif old is None or new[0] < old[0]:
            yield Change(Category.UNREADABLE if "error" in new[1] else Category.ADDED, new[0], None, right.line)
            right.advance()
        else:
            yield Change(_judge(old[0], old[1], new[1]), new[0], left.line, right.line)
            left.advance()
            right.advance()


def _judge(path: bytes, before: dict[str, Any], after: dict[str, Any]) -> Category:
    if "error" in before or "error" in after:
        return Category.UNREADABLE
    same_content = all(before.get(name) == after.get(name) for name in ("type", "sha256", "target", "target_b64"))
    if same_content:
        _refuse_impossible(path, before, after)
        return Category.METADATA_ONLY
    return Category.MODIFIED


def _refuse_impossible(path: bytes, before: dict[str, Any], after: dict[str, Any]) -> None:
    if before.get("size") != after.get("size"):
        shown = path.decode("utf-8", "backslashreplace")
        raise EvidenceError(
            f"{shown} has equal digests with different sizes",
            f"{before.get('size')} and {after.get('size')} bytes: one of the inventories is false",
            "take both inventories anew",
        )


def _pair_moves(changes: list[Change]) -> list[Change]:
    """Turn each removed file whose content was added under another path into one move."""
    gone: dict[str, list[Change]] = {}
    for change in reversed(changes):
        before = change.before if change.category is Category.REMOVED else None
        if before and before.get("size"):
            gone.setdefault(before["sha256"], []).append(change)
    if not gone:
        return changes
    moved: set[bytes] = set()
    result: list[Change] = []
    for change in changes:
        after = change.after if change.category is Category.ADDED else None
        candidates = gone.get(after.get("sha256", "")) if after else None
        if not after or not candidates:
            result.append(change)
            continue
        origin = candidates.pop()
        _refuse_impossible(change.path, origin.before or {}, after)
        moved.add(origin.path)
        result.append(Change(Category.MOVED, change.path, origin.before_line, change.after_line, origin.path))
    return [change for change in result if not (change.category is Category.REMOVED and change.path in moved)]
