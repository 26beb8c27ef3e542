"""Inventories: one JSON line for every file, folder and link, sorted by the bytes of the path, with digests.

Nothing is left out silently: what cannot be read has a line with `error`. A path that is not UTF-8 stands as base64 of
its bytes under `path_b64`, so that no name is changed by being written down.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from snaphold.errors import InputError, StorageError
from snaphold.evidence.hashing import group, hash_descriptor, map_in_order

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_PROGRESS_EVERY = 1000
_KINDS = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symlink"))
_ENTRY_KEYS = {"path", "path_b64", "type", "size", "sha256", "mtime_ns", "mode", "target", "target_b64", "error"}


@dataclass(frozen=True)
class InventorySummary:
    """What an inventory holds: regular files, their bytes, paths that could not be read, and its own SHA-256."""

    files: int
    bytes: int
    unreadable: tuple[str, ...]
    sha256: str


class _Found(NamedTuple):
    path: bytes
    status: os.stat_result | None
    error: OSError | None


def take_inventory(
    roots: Sequence[Path], into: Path, *, progress: Callable[[str], None] | None = None, base: Path | None = None
) -> InventorySummary:
    """Write the inventory of files and folders to `into` and return its summary.

    With `base`, paths are written as if that folder were `/` (a restored tree then compares with its source).
    Raises InputError when a root does not exist, StorageError when `into` cannot be written.
    """
    tops = _outermost([os.fsencode(os.path.abspath(root)) for root in roots])
    for top in tops:
        if not os.path.lexists(top):
            raise InputError(f"{os.fsdecode(top)} does not exist", "an inventory of it cannot be taken", "check the path")
    prefix = os.fsencode(os.path.abspath(base)) if base else b""
    partial = into.with_name(into.name + ".partial")
    files = total = lines = 0
    unreadable: list[str] = []
    digest = hashlib.sha256()
    try:
        with partial.open("wb") as out:
            for entries in map_in_order(_describe_all, group(_sized(_sorted_entries(tops)))):
                for path, fields in entries:
                    line = format_entry(path[len(prefix) :] or b"/", fields)
                    digest.update(line)
                    out.write(line)
                    lines += 1
                    if "error" in fields:
                        unreadable.append(os.fsdecode(path))
                    elif "sha256" in fields:
                        files += 1
                        total += fields["size"]
                    if progress and lines % _PROGRESS_EVERY == 0:
                        progress(f"inventory: {lines} entries, {total} bytes")
            out.flush()
            os.fsync(out.fileno())
        partial.replace(into)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(
            f"the inventory {into} cannot be written", error.strerror, "free space, or check the folder"
        ) from error
    return InventorySummary(files, total, tuple(unreadable), digest.hexdigest())


def format_entry(path: bytes, fields: dict[str, Any]) -> bytes:
    """Return one line of an inventory: sorted keys, no spaces, a line end."""
    entry = {**_text_or_base64("path", path), **fields}
    return (json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def entry_path(entry: dict[str, Any]) -> bytes:
    """Return the bytes of the path of a parsed entry. Raises KeyError or ValueError when it has none."""
    return entry["path"].encode() if "path" in entry else base64.b64decode(entry["path_b64"], validate=True)


def read_inventory(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the parsed entries of an inventory. Raises InputError with the line when one is malformed."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield parse_entry(line, path, number)


def parse_entry(line: bytes, source: Path, number: int) -> dict[str, Any]:
    """Return one parsed line of an inventory. Raises InputError naming file and line."""
    try:
        entry = json.loads(line)
        entry_path(entry)
        if not set(entry) <= _ENTRY_KEYS or not line.endswith(b"\n"):
            raise ValueError("unknown keys, or cut off")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{source}:{number} is not a line of an inventory", str(error) or None, "take it anew") from error
    return entry


def inventory_roots(path: Path) -> list[bytes]:
    """Return the outermost paths of an inventory: what it was taken of."""
    roots: set[bytes] = set()
    for entry in read_inventory(path):
        name = entry_path(entry)
        parent = name
        while parent not in roots:
            if parent in (b"/", b""):
                roots.add(name)
                break
            parent = os.path.dirname(parent)
    return sorted(roots)


def _outermost(paths: list[bytes]) -> list[bytes]:
    kept: list[bytes] = []
    for path in sorted(set(paths), key=len):
        if not any(path.startswith(top.rstrip(b"/") + b"/") for top in kept):
            kept.append(path)
    return kept


def _sorted_entries(tops: list[bytes]) -> Iterator[_Found]:
    """Yield everything at and below `tops`, sorted by path bytes, holding one folder at a time.

    A folder stands twice on the stack, as `a` (itself) and as `a/` (its content), because `a-b` sorts between them.
    """
    pending = [(top, False) for top in tops]
    pending += [(top.rstrip(b"/") + b"/", True) for top in tops if stat.S_ISDIR(os.lstat(top).st_mode)]
    pending.sort(reverse=True)
    unreadable: set[bytes] = set()
    while pending:
        path, is_content = pending.pop()
        if not is_content:
            found = _look(path)
            if found.error:
                unreadable.add(path)
            yield found
            continue
        try:
            with os.scandir(path) as entries:
                inside = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except OSError as error:
            name = path.rstrip(b"/")
            if name not in unreadable:
                yield _Found(name, None, error)
            continue
        below = [(name, False) for name, _ in inside]
        below += [(name + b"/", True) for name, is_folder in inside if is_folder]
        below.sort(reverse=True)
        pending += below


def _look(path: bytes) -> _Found:
    status = None
    try:
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            os.scandir(path).close()
    except OSError as error:
        return _Found(path, status, error)
    return _Found(path, status, None)


def _sized(found: Iterator[_Found]) -> Iterator[tuple[_Found, int]]:
    for item in found:
        regular = item.status is not None and stat.S_ISREG(item.status.st_mode)
        yield item, item.status.st_size if item.status is not None and regular else 0


def _describe_all(found: Sequence[_Found]) -> list[tuple[bytes, dict[str, Any]]]:
    return [(item.path, _describe(item)) for item in found]


def _describe(found: _Found) -> dict[str, Any]:
    status = found.status
    if status is None:
        return {"type": "other", "error": _reason(found.error)}
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "other")
    fields: dict[str, Any] = {"type": kind, "mtime_ns": status.st_mtime_ns, "mode": stat.S_IMODE(status.st_mode)}
    try:
        if found.error:
            fields["error"] = _reason(found.error)
        elif kind == "file":
            fields["size"] = status.st_size
            fields.update(_read(found.path))
        elif kind == "symlink":
            fields.update(_text_or_base64("target", os.readlink(found.path)))
    except OSError as error:
        fields["error"] = _reason(error)
    return fields


def _read(path: bytes) -> dict[str, Any]:
    """Return digest, and the size that was really read: a file can grow while it is looked at."""
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        found = hash_descriptor(descriptor)
    finally:
        os.close(descriptor)
    return {"sha256": found.sha256, "size": found.bytes}


def _reason(error: OSError | None) -> str:
    return (error.strerror if error else None) or "cannot be read"


def _text_or_base64(name: str, value: bytes) -> dict[str, str]:
    try:
        return {name: value.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}_b64": base64.b64encode(value).decode("ascii")}
