"""Finds and reads playbooks: a path, the configuration's folder, or the shipped ones; parts included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snaphold.config import Configuration
from snaphold.documents import Document, parse_document, read_text, suggest
from snaphold.errors import InputError, PlaybookError
from snaphold.playbook.model import Playbook
from snaphold.playbook.step import CallStep
from snaphold.playbook.structure import structure_problems
from snaphold.playbook.walk import every_step
from snaphold.resources import folder

PARTS = "parts"
SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class LoadedPlaybook:
    """A playbook, the document that it was read from (for places in messages), its digest, path and text."""

    playbook: Playbook
    document: Document
    digest: str
    path: Path
    text: str = ""


def load_playbook(path: Path) -> LoadedPlaybook:
    """Return the playbook in a file. Raises PlaybookError with file:line:column of every fault of form, or InputError.

    Only the form is checked; `snaphold.playbook.lint` checks the meaning.
    """
    text = read_text(path, "playbook")
    data = path.read_bytes()
    # The digest is of the bytes, and reading text folds line ends: both must come from the same file.
    if data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") != text.encode():
        raise InputError(f"the playbook {path} changed while it was read", do="try again")
    return read_playbook(text, path, hashlib.sha256(data).hexdigest())


def read_playbook(text: str, path: Path, digest: str = "") -> LoadedPlaybook:
    """Return the playbook in `text`; `path` is named in errors. Raises PlaybookError.

    `digest` is that of the file; without it, it is taken from the text.
    """
    digest = digest or hashlib.sha256(text.encode()).hexdigest()
    document = parse_document(text, str(path), "playbook")
    problems = structure_problems(document)
    if problems:
        raise PlaybookError(f"the playbook {path} has faults", problems)
    return LoadedPlaybook(Playbook.model_validate({**document.data, "digest": digest}), document, digest, path, text)


def playbook_folders(configuration: Configuration | None = None, beside: Path | None = None) -> list[Path]:
    """Return the folders that are searched, in order: beside the caller, the configuration's own, the shipped ones."""
    folders: list[Path] = []
    if beside is not None:
        folders.append(beside.parent.parent if beside.parent.name == PARTS else beside.parent)
    if configuration is not None and configuration.playbooks:
        folders.append(configuration.path(configuration.playbooks))
    folders.append(folder("playbooks"))
    return folders


def find_playbook(name_or_path: str, configuration: Configuration | None = None, *, beside: Path | None = None) -> Path:
    """Return the file of a playbook: a path when it looks like one, else the first of that name in the folders.

    `beside` is the file of the playbook that calls it. Raises InputError with the nearest name.
    """
    if name_or_path.endswith(SUFFIXES) or "/" in name_or_path:
        path = Path(name_or_path)
        if not path.is_file():
            raise InputError(f"there is no playbook {name_or_path}", do="check the path")
        return path
    folders = playbook_folders(configuration, beside)
    for place in folders:
        for candidate in _named(place, name_or_path):
            return candidate
    known = sorted({path.stem for place in folders for path in playbook_files(place)})
    raise InputError(
        f"there is no playbook {name_or_path!r}",
        suggest(name_or_path, known) or f"known: {', '.join(known) or 'none'}",
        "snaphold playbook list",
    )


def _named(place: Path, name: str) -> Iterator[Path]:
    for base in (place, place / PARTS):
        for suffix in SUFFIXES:
            candidate = base / f"{name}{suffix}"
            if candidate.is_file():
                yield candidate


def playbook_files(place: Path) -> list[Path]:
    """Return the playbook files of a folder, then those of its parts, each sorted by name."""
    bases = [base for base in (place, place / PARTS) if base.is_dir()]
    found = [path for base in bases for path in sorted(base.iterdir())]
    return [path for path in found if path.is_file() and path.suffix in SUFFIXES]


def load_parts(loaded: LoadedPlaybook, configuration: Configuration | None = None) -> dict[str, LoadedPlaybook]:
    """Return every playbook that this one calls, directly or through another, by name.

    A run pins them together with the playbook itself. Raises InputError, PlaybookError.
    """
    parts: dict[str, LoadedPlaybook] = {}
    waiting = [loaded]
    while waiting:
        current = waiting.pop()
        for step in every_step(current.playbook):
            if isinstance(step, CallStep) and step.call not in parts:
                part = load_playbook(find_playbook(step.call, configuration, beside=current.path))
                parts[step.call] = part
                waiting.append(part)
    return dict(sorted(parts.items()))
