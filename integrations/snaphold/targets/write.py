"""Writes compiled outputs: all of a folder's files at once, or none. A build that dies leaves the old set in place."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from snaphold.errors import InputError, StorageError

MARK = ".snaphold-compiled"
"""Stands in every folder that was written here. A folder without it is somebody else's and is never replaced."""
_MARK_TEXT = "Written by `snaphold playbook compile`, which replaces this whole folder.\n"


def write_outputs(outputs: Mapping[str, bytes], folder: Path) -> None:
    """Make `folder` hold exactly these files (relative paths with `/`), replacing an earlier set as a whole.

    The new set is written and synchronised beside the folder, then takes its name; what was there before is gone.
    Raises InputError when the folder holds anything that was not compiled, or a path leads out of it; StorageError.
    """
    for relative in outputs:
        refuse_path(relative)
    folder = folder.absolute()
    refuse_foreign(folder)
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    try:
        _write_set({**outputs, MARK: _MARK_TEXT.encode()}, fresh)
        _take_place(fresh, folder)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written", error.strerror, "check the path, its permissions and the disk"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def refuse_path(relative: str) -> None:
    """Raise InputError when a relative path is empty, absolute, or leads out of its folder."""
    path = PurePosixPath(relative)
    if not relative or path.is_absolute() or ".." in path.parts or "\\" in relative or str(path) != relative:
        raise InputError(f"{relative!r} cannot be the name of an output", "it must lead into the output folder")


def refuse_foreign(folder: Path) -> None:
    """Raise InputError when a folder cannot be replaced: it is a file or a link, or it holds what was not compiled."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} is not a folder", do="name another one")
    if folder.is_dir() and not (folder / MARK).is_file() and any(folder.iterdir()):
        raise InputError(
            f"{folder} holds files that were not compiled", "they would be deleted", "name an empty folder or a new one"
        )


def _write_set(outputs: Mapping[str, bytes], fresh: Path) -> None:
    fresh.mkdir(parents=True)
    for relative, content in sorted(outputs.items()):
        path = fresh / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    for place in [*sorted(path for path in fresh.rglob("*") if path.is_dir()), fresh]:
        _sync(place)


def _take_place(fresh: Path, folder: Path) -> None:
    """Give the new set the folder's name. Only between two renames is there no set; the old one is put back on failure."""
    old = fresh.with_suffix(".old")
    was_there = folder.exists()
    if was_there:
        folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        if was_there:
            old.rename(folder)
        raise
    _sync(folder.parent)
    if was_there:
        shutil.rmtree(old)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
