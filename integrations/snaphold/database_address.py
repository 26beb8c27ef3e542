"""The address of the database that holds ledger and runs: by reference, or in the open as long as it has no password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from snaphold.errors import InputError
from snaphold.secrets import REFERENCE_PATTERN, resolve

OPEN_PATTERN = r"^postgres(ql)?://[^\s]+$"


def check_address(text: str) -> str:
    """Return the address unchanged. Raises ValueError, without repeating it, when it is none or holds a password."""
    if not text or re.match(REFERENCE_PATTERN, text):
        return text
    if not re.match(OPEN_PATTERN, text):
        raise ValueError("a database is given by reference (env:NAME, file:PATH, command:ARGV) or as postgresql://USER@HOST/NAME")
    if re.match(r"postgres(ql)?://[^/@]*:[^/@]*@", text) or "password=" in text:
        raise ValueError("the address of a database holds no password here: give the whole address by reference, env:NAME")
    return text


def given_address(text: str) -> str:
    """Return an address from the command line. Raises InputError when it is none or holds a password."""
    try:
        return check_address(text)
    except ValueError as error:
        raise InputError("the address of the database is wrong", str(error)) from error


def resolve_address(text: str, base: Path) -> str:
    """Return the address itself; relative files of a reference count from `base`. Raises InputError."""
    return resolve(text, base) if re.match(REFERENCE_PATTERN, text) else text


DatabaseAddress = Annotated[
    str,
    AfterValidator(check_address),
    WithJsonSchema({"type": "string", "pattern": f"^$|{REFERENCE_PATTERN}|{OPEN_PATTERN}"}),
]
"""Where the ledger and the runs are kept when not in files; empty: in files of the state folder."""
