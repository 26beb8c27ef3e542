"""The README of a compiled playbook: what it needs and gives, and its flow as a Mermaid picture that reads as text too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snaphold.playbook.model import Playbook
from snaphold.targets.base import Stamp
from snaphold.targets.docs import table

_SHAPES = {"condition": ("{", "}"), "title": ("([", "])"), "start": ("([", "])"), "playbook": ("[[", "]]")}


def readme(playbook: Playbook, source: Stamp, name: str, document: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    tasks: Mapping[str, Mapping[str, Any]] = document["tasks"]
    commands = sorted({task["task"]["script"].partition("|||")[2] for task in tasks.values() if "script" in task["task"]})
    called = sorted({task["task"]["playbookName"] for task in tasks.values() if "playbookName" in task["task"]})
    lines = [
        " ".join(playbook.metadata.description.split()) or name,
        "",
        f"Compiled by Snaphold from {source.text}. Change the source and compile it again; edits here are lost.",
        "",
        "## Dependencies",
        "",
        "This playbook uses the following sub-playbooks, integrations, and commands.",
        "",
        "### Sub-playbooks",
        "",
        *([f"* {item}" for item in called] or ["This playbook does not use any sub-playbooks."]),
        "",
        "### Integrations",
        "",
        "* Snaphold",
        "",
        "### Commands",
        "",
        *(f"* {item}" for item in commands),
        "",
        "## Playbook Inputs",
        "",
        "---",
        "",
        *table(("**Name**", "**Description**", "**Default Value**", "**Required**"), map(_input_row, document["inputs"])),
        "",
        "## Playbook Outputs",
        "",
        "---",
        "",
        *table(("**Path**", "**Description**", "**Type**"), map(_output_row, document["outputs"])),
        "",
        "## Flow",
        "",
        "---",
        "",
        "```mermaid",
        "flowchart TD",
        *picture(tasks),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _input_row(given: Mapping[str, Any]) -> tuple[str, ...]:
    value = given["value"]
    default = value.get("simple", "")
    if "complex" in value:
        default = ".".join(part for part in (value["complex"]["root"], value["complex"].get("accessor", "")) if part)
    return given["key"], given["description"], default, "Required" if given["required"] else "Optional"


def _output_row(given: Mapping[str, Any]) -> tuple[str, ...]:
    return given["contextPath"], given["description"], given["type"]


def picture(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines of a Mermaid flowchart. Error paths are dotted."""
    lines: list[str] = []
    for number, task in tasks.items():
        left, right = _SHAPES.get(task["type"], ("[", "]"))
        lines.append(f'    t{number}{left}"{_safe(task["task"]["name"] or "Start")}"{right}')
    for number, task in tasks.items():
        for label, followers in task.get("nexttasks", {}).items():
            arrow = "-.->" if label == "#error#" else "-->"
            said = "" if label == "#none#" else f'|"{_safe(label.strip("#"))}"|'
            lines += [f"    t{number} {arrow}{said} t{follower}" for follower in followers]
    return lines


def _safe(given: str) -> str:
    return given.replace('"', "'").replace("#", "").replace("\n", " ")
