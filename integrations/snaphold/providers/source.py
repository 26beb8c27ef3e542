"""What is copied: the sources of an asset, their size, and what the source inventory says about a finished copy."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaphold.domain.asset import Application, Asset
from snaphold.errors import ProviderError
from snaphold.evidence.inventory import entry_path, read_inventory
from snaphold.providers.base import Estimate, Workload

JOURNAL_SUFFIXES = ("-wal", "-shm", "-journal")
NAMED_PATHS = 20
"""At most so many paths are named in a finding; the rest is counted."""


def find_sources(asset: Asset, base: Path, never_inside: Path) -> Workload:
    """Return what of an asset is backed up: existing, absolute paths with links resolved, none inside another.

    A missing source is an error here because engines skip it in silence. `never_inside` is the pool's folder: a
    backup must not contain itself. Raises ProviderError naming every fault.
    """
    given = [base / Path(text).expanduser() for text in asset.protection.paths]
    missing = [str(path) for path in given if not path.exists()]
    if missing:
        raise ProviderError(
            f"{asset.id} cannot be backed up: {', '.join(missing)} does not exist",
            "a backup without one of its sources would look complete",
            "correct protection.paths of the asset, or mount what is missing",
        )
    if not given and asset.application is None:
        raise ProviderError(
            f"{asset.id} has nothing that could be backed up",
            "protection.paths is empty and no application is described",
            "add protection.paths or application to the asset in snaphold.yaml",
        )
    resolved = sorted({path.resolve() for path in given})
    outermost = [path for path in resolved if not any(other in path.parents for other in resolved)]
    for path in outermost:
        if path == never_inside or path in never_inside.parents:
            raise ProviderError(
                f"{asset.id} cannot be backed up: the pool lies inside its source",
                f"{never_inside} is below {path}, so the backup would contain itself",
                "move the pool to isolated storage",
            )
    return Workload(asset=asset.id, paths=tuple(str(path) for path in outermost), application=asset.application)


def measure(paths: Iterable[Path]) -> Estimate:
    """Return the apparent size and number of the files below `paths`; an upper limit of what a backup adds."""
    size = files = 0
    for path in paths:
        for status in _walk(path):
            size, files = size + status.st_size, files + 1
    return Estimate(bytes=size, files=files, method="size of the source")


def application_files(application: Application | None, base: Path) -> list[Path]:
    """Return the files or folder of an application that keeps its data in a path; empty when it has an address."""
    if application is None:
        return []
    place = base / Path(application.location).expanduser()
    if not place.exists():
        return []
    return [path for path in live_files(place) if path.exists()]


def live_files(place: Path) -> tuple[Path, ...]:
    """Return the live data of an application and the journals that may stand beside it, whether they exist or not."""
    place = place.resolve()
    return (place, *(place.with_name(place.name + suffix) for suffix in JOURNAL_SUFFIXES))


def leave_out(path: Path, unwanted: Sequence[Path]) -> list[Path]:
    """Return what remains of `path` without these paths, in as few parts as possible."""
    if path in unwanted:
        return []
    if not any(path in other.parents for other in unwanted):
        return [path]
    return [part for child in sorted(path.iterdir()) for part in leave_out(child, unwanted)]


def _walk(path: Path) -> Iterator[os.stat_result]:
    status = path.lstat()
    if stat.S_ISREG(status.st_mode):
        yield status
    elif stat.S_ISDIR(status.st_mode):
        for folder, _folders, names in os.walk(path, onerror=None):
            for name in names:
                try:
                    found = os.lstat(os.path.join(folder, name))
                except OSError:
                    continue  # It went away while walking; the backup itself reports what it cannot read.
                if stat.S_ISREG(found.st_mode):
                    yield found


@dataclass(frozen=True)
class Inventoried:
    """What a source inventory holds, counted: files that were read, their bytes, links, and the rest."""

    files: int
    bytes: int
    symlinks: int
    special: tuple[str, ...]
    unreadable: tuple[str, ...]


def count_inventory(inventory: Path) -> Inventoried:
    """Return the counts of a source inventory; special files (pipes, sockets, devices) are named."""
    files = size = symlinks = 0
    special: list[str] = []
    unreadable: list[str] = []
    for entry in read_inventory(inventory):
        kind = entry["type"]
        if "error" in entry:
            unreadable.append(str(path_of(entry)))
        elif kind == "file":
            files, size = files + 1, size + int(entry["size"])
        elif kind == "symlink":
            symlinks += 1
        elif kind == "other":
            special.append(str(path_of(entry)))
    return Inventoried(files, size, symlinks, tuple(special), tuple(unreadable))


def changed_since(inventory: Path) -> list[str]:
    """Return the files that no longer have the size or time of the inventory: they changed during the copy."""
    changed: list[str] = []
    for entry in read_inventory(inventory):
        if entry["type"] != "file" or "error" in entry:
            continue
        path = path_of(entry)
        try:
            status = path.lstat()
        except OSError:
            changed.append(str(path))
            continue
        if (status.st_size, status.st_mtime_ns) != (entry["size"], entry["mtime_ns"]):
            changed.append(str(path))
    return changed


def path_of(entry: dict[str, Any]) -> Path:
    """Return the path of an inventory entry, also one that is not UTF-8."""
    return Path(os.fsdecode(entry_path(entry)))


def name_paths(paths: Sequence[str]) -> str:
    """Return the first few paths as text, and how many more there are."""
    shown = ", ".join(path.encode("utf-8", "backslashreplace").decode() for path in paths[:NAMED_PATHS])
    rest = len(paths) - NAMED_PATHS
    return f"{shown} and {rest} more" if rest > 0 else shown
