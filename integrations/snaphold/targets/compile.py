"""Compiles playbooks, with all that they call, for one or more targets. Pure: nothing is written here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from snaphold.errors import InputError, PlaybookError, Problem
from snaphold.playbook.load import LoadedPlaybook
from snaphold.targets.base import Loss, Target, stamp

LOSSES = "losses.json"


@dataclass(frozen=True)
class TargetLoss:
    """A loss, the target that has it, and the playbook that it is in."""

    target: str
    playbook: str
    construct: str
    place: str
    what: str


@dataclass(frozen=True)
class Compiled:
    """All files by relative path (below a folder for each target), the report of losses among them, and the losses."""

    files: Mapping[str, bytes]
    losses: tuple[TargetLoss, ...]


def compile_playbooks(
    playbooks: Iterable[tuple[LoadedPlaybook, Mapping[str, LoadedPlaybook]]], targets: Sequence[Target]
) -> Compiled:
    """Return what the targets make of the playbooks and of those that they call, each once.

    Raises PlaybookError when two of them have one id or one name, InputError when two outputs would be the same file.
    """
    given = list(playbooks)
    everything = _distinct([one for loaded, parts in given for one in (loaded, *parts.values())])
    callable_parts = {name: part for _, parts in given for name, part in parts.items()}
    files: dict[str, bytes] = {}
    losses: list[TargetLoss] = []
    for target in targets:
        for loaded in everything:
            output = target.compile(loaded, callable_parts)
            for relative, content in output.files.items():
                path = f"{target.name}/{relative}"
                if files.setdefault(path, content) != content:
                    raise InputError(f"{path} would be written twice", f"the last time for {loaded.path}", "rename a playbook")
            losses += [_of(target, loaded, loss) for loss in output.losses]
    report = {"playbooks": [asdict(stamp(loaded)) for loaded in everything], "losses": [asdict(loss) for loss in losses]}
    files[LOSSES] = (json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    return Compiled(files, tuple(losses))


def refuse_losses(losses: Sequence[TargetLoss]) -> None:
    """Raise InputError that lists every loss; nothing when there is none."""
    if losses:
        listed = (f"{loss.place}: {loss.target} cannot express {loss.construct}: {loss.what}" for loss in losses)
        raise InputError(
            f"the playbooks lose something ({len(losses)})",
            "\n       ".join(dict.fromkeys(listed)),
            "change the playbooks, choose another target, or compile without --strict",
        )


def _of(target: Target, loaded: LoadedPlaybook, loss: Loss) -> TargetLoss:
    return TargetLoss(target.name, loaded.playbook.name, loss.construct, loss.place, loss.what)


def _distinct(found: Sequence[LoadedPlaybook]) -> list[LoadedPlaybook]:
    """Return each playbook once, by name. Raises PlaybookError when two different ones share an id or a name."""
    by_path = {loaded.path.resolve(): loaded for loaded in found}
    problems: dict[Path, Problem] = {}
    for key in ("id", "name"):
        seen: dict[str, LoadedPlaybook] = {}
        for loaded in by_path.values():
            value = str(getattr(loaded.playbook.metadata, key))
            first = seen.setdefault(value, loaded)
            if first is not loaded:
                place = loaded.document.locate(("metadata", key))
                problem = Problem(f"the {key} {value} is used twice", f"metadata.{key}", place, f"also in {first.path}")
                problems.setdefault(loaded.path, problem)
    if problems:
        raise PlaybookError("playbooks cannot be told apart", list(problems.values()), "give each an id and a name of its own")
    return sorted(by_path.values(), key=lambda loaded: loaded.playbook.name)
