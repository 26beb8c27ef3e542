"""What a compile target is: a pure function from a playbook to files, and the registry that finds targets by file name.

To add one, put `NAME.py` beside this file with `TARGET = Target("NAME", "what comes out", compile_function)`; nothing
else is edited. The function is called once for the playbook and once for each playbook that it calls.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from snaphold.documents import suggest
from snaphold.errors import InputError
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.walk import Place

PRODUCT = "snaphold"


@dataclass(frozen=True)
class Loss:
    """What a target cannot express, or only approximates: the construct, where it stands, and what is lost."""

    construct: str
    place: str
    what: str


@dataclass(frozen=True)
class Output:
    """What a target made of one playbook: content by relative path (with `/`, below the target's folder), and the losses."""

    files: Mapping[str, bytes]
    losses: tuple[Loss, ...] = ()


Parts = Mapping[str, LoadedPlaybook]
"""The playbooks that can be called, by name: all that the compiled one needs, directly or through another."""


@dataclass(frozen=True)
class Target:
    """One target. `compile` is pure: the same playbooks and catalogue give the same bytes, in any folder, at any time."""

    name: str
    title: str
    compile: Callable[[LoadedPlaybook, Parts], Output]


@dataclass(frozen=True)
class Stamp:
    """What every output says of its source: name, version, change record, and the SHA-256 of the playbook's file in hex."""

    name: str
    version: str
    change_record: str
    digest: str

    @property
    def text(self) -> str:
        """The stamp as one line."""
        return f"{self.name} {self.version}, change record {self.change_record}, sha256 {self.digest}"


def stamp(loaded: LoadedPlaybook) -> Stamp:
    """Return the stamp of a playbook."""
    metadata = loaded.playbook.metadata
    return Stamp(metadata.name, metadata.version, metadata.change_record, loaded.digest)


def stable_uuid(playbook_id: str, step_path: str, role: str) -> str:
    """Return a UUID of the form of version 4 that depends on nothing but these three texts.

    `step_path` is the step's id (unique in its file), so that a new step elsewhere changes no other id; `role` tells
    several objects of one step apart.
    """
    digest = bytearray(hashlib.sha256("\n".join((PRODUCT, playbook_id, step_path, role)).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def place_text(loaded: LoadedPlaybook, place: Place) -> str:
    """Return file:line:column of a value. The file without its folder, so that a report is the same wherever it is made."""
    found = loaded.document.locate(place)
    return f"{loaded.path.name}:{found.line}:{found.column}" if found else loaded.path.name


@cache
def targets() -> Mapping[str, Target]:
    """Return every target by name, in order of name."""
    import snaphold.targets

    found: dict[str, Target] = {}
    for info in pkgutil.iter_modules(snaphold.targets.__path__):
        target = getattr(importlib.import_module(f"snaphold.targets.{info.name}"), "TARGET", None)
        if isinstance(target, Target):
            found[target.name] = target
    return dict(sorted(found.items()))


def find_target(name: str) -> Target:
    """Return the target called `name`. Raises InputError with the nearest name when there is none."""
    known = targets()
    if name not in known:
        raise InputError(f"there is no target {name!r}", suggest(name, list(known)) or f"there are: {', '.join(known)}")
    return known[name]
