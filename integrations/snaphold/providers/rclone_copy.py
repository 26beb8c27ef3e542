"""Follows one copy of rclone through its JSON log, and counts what was stored."""

from __future__ import annotations

from collections.abc import Callable

from snaphold.providers.rclone_command import FULL_SIGNS, RcloneCommand, read_log_line

LINK_SUFFIX = ".rclonelink"
_LIST_TIMEOUT_SECONDS = 3600.0
_STORAGE_FAULTS = (*FULL_SIGNS, "read-only file system", "input/output error")
_KEPT_MESSAGES = 20


class CopyLog:
    """What rclone said: progress, the files that failed, and whether the storage itself failed."""

    def __init__(self, progress: Callable[[int, int], None], total: int) -> None:
        self._progress = progress
        self._total = total
        self._before = 0
        self._current = 0
        self._messages: list[str] = []
        self._storage_failed = False
        self.failed: dict[str, str] = {}

    def read(self, line: str) -> None:
        """Take in one line of the log."""
        found = read_log_line(line)
        stats = found.get("stats")
        if isinstance(stats, dict):
            self._current = int(stats.get("bytes", 0))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            self._progress(self._before + self._current, self._total)
            return
        message = str(found.get("msg", "")).strip()
        if found.get("level", "error") not in ("error", "critical", "warning"):
            return
        self._messages = [*self._messages, message][-_KEPT_MESSAGES:]
        self._storage_failed |= any(fault in message for fault in _STORAGE_FAULTS)
        name = found.get("object")
        if name and found.get("level") == "error" and found.get("objectType") != "string":
            self.failed[str(name)] = message

    def next_source(self) -> None:
        """Begin counting the next source."""
        self._before += self._current
        self._current = 0

    def is_partial(self) -> bool:
        """Return whether what failed were single files of the source, not the storage."""
        return bool(self.failed) and not self._storage_failed

    def said(self) -> str:
        """Return the last messages."""
        return "; ".join(self._messages[-3:])[:500]


def count_stored(rclone: RcloneCommand, folder: str) -> tuple[int, int]:
    """Return number and bytes of the regular files stored in a folder; links, stored as small files, do not count."""
    counts = [0, 0]

    def count(line: str) -> None:
        size, _, name = line.partition("|")
        if name and not name.endswith(LINK_SUFFIX):
            counts[0] += 1
            counts[1] += int(size)

    done = rclone.call(
        "lsf", "-R", "--files-only", "--format", "sp", "--separator", "|", folder,
        timeout=_LIST_TIMEOUT_SECONDS, on_line=count,
    )  # fmt: skip
    if done.code != 0:
        raise rclone.error("counting what was stored", done.code, done.stderr[-500:])
    return counts[0], counts[1]
