"""XSOAR: a playbook as the YAML that Cortex XSOAR imports, with a README that shows its flow.

Facts about the format that nobody but a server can prove are listed in docs/how-to/install-in-xsoar.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from snaphold.action import find_action
from snaphold.errors import PlaybookError, Problem
from snaphold.fields import Kind, fields_of
from snaphold.playbook.inputs import INCIDENT_ID
from snaphold.playbook.load import PARTS, LoadedPlaybook
from snaphold.playbook.model import Playbook
from snaphold.playbook.step import ApproveStep, DoStep
from snaphold.playbook.valuetype import write_value
from snaphold.playbook.walk import every_step, placed_steps
from snaphold.soar import xsoar_names as names_
from snaphold.targets.base import Output, Parts, Stamp, Target, stable_uuid, stamp
from snaphold.targets.flow import build_flow
from snaphold.targets.xsoar_gates import approver_input
from snaphold.targets.xsoar_graph import connect
from snaphold.targets.xsoar_losses import losses_of
from snaphold.targets.xsoar_readme import readme
from snaphold.targets.xsoar_task import Task
from snaphold.targets.xsoar_tasks import Maker
from snaphold.targets.xsoar_values import names_of, text

FROM_VERSION = "6.10.0"
COLUMN, ROW, LEFT, TOP = 460, 160, 50, 50
"""Distances in XSOAR's picture: a task is at most 400 wide and 110 high."""
TYPES = {Kind.INTEGER: "number", Kind.NUMBER: "number", Kind.BOOLEAN: "boolean", Kind.TIME: "date"}
_START_TASK = "0"
# The same bytes in a tenth of the time, where PyYAML was built with libyaml; a test holds one against the other.
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def compile_xsoar(loaded: LoadedPlaybook, parts: Parts) -> Output:
    """Return the playbook's YAML and README. Raises PlaybookError for what XSOAR cannot express at all."""
    del parts  # each playbook is a file of its own; a call names it
    playbook = loaded.playbook
    _refuse(loaded)
    document = playbook_document(playbook, stamp(loaded), is_part=loaded.path.parent.name == PARTS)
    stem = file_stem(playbook.name)
    content = str(yaml.dump(document, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=120))
    files = {
        f"{stem}.yml": content.encode(),
        f"{stem}_README.md": readme(playbook, stamp(loaded), display_name(playbook.name), document).encode(),
    }
    return Output(files, losses_of(loaded))


def display_name(name: str) -> str:
    """Return what a playbook is called on XSOAR, which is also its id there."""
    return "Snaphold - " + name.replace("-", " ").capitalize()


def file_stem(name: str) -> str:
    """Return the file name without its suffix."""
    return "playbook-" + display_name(name).replace(" ", "_")


def playbook_document(playbook: Playbook, source: Stamp, *, is_part: bool = False) -> dict[str, Any]:
    """Return the content of the YAML file."""
    tasks = connect(Maker(playbook, display_name, names_of(playbook), is_part), build_flow(playbook))
    numbers = {task.key: str(number) for number, task in enumerate(tasks)}
    bottom = max(task.row for task in tasks)
    widest = max(task.column for task in tasks)
    paper = {"height": _y(bottom) + ROW, "width": _x(widest) + COLUMN, "x": LEFT, "y": TOP}
    return {
        "id": display_name(playbook.name),
        "version": -1,
        "name": display_name(playbook.name),
        "description": f"{_sentence(playbook.metadata.description or playbook.name)} Compiled from {source.text}.",
        "starttaskid": _START_TASK,
        "tasks": {numbers[task.key]: _task_document(playbook, task, numbers) for task in tasks},
        "view": json.dumps({"linkLabelsPosition": {}, "paper": {"dimensions": paper}}),
        "inputs": _inputs(playbook),
        "outputs": _outputs(playbook),
        "fromversion": FROM_VERSION,
        "tests": ["No tests"],
    }


def _task_document(playbook: Playbook, task: Task, numbers: Mapping[str, str]) -> dict[str, Any]:
    uuid = stable_uuid(playbook.metadata.id, task.node, f"xsoar/{task.role}")
    head: dict[str, Any] = {"id": uuid, "version": -1, "name": task.title[:200], "description": ""}
    head |= {} if task.kind == "start" else {"type": task.kind}
    head |= {"iscommand": False, "brand": ""} | task.task
    after = {label: [numbers[key] for key in keys] for label, keys in task.after.items()}
    return {
        "id": numbers[task.key],
        "taskid": uuid,
        "type": task.kind,
        "task": head,
        **({"nexttasks": after} if after else {}),
        **task.body,
        "view": json.dumps({"position": {"x": _x(task.column), "y": _y(task.row)}}),
    }


def _x(column: float) -> int:
    return LEFT + int(column * COLUMN)


def _y(row: float) -> int:
    return TOP + int(row * ROW)


def _inputs(playbook: Playbook) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, declared in playbook.inputs.items():
        value: dict[str, Any] = {}
        if name == INCIDENT_ID and not declared.default:
            value = text("XSOAR-${incident.id}")
        elif declared.default not in (None, "", ()):
            value = text(write_value(declared.default))  # pyright: ignore[reportArgumentType]
        about = declared.description or f"The {declared.type.value} {name}"
        found.append({"key": name, "value": value, "required": declared.required, "description": _sentence(about)})
    asked = {approver_input(who): who.partition("/")[2] for who in _approvers(playbook)}
    for key, group in sorted(asked.items()):
        about = f"Mail addresses of {group}, who are told where the playbook asks them; they answer in Snaphold."
        found.append({"key": key, "value": {}, "required": False, "description": about})
    place = {"key": names_.PLACE_INPUT, "value": text(f"{playbook.name}."), "required": True}
    place["description"] = "Where this runs, for the keys that keep work from being done twice; a caller sets it."
    return [*found, place]


def _approvers(playbook: Playbook) -> list[str]:
    found: list[str] = []
    for step in every_step(playbook):
        if isinstance(step, ApproveStep):
            found.append(step.approve.asked_of)
            found += [step.approve.escalate.to] if step.approve.escalate else []
    return found


def _outputs(playbook: Playbook) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for step in every_step(playbook):
        if isinstance(step, DoStep):
            prefix = names_.context_prefix(step.do)
            about = f"The results of {step.do.partition('.')[0]} actions."
            found[prefix] = {"contextPath": prefix, "description": about, "type": "unknown"}
            for shape in fields_of(find_action(step.do).result):
                path = f"{prefix}.{shape.name}"
                kind = TYPES.get(shape.kind, "string")
                found[path] = {"contextPath": path, "description": _sentence(shape.description), "type": kind}
    ended = names_.ENDED_PREFIX
    found[ended] = {"contextPath": ended, "description": "How this playbook and its parts ended.", "type": "unknown"}
    mark = f"{ended}.mark"
    found[mark] = {"contextPath": mark, "description": "How this playbook ended, and where it stood.", "type": "string"}
    return [found[path] for path in sorted(found)]


def _sentence(given: str) -> str:
    return " ".join(given.split()).rstrip(".") + "."


def _refuse(loaded: LoadedPlaybook) -> None:
    """XSOAR polls through our commands, which exist for actions that tell a job's state."""
    problems: list[Problem] = []
    for place, step in placed_steps(loaded.playbook):
        if isinstance(step, DoStep) and step.poll and not names_.can_wait(find_action(step.poll.do)):
            where = loaded.document.locate((*place, "poll", "do"))
            problems.append(Problem(f"{step.poll.do} tells no state, so XSOAR cannot wait by it", location=where))
    if problems:
        raise PlaybookError(f"{loaded.playbook.name} cannot be compiled for XSOAR", problems)


TARGET = Target("xsoar", "Cortex XSOAR playbook YAML", compile_xsoar)
