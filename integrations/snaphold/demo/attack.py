"""The attacker of the demonstration: encrypts part of the share, renames the files, drops ransom notes.

It writes random bytes instead of a cipher's output: nobody can tell the two apart, and nothing here can be misused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from snaphold.demo.share import files_of

SPARED_FOLDERS = ("templates", "sales")
SUFFIX = ".locked"
NOTE_NAME = "README_TO_RESTORE_FILES.txt"
NOTE = (
    "All your files have been encrypted. To decrypt them you must pay in bitcoin.\n"
    "(This note belongs to a demonstration; the files were made up.)\n"
)


@dataclass(frozen=True)
class Damage:
    """What the attacker did."""

    encrypted: int
    notes: int


def attack(share: Path) -> Damage:
    """Replace the content of most files below `share` by random bytes, rename them, and leave a note per folder."""
    victims = [path for path in files_of(share) if path.relative_to(share).parts[0] not in SPARED_FOLDERS]
    for path in victims:
        path.write_bytes(os.urandom(max(path.stat().st_size, 512)))
        path.rename(path.with_name(path.name + SUFFIX))
    folders = {path.parent for path in victims}
    for folder in folders:
        (folder / NOTE_NAME).write_text(NOTE, encoding="utf-8")
    return Damage(encrypted=len(victims), notes=len(folders))
