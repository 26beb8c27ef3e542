"""The parts of a Shuffle workflow as plain JSON: nodes, triggers, branches, and the document around them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snaphold import __version__
from snaphold.soar.shuffle_names import APP
from snaphold.targets.base import Stamp, stable_uuid

ENVIRONMENT = "Shuffle"
SUCCESS = ("success", "true")
Test = tuple[str, str]
"""A field of the branch's source, and the text that it must equal."""
Json = dict[str, Any]
ID_TAG, CONTENT_TAG = "snaphold-id:", "snaphold-content:"


@dataclass(frozen=True)
class Node:
    """An action of the app, or a trigger (`trigger` is its type)."""

    label: str
    name: str
    parameters: Mapping[str, str]
    position: tuple[float, float]
    description: str = ""
    trigger: str = ""
    delay: int = 0


@dataclass(frozen=True)
class Way:
    """A branch: it is taken when every field of its source equals its text."""

    source: str
    target: str
    tests: tuple[Test, ...] = ()
    label: str = ""


@dataclass
class Drawing:
    """A workflow in the making. `role` tells the workflows of one playbook apart."""

    playbook_id: str
    role: str
    name: str
    start: str
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    ways: list[Way] = field(default_factory=list[Way])

    def add(self, node: Node) -> None:
        """Add a node; its label is unique in the workflow."""
        if node.label in self.nodes:
            raise ValueError(f"two nodes are called {node.label}")
        self.nodes[node.label] = node

    def lead(self, source: str, target: str, *tests: Test, label: str = "") -> None:
        """Add a branch. Without tests only a trigger may be the source: every other branch is gated."""
        self.ways.append(Way(source, target, tests, label))

    def id_of(self, label: str) -> str:
        """Return the stable id of a node."""
        return stable_uuid(self.playbook_id, f"{self.role}/{label}", "shuffle node")


def workflow_id(playbook_id: str, role: str) -> str:
    """Return the stable id of a workflow; the installer replaces it by the one that the server gives."""
    return stable_uuid(playbook_id, role, "shuffle workflow")


def document(drawing: Drawing, source: Stamp, description: str) -> Json:
    """Return the workflow as JSON data, with the stamp of its source in description and tags."""
    own = workflow_id(drawing.playbook_id, drawing.role)
    nodes = list(drawing.nodes.values())
    content: Json = {
        "id": own,
        "name": drawing.name,
        "description": f"{description} Compiled by Snaphold from {source.text}.",
        "start": drawing.id_of(drawing.start),
        "status": "production",
        "is_valid": True,
        "public": False,
        "actions": [_action(node, drawing) for node in nodes if not node.trigger],
        "triggers": [_trigger(node, drawing) for node in nodes if node.trigger],
        "branches": [_branch(way, index, drawing) for index, way in enumerate(drawing.ways)],
        "workflow_variables": [],
        "execution_variables": [],
        "configuration": {"exit_on_error": False, "start_from_top": False, "skip_notifications": False},
    }
    tags = [
        "snaphold",
        f"snaphold-playbook:{source.name}",
        f"snaphold-version:{source.version}",
        f"snaphold-change:{source.change_record}",
        f"snaphold-sha256:{source.digest}",
        ID_TAG + own,
    ]
    return {**content, "tags": [*tags, CONTENT_TAG + hashlib.sha256(written({**content, "tags": tags})).hexdigest()]}


def written(content: Json) -> bytes:
    """Return a workflow as the bytes of its file."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parameter(name: str, value: str, *, configuration: bool = False) -> Json:
    """Return a parameter. Its value is always text, and its schema an object: the SDK fails on anything else."""
    return {
        "name": name, "value": value, "variant": "STATIC_VALUE", "schema": {"type": "string"},
        "configuration": configuration, "multiline": True, "required": False, "options": [],
    }  # fmt: skip


def _common(node: Node, drawing: Drawing) -> Json:
    left, top = node.position
    return {
        "id": drawing.id_of(node.label),
        "label": node.label,
        "description": node.description,
        "environment": ENVIRONMENT,
        "is_valid": True,
        "execution_delay": node.delay,
        "parameters": [parameter(name, value) for name, value in node.parameters.items()],
        "position": {"x": left, "y": top},
    }


def _action(node: Node, drawing: Drawing) -> Json:
    return {
        **_common(node, drawing),
        "app_name": APP,
        "app_version": __version__,
        "name": node.name,
        "isStartNode": node.label == drawing.start,
    }


_TRIGGER_NAMES = {"WEBHOOK": "Webhook", "SUBFLOW": "Shuffle Workflow"}


def _trigger(node: Node, drawing: Drawing) -> Json:
    return {
        **_common(node, drawing),
        "app_name": _TRIGGER_NAMES[node.trigger],
        "app_version": "1.0.0",
        "name": _TRIGGER_NAMES[node.trigger],
        "trigger_type": node.trigger,
        "status": "uninitialized",
        "isStartNode": False,
    }


def _branch(way: Way, index: int, drawing: Drawing) -> Json:
    id = stable_uuid(drawing.playbook_id, f"{drawing.role}/{way.source}/{way.target}/{way.label}", f"shuffle branch {index}")
    return {
        "id": id,
        "source_id": drawing.id_of(way.source),
        "destination_id": drawing.id_of(way.target),
        "label": way.label,
        "has_errors": False,
        "conditions": [_condition(way.source, test) for test in way.tests],
    }


def _condition(source: str, test: Test) -> Json:
    name, value = test
    return {
        "source": parameter("source", f"${source}.{name}"),
        "condition": parameter("condition", "equals"),
        "destination": parameter("destination", value),
    }


def webhook(label: str, own: str, position: tuple[float, float]) -> Node:
    """Return a webhook trigger. The header's value is a placeholder, with which the installer starts no webhook."""
    return Node(
        label,
        "Webhook",
        {
            "url": f"https://SHUFFLE/api/v1/hooks/webhook_{own}",
            "tmp": f"webhook_{own}",
            "auth_headers": "X-Snaphold-Webhook: CHANGE-ME",
            "custom_response_body": "",
            "await_response": "v1",
        },
        position,
        "Takes the incident as JSON",
        trigger="WEBHOOK",
    )


def subflow(
    label: str, workflow: str, argument: Mapping[str, str], position: tuple[float, float], title: str, delay: int = 0
) -> Node:
    """Return a trigger that starts another workflow and does not wait for it."""
    return Node(
        label,
        "Shuffle Workflow",
        {
            "workflow": workflow,
            "argument": json.dumps(argument),
            "user_apikey": "",
            "startnode": "",
            "check_result": "false",
            "auth_override": "",
        },
        position,
        title,
        trigger="SUBFLOW",
        delay=delay,
    )


def labels_in_rows(labels: Sequence[str], left: float, top: float) -> dict[str, tuple[float, float]]:
    """Return places for nodes that stand below each other."""
    return {label: (left, top + 180 * row) for row, label in enumerate(labels)}
