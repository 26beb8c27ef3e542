"""A folder on this machine as a vault. What is put there is flushed to disk, whole, and read-only."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Collection, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from snaphold.domain.stored_package import RestingPlace, StoredPackage
from snaphold.domain.value import IDENTIFIER_PATTERN
from snaphold.errors import InputError, StorageError
from snaphold.vault.base import ReadBack

WRITABLE_FOLDER = "custody"
"""The one part of a package that grows after it is sealed."""
REGISTER_ONLY = "register only"
PROTECTION = "read-only files; nothing stronger"
_STAGING_PREFIX = ".staging-"


class LocalVault:
    """Packages in one folder. A package is built in a hidden folder beside the finished ones, then renamed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stage(self, name: str) -> Path:
        """Return an empty private folder for a package; what a lost attempt left there is removed."""
        staged = self.folder / (_STAGING_PREFIX + _checked(name))
        with storage_errors(f"the vault {self.folder} cannot take a package"):
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_tree(staged)
            staged.mkdir(mode=0o700)
        return staged

    def place(self, name: str, retain_until: datetime) -> RestingPlace:
        """Return where the package will rest. Files that are read-only for others are no lock against their owner."""
        return RestingPlace(uri=(self.folder / _checked(name)).as_uri(), immutability=PROTECTION)

    def commit(self, staged: Path, name: str, *, retain_until: datetime | None = None) -> Path:
        """Flush, rename and write-protect a staged package; return its final path. A folder knows no retention.

        Raises StorageError, leaving the staged folder, when the name exists or the storage refuses.
        """
        final = self.folder / _checked(name)
        if os.path.lexists(final):
            raise StorageError(f"the package {final} exists already", "a sealed package is never replaced", "use another id")
        with storage_errors(f"the package {final} cannot be stored"):
            for folder, _, files in os.walk(staged, topdown=False):
                for file in files:
                    flush(Path(folder) / file)
                flush(Path(folder))
            _protect(staged)
            staged.rename(final)
            final.chmod(0o555)
            flush(self.folder)
        return final

    def find(self, name: str) -> Path | None:
        """Return the path of a finished package, or None."""
        final = self.folder / _checked(name)
        return final if final.is_dir() and not final.is_symlink() else None

    def stored(self, name: str) -> StoredPackage | None:
        """Return None: there is no remote vault."""
        return None

    def read_back(self, name: str, into: Path, *, recorded: StoredPackage | None) -> ReadBack:
        """Return the package where it rests; nothing is copied."""
        found = self.find(name)
        final = self.folder / _checked(name)
        return ReadBack(final, () if found else (f"{final}: the package is gone",))

    def set_legal_hold(self, name: str, holds: Collection[str]) -> str:
        """Return how a hold is enforced: a folder knows none."""
        return f"{REGISTER_ONLY}: the package's folder is read-only"

    def extend_retention(self, name: str, until: datetime) -> str:
        """Return how a retention is enforced: a folder knows none."""
        return f"{REGISTER_ONLY}: the package's folder is read-only"

    def mirror_custody(self, name: str) -> str:
        """Return where the log is: in the package itself, of which there is no other copy."""
        return (self.folder / _checked(name) / "custody").as_uri()


@contextmanager
def storage_errors(what: str) -> Generator[None]:
    """Turn an OSError inside into a StorageError that says what to do."""
    remedies = {errno.ENOSPC: "free some space", errno.EDQUOT: "raise the quota", errno.EROFS: "mount it writable"}
    try:
        yield
    except OSError as error:
        do = remedies.get(error.errno or 0, "check the path and its permissions")
        raise StorageError(what, error.strerror, do) from error


def flush(path: Path) -> None:
    """Have a file or folder written to disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it, write-protected or not; nothing happens when there is none."""
    if not os.path.lexists(folder):
        return
    for inside, _, _ in os.walk(folder):
        Path(inside).chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


def _protect(staged: Path) -> None:
    """Make everything read-only but the custody folder; the top folder follows after the rename."""
    for folder, folders, files in os.walk(staged):
        here = Path(folder)
        open_ended = WRITABLE_FOLDER in here.relative_to(staged).parts
        for file in files:
            (here / file).chmod(0o644 if open_ended else 0o444)
        for name in folders:
            (here / name).chmod(0o755 if open_ended or name == WRITABLE_FOLDER else 0o555)


def _checked(name: str) -> str:
    if not re.match(IDENTIFIER_PATTERN, name):
        raise InputError(f"{name!r} cannot be the name of a package", "letters, digits and . _ @ - only")
    return name
