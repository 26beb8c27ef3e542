"""Reads what restic prints, line by line: stdout and stderr mix JSON with plain text, and codes changed by version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, cast

from snaphold.clock import parse_time
from snaphold.errors import InputError, ProviderError, SnapholdError, StorageError
from snaphold.hosts.base import CompletedCommand

PARTLY_READ = 3
NO_REPOSITORY = 10
LOCKED = 11
WRONG_PASSWORD = 12
CODES_SINCE = (0, 17)
"""From this version restic tells the causes of failure apart by exit code; before, only stderr does."""

_VERSION = re.compile(r"restic (?P<version>[0-9]+(?:\.[0-9]+){1,2}\S*)")
_FRACTION = re.compile(r"\.(\d{1,9})")
_CAUSES = (
    (NO_REPOSITORY, ("unable to open config file", "Is there a repository at the following location")),
    (LOCKED, ("already locked",)),
    (WRONG_PASSWORD, ("wrong password or no key found",)),
)


def read_version(text: str) -> str:
    """Return the version that `restic version` printed, e.g. `0.14.0`. Raises ProviderError when it is not restic."""
    match = _VERSION.search(text)
    if not match:
        raise ProviderError("the program is not restic", f"it answered {text.strip()[:80]!r}", "correct program in the pool")
    return match["version"]


def version_numbers(version: str) -> tuple[int, int]:
    """Return major and minor of a version."""
    major, minor = version.split(".")[:2]
    return int(major), int(re.match(r"\d*", minor)[0] or 0)  # type: ignore[index]


def cause_of(version: str, done: CompletedCommand) -> int | None:
    """Return NO_REPOSITORY, LOCKED or WRONG_PASSWORD when that is why restic failed, else None."""
    if version_numbers(version) >= CODES_SINCE:
        return done.code if done.code in (NO_REPOSITORY, LOCKED, WRONG_PASSWORD) else None
    for cause, signs in _CAUSES:
        if done.code != 0 and any(sign in done.stderr for sign in signs):
            return cause
    return None


def explain(doing: str, version: str, done: CompletedCommand, repository: str) -> SnapholdError:
    """Return the error for a call of restic that failed. An exit code that is not known is a failure."""
    cause = cause_of(version, done)
    last = last_words(done.stderr)
    if cause == WRONG_PASSWORD:
        return InputError(f"{doing} failed: the password does not open {repository}", last, "check password of the pool")
    if cause == NO_REPOSITORY:
        return ProviderError(f"{doing} failed: there is no repository at {repository}", last, "check location of the pool")
    if cause == LOCKED:
        return ProviderError(
            f"{doing} failed: {repository} is locked",
            last,
            "wait for the other process; after a crash `restic unlock` removes what is stale",
            retryable=True,
        )
    if "no space left on device" in done.stderr:
        return StorageError(f"{doing} failed: the storage behind {repository} is full", last, "make room, or use another pool")
    if "read-only file system" in done.stderr:
        return StorageError(f"{doing} failed: {repository} cannot be written", last, "mount it writable, or use another pool")
    return ProviderError(f"{doing} failed: restic ended with code {done.code}", last, "run the command by hand to see more")


def last_words(stderr: str) -> str:
    """Return the last lines of stderr that say something, for an error message."""
    said = [text for text in (_message(line) for line in stderr.splitlines()) if text]
    return "; ".join(said[-3:])[:500]


def json_lines(text: str) -> Iterable[dict[str, Any]]:
    """Yield the JSON objects among the lines; plain text between them is left out."""
    for line in text.splitlines():
        found = read_line(line)
        if found is not None:
            yield found


def read_line(line: str) -> dict[str, Any] | None:
    """Return the JSON object of one line, or None."""
    if not line.startswith("{"):
        return None
    try:
        return cast("dict[str, Any]", json.loads(line))
    except json.JSONDecodeError:
        return None


def read_array(text: str) -> list[dict[str, Any]]:
    """Return the array that a command such as `snapshots --json` printed. Raises ProviderError when there is none."""
    for line in text.splitlines():
        if line.startswith(("[", "null")):
            try:
                return cast("list[dict[str, Any]]", json.loads(line) or [])
            except json.JSONDecodeError:
                break
    raise ProviderError("restic answered in a form that is not understood", text.strip()[:200])


def unreadable_items(stderr: str) -> list[str]:
    """Return the paths that restic could not read, each once."""
    found: dict[str, None] = {}
    for line in json_lines(stderr):
        if line.get("message_type") == "error":
            found[str(line.get("item", "?"))] = None
    return list(found)


def read_moment(text: str) -> Any:
    """Return a restic time as a datetime; its nanoseconds are cut to microseconds."""
    return parse_time(_FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), text, count=1))


def _message(line: str) -> str:
    found = read_line(line)
    if found is None:
        return line.strip()
    error = found.get("error")
    if isinstance(error, dict):
        return f"{found.get('item', '')}: {cast('dict[str, Any]', error).get('message') or 'error'}"
    return str(found.get("message") or "").strip()
