"""What people and programs see when a command fails: one screen with what, why and do; never a traceback."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

from snaphold.errors import MissingToolError, SnapholdError, StorageError

SCREEN_ROWS = 22
SCREEN_COLUMNS = 80
LONGEST_LINE = 4 * SCREEN_COLUMNS
_EXTRAS = {"sqlalchemy": "run", "dbos": "run", "jsonschema": "run", "rfc3161_client": "evidence", "rich": "pretty"}
_REFUSALS = {
    errno.ENOSPC: "make room, then try again",
    errno.EDQUOT: "make room in the quota, then try again",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "check the owner and the permissions",
    errno.EPERM: "check the owner and the permissions",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "check the path",
    errno.ENOENT: "check the path",
    errno.EIO: "check the storage",
}


def explain(error: Exception) -> SnapholdError:
    """Return the error that people are shown for any exception.

    A missing optional package and a refusal of the file system become their own error; everything else is unforeseen,
    and its traceback goes to a log file that only this user can read.
    """
    if isinstance(error, SnapholdError):
        return error
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _EXTRAS:
        package = str(error.name).partition(".")[0]
        return MissingToolError(
            f"the Python package {package} is not installed",
            "this command needs an optional part of Snaphold",
            f"pip install 'snaphold[{_EXTRAS[package]}]'",
        )
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        where = str(error.filename) if error.filename else "the output"
        return StorageError(f"{where} cannot be read or written", error.strerror, _REFUSALS[error.errno])
    return SnapholdError(
        f"something unforeseen went wrong ({type(error).__name__})",
        str(error) or "the fault says nothing about itself",
        f"{_keep_traceback(error)}; what took effect before stands in the audit trail (snaphold audit export)",
    )


def _keep_traceback(error: Exception) -> str:
    import tempfile
    import traceback

    from snaphold.secrets import redact

    text = redact("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    try:
        handle, path = tempfile.mkstemp(prefix="snaphold-error-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as refused:
        return f"the details could not be kept ({refused.strerror}); repeat with TMPDIR set to a folder with room"
    return f"report it with the details in {path}"


def error_document(error: SnapholdError) -> dict[str, Any]:
    """Return an error as the last JSON line of a command that failed."""
    from snaphold.secrets import redact

    return {
        "message_type": "exit_error",
        "code": error.exit_code,
        "message": redact(error.what),
        "why": redact(error.why or ""),
        "do": redact(error.do or ""),
    }


def error_text(error: SnapholdError) -> str:
    """Return an error as text of at most one screen (22 rows of 80 columns); what to do is never cut off."""
    from snaphold.cli.output import printable
    from snaphold.secrets import redact

    def lines(text: str) -> list[str]:
        return [_shorten(line) for line in printable(redact(text)).expandtabs(4).splitlines()]

    head = lines(f"error: {error.what}")[:3]
    tail = lines(f"  do: {error.do}")[:6] if error.do else []
    room = SCREEN_ROWS - _rows(head) - _rows(tail) - 1
    kept: list[str] = []
    why = lines(f"  why: {error.why}") if error.why else []
    for line in why:
        if _rows([*kept, line]) > room:
            kept.append(f"       ... and {len(why) - len(kept)} more lines; --json shows all")
            break
        kept.append(line)
    return "\n".join([*head, *kept, *tail])


def _shorten(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 4] + " ..."


def _rows(lines: list[str]) -> int:
    return sum(max(1, -(-len(line) // SCREEN_COLUMNS)) for line in lines)


def tell(text: str) -> None:
    """Write one message to stderr; a closed stderr is no reason to fail again."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # no stderr, a closed pipe, or a closed file: nobody listens
        return
