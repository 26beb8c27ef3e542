"""What things are called on XSOAR: commands, context paths, hidden arguments. The compiler and the integration share it.

Context. Every command writes `Snaphold.<Subject>` (`Snaphold.Backup`, ...) for people. With the argument `step`, which
compiled playbooks give, it also writes `Snaphold.Step.<step id>`: every output field as exact text (`true`, `42`), lists
as an array under the field's name, as JSON text under `<field>_json`, and joined by commas under `<field>_text`. A
condition thus compares text with text, and a list of one item stays a list: XSOAR itself hands such a list on as text.
"""

from __future__ import annotations

import json
from typing import Any, cast

from snaphold.action import AnyAction, Effect, catalogue
from snaphold.fields import fields_of, value_text

BRAND = "Snaphold"
STEP_PREFIX = "Snaphold.Step"
ENDED_PREFIX = "Snaphold.Ended"
ITEMS_PREFIX = "Snaphold.Items"
PLACE_INPUT = "snaphold_place"
"""The input of every compiled playbook that says where in the caller it runs; part of every idempotency key."""
ITEMS = "snaphold-flow-items"
JOIN = "snaphold-flow-join"
END = "snaphold-flow-end"
STOP = "snaphold-flow-stop"
TURN = "snaphold-flow-turn"
SELF_CHECK = "snaphold-self-check"
DONE = "done"
FAILED = "failed"
STOPPED = "stopped"
DECIDED = "decided"
SETTLED = "settled"
"""How a playbook or a branch ended: done; failed, which the caller's handlers may handle; or stopped, which they may not.
`decided` notes that a person or a step's own handler has spoken, `settled` asks whether that is so: then it was stopped."""
STEP_ARGUMENTS = {
    "step": "Where this stands in a playbook; part of the idempotency key, and names the context path of the outputs.",
    "generation": "A higher number asks for the work to be done once more in the same step.",
    "expects": "Outputs that must be there, as name:type; a missing one is an error.",
}


def command_name(action: str) -> str:
    """Return the command of an action: `backup.check_health` is `snaphold-backup-check-health`."""
    return "snaphold-" + action.replace(".", "-").replace("_", "-")


def wait_name(action: str) -> str:
    """Return the polling command of an action that tells a job's state: `backup.status` is `snaphold-backup-wait`."""
    return command_name(action.removesuffix(".status")) + "-wait"


def can_wait(entry: AnyAction) -> bool:
    """Return whether an action tells a job's state, so that a polling command can be made of it."""
    return entry.effect is Effect.READS and entry.name.endswith(".status") and "state" in entry.result.model_fields


def tells_done(entry: AnyAction) -> bool:
    """Return whether the state is one of running and done (or failed), so that a wait needs no conditions."""
    state = next((shape for shape in fields_of(entry.result) if shape.name == "state"), None)
    return state is not None and {"running", DONE} <= set(state.choices)


def context_prefix(action: str) -> str:
    """Return where an action's outputs stand for people: `Snaphold.Backup` for all of `backup`."""
    return "Snaphold." + "".join(word.capitalize() for word in action.partition(".")[0].split("_"))


def commands() -> dict[str, AnyAction]:
    """Return the action of every command, the polling ones included, in order of command."""
    found: dict[str, AnyAction] = {}
    for name, entry in catalogue().items():
        found[command_name(name)] = entry
        if can_wait(entry):
            found[wait_name(name)] = entry
    return dict(sorted(found.items()))


def step_values(output: dict[str, Any]) -> dict[str, Any]:
    """Return an action's output as it stands under `Snaphold.Step.<step id>`. Fields without a value are left out."""
    found: dict[str, Any] = {}
    for name, value in output.items():
        if value is None:
            continue
        if isinstance(value, list):
            items = [value_text(item) for item in cast("list[Any]", value)]
            found[name] = items
            found[f"{name}_json"] = json.dumps(items, ensure_ascii=False)
            found[f"{name}_text"] = ",".join(items)
        else:
            found[name] = value_text(value)
    return found


def read_list(value: Any) -> list[str]:
    """Return a list argument: an array, JSON text of one, or text with commas or semicolons."""
    if value is None or value == "":
        return []
    if isinstance(value, (list, tuple)):
        return [str(item) for item in cast("list[Any]", value)]
    text = str(value).strip()
    if text.startswith("["):
        try:
            read = json.loads(text)
        except ValueError:
            read = None
        if isinstance(read, list):
            return [str(item) for item in cast("list[Any]", read)]
    return [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]
