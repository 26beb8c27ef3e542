"""A task of an XSOAR playbook, and the small column of tasks that one node of the graph becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from snaphold.soar import xsoar_names as names_
from snaphold.targets.flow import FlowNode

NONE, DEFAULT, ERROR = "#none#", "#default#", "#error#"
PLACE = f"${{inputs.{names_.PLACE_INPUT}}}"
Body = dict[str, Any]


@dataclass
class Task:
    """One task. `role` tells several tasks of one node apart; `after` maps a label to the tasks that follow."""

    node: str
    role: str
    kind: str
    title: str
    body: Body = field(default_factory=dict[str, Any])
    task: Body = field(default_factory=dict[str, Any])
    after: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    column: float = 0
    row: float = 0

    @property
    def key(self) -> str:
        """What no other task of the playbook has."""
        return f"{self.node}/{self.role}"


@dataclass
class Piece:
    """The tasks of one node, the first is entered. `exits`: by label of the graph, the tasks and their labels."""

    tasks: list[Task]
    exits: dict[str, list[tuple[Task, str]]]


def command(node: FlowNode, role: str, name: str, title: str, arguments: Body) -> Task:
    """Return a task that runs one of our commands, with an error path."""
    task = Task(node.id, role, "regular", title)
    task.task = {"script": f"{names_.BRAND}|||{name}", "iscommand": True, "brand": names_.BRAND}
    task.body = {"scriptarguments": arguments} | error_path()
    return task


def error_path() -> Body:
    """Return what sends a task that fails along `#error#`."""
    return {"continueonerror": True, "continueonerrortype": "errorPath"}
