"""The shipped playbooks with their parts and their cases."""

from __future__ import annotations

from functools import cache

from snaphold.action import catalogue
from snaphold.playbook.case import case_files, load_case
from snaphold.playbook.load import load_parts, playbook_files
from snaphold.playbook.trial import Trial, run_trial
from snaphold.resources import folder
from snaphold.targets.playbooks import Shipped
from support.playbooks import shipped


@cache
def shipped_with_cases() -> tuple[Shipped, ...]:
    """Return every shipped playbook, parts last."""
    top = folder("playbooks")
    found: list[Shipped] = []
    for path in playbook_files(top):
        loaded = shipped(path.stem)
        found.append(Shipped(loaded, load_parts(loaded), [load_case(file) for file in case_files(path.stem, [top])]))
    return tuple(found)


@cache
def trials_of(name: str) -> tuple[Trial, ...]:
    """Return how the cases of a shipped playbook go."""
    one = next(one for one in shipped_with_cases() if one.playbook.name == name)
    return tuple(run_trial(one.loaded, one.parts, case, catalogue()) for case in one.cases)
