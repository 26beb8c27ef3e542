"""Compares two states and writes the report: every difference as a JSON line, counts and attack patterns first."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaphold.evidence.compare import Category, Change, Comparison, compare_inventories
from snaphold.evidence.inventory import entry_path, format_entry, inventory_roots, read_inventory, take_inventory
from snaphold.evidence.patterns import LiveFile, Pattern, find_patterns
from snaphold.vault.local import storage_errors


@dataclass(frozen=True)
class Differences:
    """A comparison with the patterns that it shows."""

    comparison: Comparison
    patterns: tuple[Pattern, ...]


def compare_states(before: Path, after: Path, live: LiveFile | None) -> Differences:
    """Return the differences of two inventories. Raises InputError, EvidenceError."""
    comparison = compare_inventories(before, after)
    return Differences(comparison, tuple(find_patterns(comparison, live)))


def compare_folders(before: Path, after: Path, scratch: Path) -> Differences:
    """Return the differences of two folders; paths count from each folder. `scratch` takes the inventories."""
    inventories: list[Path] = []
    for number, folder in enumerate((before, after)):
        inventories.append(scratch / f"{number}.jsonl")
        take_inventory([folder], inventories[-1], base=folder)
    top = os.fsencode(after)

    def live(path: bytes) -> Path:
        return Path(os.fsdecode(top + path))

    return compare_states(inventories[0], inventories[1], live)


def compare_with_live(before: Path, scratch: Path, apart: Path) -> tuple[Differences, list[str]]:
    """Return how the source is now against an inventory of it, and what was left out.

    What the inventory has below `apart` (copies that a quiesce adapter made) has no live counterpart and is left out.
    """
    outside = os.fsencode(apart).rstrip(b"/") + b"/"
    kept = scratch / "before.jsonl"
    left_out = 0
    with storage_errors("the comparison cannot be written"), kept.open("wb") as out:
        for entry in read_inventory(before):
            path = entry_path(entry)
            if path.startswith(outside):
                left_out += 1
                continue
            fields = {name: value for name, value in entry.items() if name not in ("path", "path_b64")}
            out.write(format_entry(path, fields))
    roots = [Path(os.fsdecode(root)) for root in inventory_roots(kept)]
    now = scratch / "after.jsonl"
    take_inventory([root for root in roots if os.path.lexists(root)], now)
    note = f"{left_out} entries are copies made by a quiesce adapter; the live application was not compared"
    return compare_states(kept, now, lambda path: Path(os.fsdecode(path))), [note] if left_out else []


def write_report(differences: Differences, path: Path) -> None:
    """Write the report as JSON lines: a summary, then every difference. Raises StorageError."""
    partial = path.with_name(path.name + ".partial")
    with storage_errors(f"the report {path} cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as out:
            out.write(json.dumps(summarise(differences), sort_keys=True, ensure_ascii=False) + "\n")
            for change in differences.comparison.changes:
                out.write(json.dumps(_document(change), sort_keys=True, ensure_ascii=False) + "\n")
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)


def summarise(differences: Differences) -> dict[str, Any]:
    """Return counts by category, number of entries on each side, and the patterns."""
    counts = differences.comparison.counts()
    return {
        "before": differences.comparison.before,
        "after": differences.comparison.after,
        "counts": {category.value: counts[category] for category in Category},
        "patterns": [
            {"name": item.name, "count": item.count, "detail": item.detail, "samples": list(item.samples)}
            for item in differences.patterns
        ],
    }


def _document(change: Change) -> dict[str, Any]:
    document: dict[str, Any] = {"category": change.category.value, "before": change.before, "after": change.after}
    document["path"] = change.path.decode("utf-8", "backslashreplace")
    if change.former is not None:
        document["former"] = change.former.decode("utf-8", "backslashreplace")
    return document
