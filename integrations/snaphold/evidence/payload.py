"""Writes payload files: hashed in the stream while they are copied, then read back from the disk and compared."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import Buffer

from snaphold.errors import EvidenceError
from snaphold.evidence import layout
from snaphold.evidence.hashing import hash_file

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class StreamSource:
    """Bytes to keep as they are; `suffix` is the end of the generated name."""

    description: str
    chunks: Iterable[bytes]
    suffix: str = "bin"
    restore_point: str = ""
    original_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TreeSource:
    """A folder to keep as one tar archive. Names in the archive count from `root`."""

    description: str
    root: Path
    restore_point: str = ""
    original_names: tuple[str, ...] = ()


PayloadSource = StreamSource | TreeSource


@dataclass(frozen=True)
class StoredPayload:
    """A payload file in the package, with the digests of the stream and of the stored file read again."""

    name: str
    source: PayloadSource
    bytes: int
    sha256: str
    sha256_read_back: str


class _HashingFile(io.RawIOBase):
    """A file that hashes and counts what is written to it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("xb", buffering=1024 * 1024)
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data)
        self._file.write(view)
        self.digest.update(view)
        self.size += view.nbytes
        return view.nbytes

    def finish(self) -> None:
        """Have everything on disk and out of the page cache, so that reading back means reading the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def store_payload(package: Path, number: int, source: PayloadSource, progress: Callable[[str], None]) -> StoredPayload:
    """Write one payload file of a package, read it back and return both digests.

    Raises EvidenceError when they differ, OSError when the storage refuses.
    """
    suffix = source.suffix if isinstance(source, StreamSource) else "tar"
    name = layout.payload_name(number, suffix)
    path = package / name
    with _HashingFile(path) as out:
        if isinstance(source, TreeSource):
            _write_tar(source.root, out, progress)
        else:
            for chunk in source.chunks:
                out.write(chunk)
        out.finish()
    read_back = hash_file(path)
    if (read_back.sha256, read_back.bytes) != (out.digest.hexdigest(), out.size):
        raise EvidenceError(
            f"{name} differs from what was written",
            f"{out.size} bytes were written and {read_back.bytes} read back, with another digest",
            "do not trust this storage; seal into another vault",
        )
    return StoredPayload(name, source, out.size, out.digest.hexdigest(), read_back.sha256)


def _write_tar(root: Path, out: _HashingFile, progress: Callable[[str], None]) -> None:
    """Write a folder as a tar archive that is the same, byte for byte, for the same folder.

    PAX format, sorted by path bytes, modification times to the nanosecond and modes kept, numeric owners.
    """
    top = os.fsencode(root)
    # tarfile asks only for `write` in stream mode.
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1024 * 1024) as archive:
        for count, path in enumerate(_sorted_paths(top), 1):
            name = os.fsdecode(path[len(top) :].lstrip(b"/"))
            member = archive.gettarinfo(os.fsdecode(path), name)
            if member is None:  # pyright: ignore[reportUnnecessaryComparison]  a socket cannot be archived
                continue
            status = os.lstat(path)
            whole, rest = divmod(status.st_mtime_ns, _NANOSECONDS)
            member.mtime = whole
            member.pax_headers = {"mtime": f"{whole}.{rest:09d}"}
            member.uname = member.gname = ""
            if member.isreg():
                with open(path, "rb") as content:
                    archive.addfile(member, content)
            else:
                archive.addfile(member)
            if count % 1000 == 0:
                progress(f"archive: {count} entries, {out.size} bytes")


def _sorted_paths(folder: bytes) -> Iterator[bytes]:
    """Yield every path below a folder, parents first, sorted by the bytes of the names. Follows no links."""
    stack = [folder]
    while stack:
        current = stack.pop()
        if current != folder:
            yield current
        if os.path.isdir(current) and not os.path.islink(current):
            stack += sorted((os.path.join(current, name) for name in os.listdir(current)), reverse=True)
