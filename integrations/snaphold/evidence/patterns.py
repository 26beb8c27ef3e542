"""Names the attack patterns that a comparison of two states shows. Every finding says how many, and where."""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from snaphold.evidence.compare import Category, Change, Comparison

MASS_FILES = 10
"""Fewer files than this are never called `mass`."""
DELETED_SHARE = 0.2
"""Share of the files before that must be gone."""
ENCRYPTED_SHARE = 0.2
"""Share of the sampled changed files that must look encrypted; ordinary work goes on beside an attack."""
SAMPLED_FILES = 64
SAMPLE_BYTES = 64 * 1024
SHOWN_PATHS = 5
INCOMPRESSIBLE = 0.98
"""Compressed size over size: encrypted bytes do not shrink."""
SHORTEST_SAMPLE = 256
_NOTE_NAME = re.compile(
    rb"(?i)(decrypt|recover|restore|ransom|how[_ -]?to|read[_ -]?me|unlock|instruction|your[_ -]?files|help)"
    rb".*\.(txt|html?|hta|rtf|md|url)$"
)
_NOTE_MARKERS = (
    b"bitcoin", b"btc", b"monero", b"wallet", b".onion", b"tor browser", b"encrypted", b"decrypt", b"ransom", b"your files",
    b"payment", b"private key",
)  # fmt: skip
_MARKERS_NEEDED = 2
_COMPRESSED_HEADERS = (
    b"PK\x03\x04", b"\x1f\x8b", b"\xff\xd8\xff", b"\x89PNG", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"(\xb5/\xfd", b"%PDF",
    b"Rar!", b"GIF8", b"RIFF", b"OggS", b"ID3", b"fLaC", b"\x04\x22\x4d\x18",
)  # fmt: skip

LiveFile = Callable[[bytes], "Path | None"]
"""Gives the file that stands at an inventory's path now, or None when it cannot be looked at."""


@dataclass(frozen=True)
class Pattern:
    """A named pattern, how many paths show it, a sentence for people, and sample paths."""

    name: str
    count: int
    detail: str
    samples: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}; e.g. {', '.join(self.samples)}"


def find_patterns(comparison: Comparison, live: LiveFile | None = None) -> list[Pattern]:
    """Return the attack patterns of a comparison, worst first.

    `live` gives access to the files as they are now; without it nothing is said about content, and the detail says so.
    """
    renamed = _renamed_with_new_content(comparison)
    found = (
        _mass_encryption(comparison, renamed, live),
        _ransom_note(comparison, live),
        _mass_deletion(comparison, renamed),
        _mass_renames(comparison),
        _timestamp_tampering(comparison),
    )
    return [pattern for pattern in found if pattern is not None]


def _files(changes: Iterable[Change]) -> list[Change]:
    return [change for change in changes if (change.after or change.before or {}).get("type") == "file"]


def _renamed_with_new_content(comparison: Comparison) -> dict[bytes, Change]:
    """Return added files that replace a removed one of the same folder and stem, by the removed path."""
    removed = {change.path for change in _files(comparison.of(Category.REMOVED))}
    pairs: dict[bytes, Change] = {}
    stems = {os.path.splitext(path)[0]: path for path in removed}
    for change in _files(comparison.of(Category.ADDED)):
        stem = os.path.splitext(change.path)[0]
        # a.docx.locked replaces a.docx; a.locked replaces a.docx.
        former = stem if stem in removed else stems.get(stem)
        if former and former not in pairs:
            pairs[former] = change
    return pairs


def _mass_encryption(comparison: Comparison, renamed: dict[bytes, Change], live: LiveFile | None) -> Pattern | None:
    changed = [*renamed.values(), *_files(comparison.of(Category.MODIFIED))]
    if len(changed) < MASS_FILES:
        return None
    extensions = Counter(os.path.splitext(change.path)[1] for change in renamed.values())
    extension, with_extension = extensions.most_common(1)[0] if extensions else (b"", 0)
    named = f", {with_extension} with the new extension {_show(extension)}" if with_extension else ""
    if live is None:
        if with_extension < MASS_FILES:
            return None
        return _pattern("mass encryption", [*renamed.values()], f"{len(renamed)} files replaced{named}; content not looked at")
    # Spread the samples over all of them: an attack may have begun anywhere.
    sample = changed[:: max(1, len(changed) // SAMPLED_FILES)][:SAMPLED_FILES]
    looked_at = [(change, _looks_encrypted(live(change.path))) for change in sample]
    judged = [change for change, answer in looked_at if answer is not None]
    encrypted = [change for change, answer in looked_at if answer]
    share = len(encrypted) / len(judged) if judged else 0.0
    if share < ENCRYPTED_SHARE or share * len(changed) < MASS_FILES:
        return None
    detail = f"{len(changed)} files changed{named}; {len(encrypted)} of {len(judged)} sampled look encrypted"
    return _pattern("mass encryption", encrypted, detail, count=len(changed))


def _looks_encrypted(path: Path | None) -> bool | None:
    """Return whether a file's content looks like random bytes; None when it cannot be read or is too short to tell."""
    head = _head(path)
    if head is None or len(head) < SHORTEST_SAMPLE:
        return None
    if head.startswith(_COMPRESSED_HEADERS) or head[4:8] == b"ftyp":
        return False
    return len(zlib.compress(head, 6)) / len(head) >= INCOMPRESSIBLE


def _head(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(SAMPLE_BYTES)
    except OSError:
        return None


def _ransom_note(comparison: Comparison, live: LiveFile | None) -> Pattern | None:
    groups: dict[str, list[Change]] = defaultdict(list)
    for change in _files(comparison.of(Category.ADDED)):
        if _NOTE_NAME.search(os.path.basename(change.path)):
            groups[str((change.after or {}).get("sha256"))].append(change)
    notes: list[Change] = []
    marked = False
    for group in groups.values():
        head = _head(live(group[0].path)) if live else None
        markers = sum(marker in head.lower() for marker in _NOTE_MARKERS) if head else 0
        folders = {os.path.dirname(change.path) for change in group}
        if markers >= _MARKERS_NEEDED or (head is None and len(folders) > 1):
            notes += group
            marked = marked or markers >= _MARKERS_NEEDED
    if not notes:
        return None
    folders = {os.path.dirname(change.path) for change in notes}
    told = "the text asks for payment or names a key" if marked else "content not looked at"
    return _pattern("ransom note", notes, f"{len(notes)} new files in {len(folders)} folders, named like a ransom note; {told}")


def _mass_deletion(comparison: Comparison, renamed: dict[bytes, Change]) -> Pattern | None:
    gone = [change for change in _files(comparison.of(Category.REMOVED)) if change.path not in renamed]
    share = len(gone) / comparison.before if comparison.before else 0.0
    if len(gone) < MASS_FILES or share < DELETED_SHARE:
        return None
    return _pattern("mass deletion", gone, f"{len(gone)} files are gone ({share:.0%} of all entries)")


def _mass_renames(comparison: Comparison) -> Pattern | None:
    moved = [
        change
        for change in _files(comparison.of(Category.MOVED))
        if change.former and os.path.basename(change.former) != os.path.basename(change.path)
    ]
    if len(moved) < MASS_FILES:
        return None
    return _pattern("mass renames", moved, f"{len(moved)} files have a new name and the same content")


def _timestamp_tampering(comparison: Comparison) -> Pattern | None:
    touched = [
        change
        for change in _files(comparison.of(Category.MODIFIED))
        if (change.before or {}).get("type") == "file"
        and (change.before or {}).get("mtime_ns") == (change.after or {}).get("mtime_ns")
    ]
    if not touched:
        return None
    return _pattern("timestamp tampering", touched, f"{len(touched)} files have new content and the old modification time")


def _pattern(name: str, changes: list[Change], detail: str, count: int | None = None) -> Pattern:
    samples = tuple(_show(change.path) for change in changes[:SHOWN_PATHS])
    return Pattern(name, len(changes) if count is None else count, detail, samples)


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
