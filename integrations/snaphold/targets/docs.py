"""The reference page of all actions, from the catalogue."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from snaphold.action import AnyAction, Effect, Recovery
from snaphold.fields import FieldShape, Kind, fields_of, value_text

EFFECT_TEXTS = {
    Effect.READS: "reads only",
    Effect.WRITES: "writes; needs a justification",
    Effect.DESTROYS: "destroys; needs a grant and a second person",
}
RECOVERY_TEXTS = {
    Recovery.LOOKS_UP: "it first asks whether the earlier attempt started",
    Recovery.IDEMPOTENT: "doing it again changes nothing",
    Recovery.PERSON: "the outcome is unknown and a person decides",
}
SAMPLE_JUSTIFICATION = "Ransomware, INC-2026-0042"


def actions_reference(actions: Mapping[str, AnyAction]) -> str:
    """Return the page as Markdown: a summary of all actions, then one section each."""
    lines = [
        "# Actions",
        "",
        "Generated from the catalogue by `make docs`; edit the action, not this page. Every action is also shown by",
        "`snaphold actions show NAME`. Besides what is listed, every result has `outcome` (`succeeded`, `partial`,",
        "`failed` or `unknown`) and `findings` (what a person should know).",
        "",
        *table(
            ("Action", "Effect", "What it does"), ((_link(entry), entry.effect.value, entry.title) for entry in actions.values())
        ),
    ]
    for entry in actions.values():
        lines += ["", *_section(entry)]
    return "\n".join(lines) + "\n"


def _link(entry: AnyAction) -> str:
    return f"[`{entry.name}`](#{entry.name.replace('.', '')})"


def _section(entry: AnyAction) -> list[str]:
    inputs = fields_of(entry.request)
    outputs = [shape for shape in fields_of(entry.result) if shape.name not in ("outcome", "findings")]
    lines = [f"## {entry.name}", "", f"{entry.title}. {entry.description}", "", f"- Effect: {EFFECT_TEXTS[entry.effect]}."]
    if entry.effect is not Effect.READS:
        lines.append(f"- After a lost attempt: {RECOVERY_TEXTS[entry.recovery]}.")
        if entry.key_fields:
            lines.append(f"- Once per incident, step and {', '.join(f'`{name}`' for name in entry.key_fields)}.")
    lines.append(f"- Needs: {entry.needs.value}.")
    if inputs:
        lines += ["", "Inputs:", "", *table(("Name", "Type", "Default", "Description", "Example"), map(_input_row, inputs))]
    if outputs:
        lines += ["", "Outputs:", "", *table(("Name", "Type", "Description", "Example"), map(_output_row, outputs))]
    return [*lines, "", "```sh", example_command(entry), "```"]


def _input_row(shape: FieldShape) -> tuple[str, ...]:
    default = "required" if shape.required else _code(value_text(shape.default))
    return (f"`{shape.name}`", shape.kind_text, default, shape.description, _code(_example(shape)))


def _output_row(shape: FieldShape) -> tuple[str, ...]:
    return (f"`{shape.name}`", shape.kind_text, shape.description, _code(_example(shape)))


def _example(shape: FieldShape) -> str:
    return value_text(shape.examples[0]) if shape.examples else ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]


def example_command(entry: AnyAction) -> str:
    """Return a command line that uses the action with the examples of its required inputs."""
    words = ["snaphold", "do", entry.name, "--incident", "incident.json"]
    if entry.effect is not Effect.READS:
        words += ["--justification", SAMPLE_JUSTIFICATION]
    for shape in fields_of(entry.request):
        if shape.required and shape.name != "justification":
            flag = "--" + shape.name.replace("_", "-")
            if shape.kind is Kind.BOOLEAN:
                words.append(flag if _example(shape) == "true" else flag.replace("--", "--no-", 1))
            else:
                words += [flag, _example(shape)]
    return shlex.join(words)
