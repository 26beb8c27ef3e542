"""A sealed package as one tar file: the same package gives the same bytes, wherever and whenever it is read.

The names are those of the package below its id; nothing but regular files with the names of the layout gets in. What the
package can still gain, its custody log, is read at the beginning; all the rest never changes.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snaphold.errors import EvidenceError
from snaphold.evidence import layout
from snaphold.vault.local import storage_errors

CHUNK_BYTES = 1024 * 1024
MOST_MEMBERS = 100_000
_BLOCK = 512
_END = b"\0" * (2 * _BLOCK)


@dataclass(frozen=True)
class Member:
    """One file of the archive: its header, its size, and its content where that may change on disk meanwhile."""

    path: Path
    header: bytes
    size: int
    content: bytes | None = None


@dataclass(frozen=True)
class Archive:
    """What will be written, known to the byte before the first one is."""

    name: str
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole archive."""
        return sum(len(member.header) + _padded(member.size) for member in self.members) + len(_END)

    def chunks(self) -> Iterator[bytes]:
        """Yield the archive. Raises EvidenceError when a file is not what it was, StorageError when it cannot be read."""
        for member in self.members:
            yield member.header
            yield from _content(member)
            yield b"\0" * (_padded(member.size) - member.size)
        yield _END


def plan_archive(package: Path, at: datetime) -> Archive:
    """Return the archive of a package; every member has the time `at`, the mode 0444 and no owner.

    Raises EvidenceError when something is in the package that does not belong there, StorageError when it cannot be read.
    """
    members: list[Member] = []
    with storage_errors(f"{package.name} cannot be read"):
        for path in _files(package):
            name = path.relative_to(package).as_posix()
            if name == layout.CUSTODY_PARTIAL:
                continue  # what an interrupted writer left
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or not layout.SAFE_PATH.fullmatch(name):
                raise EvidenceError(f"{package.name} holds what is no part of it", repr(name)[:200], "snaphold evidence verify")
            changing = name.startswith(f"{layout.CUSTODY}/")
            content = path.read_bytes() if changing else None
            size = len(content) if content is not None else status.st_size
            members.append(Member(path, _header(f"{package.name}/{name}", size, at), size, content))
            if len(members) > MOST_MEMBERS:
                raise EvidenceError(f"{package.name} has too many files", f"an archive has {MOST_MEMBERS} at most")
    if not members:
        raise EvidenceError(f"the package {package.name} is gone", str(package), "snaphold evidence verify")
    return Archive(package.name, tuple(members))


def _files(package: Path) -> list[Path]:
    """Return everything but folders below a package, sorted by the bytes of the names. Follows no links."""
    found: list[str] = []
    for folder, folders, names in os.walk(package, onerror=_raise, followlinks=False):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [os.path.join(folder, name) for name in (*names, *links)]
    return [Path(name) for name in sorted(found, key=os.fsencode)]


def _raise(error: OSError) -> None:
    raise error


def _header(name: str, size: int, at: datetime) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(at.timestamp()), layout.FILE_MODE
    return member.tobuf(tarfile.PAX_FORMAT)


def _content(member: Member) -> Iterator[bytes]:
    if member.content is not None:
        yield member.content
        return
    left = member.size
    with storage_errors(f"{member.path.name} cannot be read"), open(member.path, "rb") as file:
        while left:
            chunk = file.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise EvidenceError(f"{member.path.name} became shorter while it was read", None, "snaphold evidence verify")
            left -= len(chunk)
            yield chunk


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
