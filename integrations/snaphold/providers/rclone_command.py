"""Calls rclone on an encrypted folder. The remote is described by the child's environment; nothing of it is in argv."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

from snaphold.errors import ProviderError, SnapholdError, StorageError
from snaphold.hosts.base import CompletedCommand
from snaphold.hosts.local import run_command
from snaphold.providers.place import RepositoryPlace

REMOTE = "snaphold:"
NOT_FOUND = (3, 4)
"""Exit codes for a folder and for a file that does not exist."""
FULL_SIGNS = ("no space left on device", "too big for remaining disk space", "quota exceeded")
CALL_TIMEOUT_SECONDS = 300.0
_SHORT_TIMEOUT_SECONDS = 120.0


class RcloneCommand:
    """rclone on one incident's encrypted folder."""

    def __init__(self, program: str, place: RepositoryPlace) -> None:
        self.program = program
        self.place = place
        self.version = _version_of(program)

    def environment(self) -> dict[str, str]:
        """Return the description of the crypt remote. rclone wants the password in its reversible `obscured` form."""
        done = run_command(
            [self.program, "--config=", "obscure", "-"], given=self.place.password(), timeout=_SHORT_TIMEOUT_SECONDS
        )
        if done.code != 0 or not done.stdout.strip():
            raise ProviderError("rclone could not take the password", done.stderr.strip()[:200])
        return {
            "RCLONE_CONFIG_SNAPHOLD_TYPE": "crypt",
            "RCLONE_CONFIG_SNAPHOLD_REMOTE": str(self.place.repository),
            "RCLONE_CONFIG_SNAPHOLD_PASSWORD": done.stdout.strip(),
            "RCLONE_CONFIG_SNAPHOLD_PASSWORD2": "",
            # base64 makes names grow least: 175 bytes fit into the 255 of a file system.
            "RCLONE_CONFIG_SNAPHOLD_FILENAME_ENCODING": "base64",
            "RCLONE_DRY_RUN": "false",
        }

    def call(
        self,
        *arguments: str,
        timeout: float = CALL_TIMEOUT_SECONDS,
        given: str | None = None,
        on_line: Callable[[str], None] | None = None,
        on_error_line: Callable[[str], None] | None = None,
        keep_open: Sequence[int] = (),
    ) -> CompletedCommand:
        """Run rclone and return what it did, whatever its exit code. Watched streams are not kept."""
        argv = [self.program, "--config=", "--use-json-log", "--retries", "1", *arguments]
        return run_command(
            argv,
            timeout=timeout,
            environment=self.environment(),
            given=given,
            on_line=on_line,
            on_error_line=on_error_line,
            keep_output=False,
            keep_open=keep_open,
        )

    def ask(self, doing: str, *arguments: str, timeout: float = CALL_TIMEOUT_SECONDS, given: str | None = None) -> str:
        """Run rclone and return its stdout. Raises StorageError or ProviderError when it fails."""
        done = self.call(*arguments, timeout=timeout, given=given)
        if done.code != 0:
            raise self.error(doing, done.code, last_words(done.stderr))
        return done.stdout

    def error(self, doing: str, code: int, said: str) -> SnapholdError:
        """Return the error for a call that failed."""
        where = self.place.repository
        if any(sign in said for sign in FULL_SIGNS):
            return StorageError(f"{doing} failed: the storage behind {where} is full", said, "make room, or use another pool")
        if "read-only file system" in said:
            return StorageError(f"{doing} failed: {where} cannot be written", said, "mount it writable, or use another pool")
        return ProviderError(f"{doing} failed: rclone ended with code {code}", said, "run the command by hand to see more")


def read_log_line(line: str) -> dict[str, Any]:
    """Return one line of rclone's JSON log; plain text comes back as its `msg`."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return {"msg": line}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {"msg": line}


def last_words(stderr: str) -> str:
    """Return the last messages of rclone's log, for an error message."""
    said = [str(read_log_line(line).get("msg", "")).strip() for line in stderr.splitlines()]
    return "; ".join([text for text in said if text][-3:])[:500]


@lru_cache(maxsize=16)
def _version_of(program: str) -> str:
    first = run_command([program, "version"], timeout=_SHORT_TIMEOUT_SECONDS).stdout.partition("\n")[0].split()
    if len(first) < 2 or first[0] != "rclone":  # noqa: PLR2004  `rclone v1.75.2`
        raise ProviderError("the program is not rclone", f"it answered {' '.join(first)[:80]!r}", "correct program in the pool")
    return first[1].removeprefix("v")
