"""The step that a path names: `back_up.0.each_asset.1.start` leads through two calls, each with the number of its item."""

from __future__ import annotations

from collections.abc import Mapping

from snaphold.playbook.model import Playbook
from snaphold.playbook.step import CallStep, StepBase
from snaphold.playbook.walk import every_step


def step_at(path: str, root: str, playbooks: Mapping[str, Playbook]) -> StepBase | None:
    """Return the step at a path of a run of the playbook `root`; None when the path leads nowhere."""
    current: Playbook | None = playbooks.get(root)
    parts = path.split(".")
    while current is not None and parts:
        name = parts.pop(0)
        step = next((step for step in every_step(current) if step.id == name), None)
        if step is None or not parts:
            return step
        if not isinstance(step, CallStep):
            return None
        if step.for_each is not None and not parts.pop(0).isdigit():
            return None
        current = playbooks.get(step.call)
    return None
