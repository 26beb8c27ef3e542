"""The step that a path names: `back_up.each_asset.start` leads through two calls. `[ITEM]` behind it names one turn."""

from __future__ import annotations

from collections.abc import Mapping

from snaphold.playbook.model import Playbook
from snaphold.playbook.step import CallStep, StepBase
from snaphold.playbook.walk import every_step


def step_at(path: str, root: str, playbooks: Mapping[str, Playbook]) -> StepBase | None:
    """Return the step at a path of a run of the playbook `root`; None when the path leads nowhere."""
    current: Playbook | None = playbooks.get(root)
    parts = without_item(path).split(".")
    while current is not None and parts:
        name = parts.pop(0)
        step = next((step for step in every_step(current) if step.id == name), None)
        if step is None or not parts:
            return step
        current = playbooks.get(step.call) if isinstance(step, CallStep) else None
    return None


def without_item(text: str) -> str:
    """Return an id or a path without the item of `for_each` behind it."""
    return text.partition("[")[0]


def names_of(path: str, item: str) -> tuple[str, ...]:
    """Return what a step of a run can be called, the most exact first: with its item, by its path, by its id."""
    step = path.rpartition(".")[2]
    return (f"{path}[{item}]", f"{step}[{item}]", path, step) if item else (path, step)
