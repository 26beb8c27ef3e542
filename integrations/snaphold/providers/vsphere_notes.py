"""Notes of the tasks that were started from here: vCenter shows a running task without saying which snapshot it makes.

A note is only a memory. Without it (another machine asks, or it was lost) a running task is nobody's, a second start is
refused while it runs, and what it leaves behind is found by its name.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from pydantic import ValidationError

from snaphold.domain.value import Value
from snaphold.secrets import redact

log = logging.getLogger(__name__)


class TaskNote(Value):
    """Which task of vCenter makes the snapshot of a job."""

    machine: str
    task: str


def keep_note(folder: Path, digest: str, note: TaskNote) -> None:
    """Write the note of a job. A note that cannot be written is logged: the snapshot is under way all the same."""
    path = folder / f"{digest}.json"
    beside = path.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with beside.open("w", encoding="utf-8") as file:
            json.dump(note.model_dump(mode="json"), file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        log.warning("%s", redact(f"the note {path} cannot be written: {error.strerror}; the snapshot is found by its name"))


def read_note(folder: Path, digest: str) -> TaskNote | None:
    """Return the note of a job; None when there is none that can be read."""
    try:
        return TaskNote.model_validate_json((folder / f"{digest}.json").read_bytes())
    except (OSError, ValidationError):
        return None
