"""Secrets by reference, and their redaction. Nothing else in the product reads or hides a secret.

A reference is `env:NAME`, `file:PATH` or `command:ARGV` (split like a shell would, run without one). Every secret that
was resolved in this process is hidden by `redact()` wherever text leaves it.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import threading
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, WithJsonSchema

from snaphold.errors import InputError

HIDDEN = "[hidden]"
REFERENCE_PATTERN = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|command:.+)$"
COMMAND_TIMEOUT_SECONDS = 30
SHORTEST_REDACTED = 4
_known: set[str] = set()
_lock = threading.Lock()
_CREDENTIAL = re.compile(
    r"(?i)(\b(?:authorization|proxy-authorization)\b\s*[:=]\s*(?:bearer|basic|token)?\s*"
    r"|\b(?:password|passwd|secret|api[_-]?key|access[_-]?token|refresh[_-]?token)\b[\"']?\s*[:=]\s*[\"']?"
    r"|://[^/\s:@]+:(?=[^\s/@]+@))([^\s\"',;@]+)"
)


def check_reference(text: str) -> str:
    """Return the reference unchanged. Raises ValueError, without repeating the text, when it is not one."""
    if not re.match(REFERENCE_PATTERN, text):
        raise ValueError("a secret is given by reference: env:NAME, file:PATH or command:ARGV, never inline")
    return text


SecretReference = Annotated[
    str, AfterValidator(check_reference), WithJsonSchema({"type": "string", "pattern": REFERENCE_PATTERN})
]


def resolve(reference: str, base: Path | None = None, *, hide: bool = True) -> str:
    """Return the secret that a reference names, without a trailing line end; relative files count from `base`.

    With `hide` false it is no secret and goes on being shown. Raises InputError when it is missing, empty, or a file that
    others can read.
    """
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = os.environ.get(rest, "")
        missing = f"the environment variable {rest} is not set or empty"
    elif kind == "file":
        value, missing = _from_file(secret_path(reference, base)), f"the file {rest} is empty"
    elif kind == "command":
        value, missing = _from_command(rest), f"the command {shlex.split(rest)[0]} printed nothing"
    else:
        raise InputError("a secret reference is malformed", do="write env:NAME, file:PATH or command:ARGV")
    value = value.rstrip("\r\n")
    if not value:
        raise InputError("a secret is missing", missing, "set it, then try again")
    if hide:
        remember(value)
    return value


def secret_path(reference: str, base: Path | None = None) -> Path:
    """Return the absolute path of a `file:` reference. Raises InputError for another kind of reference."""
    kind, _, rest = reference.partition(":")
    if kind != "file":
        raise InputError("this secret must be a file", f"the reference starts with {kind}:", "write file:PATH")
    return (base or Path.cwd()) / Path(rest).expanduser()


def _from_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InputError(f"the secret file {path} can be read by others", do=f"chmod 600 {path}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"the secret file {path} cannot be read", error.strerror, "check path and owner") from error


def _from_command(command: str) -> str:
    from snaphold.hosts.local import run_command

    done = run_command(shlex.split(command), timeout=COMMAND_TIMEOUT_SECONDS)
    if done.code != 0:
        raise InputError(f"the secret command {done.argv[0]} failed", f"exit code {done.code}", "run it by hand")
    return done.stdout


def remember(secret: str) -> None:
    """Hide this text from now on in everything that passes `redact()`."""
    with _lock:
        for form in {secret, quote(secret, safe="")}:
            if len(form) >= SHORTEST_REDACTED:
                _known.add(form)


def redact(text: str) -> str:
    """Return `text` with every known secret, and whatever looks like a credential, replaced by `[hidden]`."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _CREDENTIAL.sub(lambda match: match[1] + HIDDEN, text)
