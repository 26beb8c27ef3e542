"""The integration's description for XSOAR: parameters, and one command for each action of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snaphold.action import AnyAction, Effect, catalogue
from snaphold.fields import FieldShape, Kind, fields_of, value_text
from snaphold.soar import xsoar_names as names
from snaphold.soar.xsoar_call import FAIL, INTERVAL_SECONDS, TIMEOUT_SECONDS, UNTIL

DOCKER_IMAGE = "demisto/py3-tools:1.0.0.91908"
"""The newest tag that public records show. Which tag first held pydantic 2 could not be looked up: see the how-to."""
FROM_VERSION = "6.10.0"
TYPES = {Kind.INTEGER: "Number", Kind.NUMBER: "Number", Kind.BOOLEAN: "Boolean", Kind.TIME: "Date"}
Entry = dict[str, Any]


def integration(docker_image: str = DOCKER_IMAGE) -> Entry:
    """Return the content of the integration's yml, without its code."""
    return {
        "category": "Utilities",
        "sectionorder": ["Connect"],
        "commonfields": {"id": names.BRAND, "version": -1},
        "name": names.BRAND,
        "display": names.BRAND,
        "description": "Backs up what an incident touches, seals it as evidence and holds it, through a Snaphold service.",
        "provider": names.BRAND,
        "configuration": _configuration(),
        "script": {
            "type": "python",
            "subtype": "python3",
            "dockerimage": docker_image,
            "script": "-",
            "isfetch": False,
            "runonce": False,
            "commands": commands(),
        },
        "fromversion": FROM_VERSION,
        "tests": ["No tests"],
    }


def _configuration() -> list[Entry]:
    connect: Entry = {"section": "Connect"}
    how_made = "Made with: snaphold token create."
    authority = "PEM text of the authority that signed the service's certificate, when it is not a public one."
    return [
        {"display": "Server URL", "name": "url", "type": 0, "required": True, "defaultvalue": "https://snaphold.example.org:8443"}
        | connect,
        {
            "display": "", "displaypassword": "API token", "name": "credentials", "hiddenusername": True, "type": 9,
            "required": True, "additionalinfo": how_made,
        } | connect,
        {"display": "CA certificate", "name": "ca_certificate", "type": 12, "required": False, "additionalinfo": authority}
        | connect,
        {"display": "Trust any certificate (not secure)", "name": "insecure", "type": 8, "required": False, "advanced": True}
        | connect,
        {"display": "Use system proxy settings", "name": "proxy", "type": 8, "required": False, "advanced": True} | connect,
    ]  # fmt: skip


def commands() -> list[Entry]:
    """Return all commands in order of name."""
    found = [_command(name, entry) for name, entry in names.commands().items()]
    return sorted([*found, *_flow_commands(), _self_check()], key=lambda command: str(command["name"]))


def _command(name: str, entry: AnyAction) -> Entry:
    waits = names.can_wait(entry) and name == names.wait_name(entry.name)
    title = f"Waits until a job has ended, by asking: {entry.title}" if waits else entry.title
    command: Entry = {
        "name": name,
        "description": f"{title}. {entry.description}",
        "polling": True,
        "arguments": action_arguments(entry, fields_of(entry.request), waits=waits),
        "outputs": action_outputs(entry),
    }
    if entry.effect is not Effect.READS:
        command["execution"] = True
    return command


def action_arguments(entry: AnyAction, shapes: Sequence[FieldShape], *, waits: bool = False, polls: bool = True) -> list[Entry]:
    """Return the arguments of an action's command: its inputs, those that every command has, and those of polling."""
    conditions = _conditions(entry) if waits else []
    return [*map(_argument, shapes), *_common(entry), *conditions, *(_polling() if polls else [])]


def _argument(shape: FieldShape) -> Entry:
    found: Entry = {"name": shape.name, "description": sentence(shape.description)}
    if shape.examples and value_text(shape.examples[0]):
        found["description"] = f"{sentence(shape.description)} For example: {value_text(shape.examples[0])}."
    if shape.required:
        found["required"] = True
    elif shape.default not in (None, "", []) and shape.kind is not Kind.LIST:
        found["defaultValue"] = value_text(shape.default)
    choices = shape.choices or (("true", "false") if shape.kind is Kind.BOOLEAN else ())
    if choices:
        found |= {"auto": "PREDEFINED", "predefined": list(choices)}
    if shape.kind is Kind.LIST:
        found["isArray"] = True
    return found


def _common(entry: AnyAction) -> list[Entry]:
    found: list[Entry] = []
    own = set(entry.request.model_fields)
    if entry.effect is not Effect.READS and "justification" not in own:
        found.append({"name": "justification", "description": "Why this is done; the audit trail keeps it.", "required": True})
    found.append({"name": "incident_id", "description": "The incident in the Snaphold service, when it is not this one."})
    found += [{"name": name, "description": about} for name, about in names.STEP_ARGUMENTS.items()]
    return found


def _conditions(entry: AnyAction) -> list[Entry]:
    found: list[Entry] = [
        {"name": "until", "description": "When the job is done.", "defaultValue": UNTIL},
        {"name": "fail", "description": "When the job has failed.", "defaultValue": FAIL},
    ]
    if not names.tells_done(entry):
        found = [{"name": one["name"], "description": one["description"], "required": True} for one in found]
    return found


def _polling() -> list[Entry]:
    return [
        {"name": "interval_in_seconds", "description": "The pause between two questions.", "defaultValue": str(INTERVAL_SECONDS)},
        {
            "name": "timeout_in_seconds",
            "description": "After this long it is an error; the work itself may go on.",
            "defaultValue": str(TIMEOUT_SECONDS),
        },
        {"name": "job_id", "description": "Set by polling.", "hidden": True},
        {"name": "began", "description": "Set by polling.", "hidden": True},
        # Without a default: any text in it, "false" too, hides the first message.
        {"name": "hide_polling_output", "description": "Set by polling.", "hidden": True},
    ]


def action_outputs(entry: AnyAction) -> list[Entry]:
    """Return the outputs of an action's command."""
    prefix = names.context_prefix(entry.name)
    return [
        {
            "contextPath": f"{prefix}.{shape.name}",
            "description": sentence(shape.description),
            "type": TYPES.get(shape.kind, "String"),
        }
        for shape in fields_of(entry.result)
    ]


def _flow_commands() -> list[Entry]:
    place = {"name": "place", "description": "Where it stands in the playbooks that run.", "required": True}
    step = {"name": "step", "description": "The step that the outputs belong to.", "required": True}
    ended = {"name": "ended", "description": "The marks of the endings so far.", "isArray": True}
    return [
        {
            "name": names.ITEMS,
            "description": "For compiled playbooks: lists the items of a loop; an empty list is an error.",
            "arguments": [
                {"name": "items", "description": "The items.", "required": True, "isArray": True}, place, step,
                {"name": "at_once", "description": "How many turns begin whatever becomes of the first.", "defaultValue": "1"},
            ],
            "outputs": [
                {"contextPath": f"{names.ITEMS_PREFIX}.item", "description": "The items.", "type": "String"},
                {"contextPath": f"{names.ITEMS_PREFIX}.place", "description": "The place of each turn.", "type": "String"},
            ],
        },
        {
            "name": names.TURN,
            "description": "For compiled playbooks: fails when an earlier turn of the same loop did not come to its end.",
            "arguments": [place],
        },
        {
            "name": names.END,
            "description": "For compiled playbooks: notes how a playbook or a branch ended.",
            "arguments": [
                place,
                {"name": "outcome", "description": "The ending.", "required": True, "auto": "PREDEFINED",
                 "predefined": [names.DONE, names.FAILED, names.STOPPED, names.DECIDED, names.SETTLED]},
                ended,
            ],
            "outputs": [{"contextPath": f"{names.ENDED_PREFIX}.mark", "description": "The mark.", "type": "String"}],
        },
        {
            "name": names.JOIN,
            "description": "For compiled playbooks: tells how all turns or branches ended together.",
            "arguments": [{"name": "places", "description": "Where they stand.", "required": True, "isArray": True}, ended, step],
            "outputs": [{"contextPath": f"{names.STEP_PREFIX}.state", "description": "The ending.", "type": "String"}],
        },
        {
            "name": names.STOP,
            "description": "For compiled playbooks: fails with the reason for which the playbook stops.",
            "arguments": [{"name": "reason", "description": "The reason.", "required": True}, {**step, "required": False}],
        },
    ]  # fmt: skip


def _self_check() -> Entry:
    fields = {
        "kind": "The kind of item.",
        "name": "Its name.",
        "state": "present, missing, older or unknown.",
        "mend": "What to do.",
    }
    return {
        "name": names.SELF_CHECK,
        "description": "Lists what of this pack is really on the server, what is missing or older, and what to do about it.",
        "arguments": [],
        "outputs": [
            {"contextPath": f"Snaphold.SelfCheck.{name}", "description": about, "type": "String"}
            for name, about in fields.items()
        ],
    }


def command_names() -> list[str]:
    """Return the names of all commands."""
    return [str(command["name"]) for command in commands()]


def effects() -> dict[str, Effect]:
    """Return the effect of every action."""
    return {name: entry.effect for name, entry in catalogue().items()}


def sentence(given: str) -> str:
    return " ".join(given.split()).rstrip(".") + "."
