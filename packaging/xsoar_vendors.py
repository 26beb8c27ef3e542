"""The integrations of vendors' own systems for XSOAR: they run in its container, without the Snaphold service."""

from __future__ import annotations

from typing import Any

from snaphold.action import AnyAction, Effect, find_action
from snaphold.soar.followed import RUN, START, STATUS
from snaphold.soar.vendors import VENDORS, brand, inputs_of
from snaphold.soar.xsoar_vendor import command_name, commands_of, polls
from xsoar_embed import script, vendor_sources
from xsoar_integration import FROM_VERSION, action_arguments, action_outputs, sentence

ENTRY = "snaphold.soar.xsoar_vendor"
Entry = dict[str, Any]
_RUN_TEXT = (
    "Start a backup and follow it to its end. The same step never starts a second one: it finds its job and follows that. "
    "A backup that failed, or that still runs when the time is over, is an error that names the job."
)
_STATUS_TEXT = "Show where a backup stands. With polling it asks until the job has ended; a backup that failed is an error."
_OWN_TEXTS = {
    "justification": "Why this is done; it stays with the command in XSOAR.",
    "incident_id": "The incident's id, when it is not this one's.",
}
"""Of arguments that mean something else where there is no service and no audit trail."""
_POLLING: Entry = {
    "name": "polling",
    "description": "Whether to ask again until the job has ended.",
    "auto": "PREDEFINED",
    "predefined": ["true", "false"],
    "defaultValue": "false",
}


def vendor_integration(kind: str, docker_image: str) -> Entry:
    """Return the content of a vendor's yml, without its code."""
    vendor = VENDORS[kind]
    return {
        "category": "Utilities",
        "sectionorder": ["Connect"],
        "commonfields": {"id": brand(kind), "version": -1},
        "name": brand(kind),
        "display": f"Snaphold {vendor.title}",
        "description": f"Works with {vendor.work} of {vendor.title} from XSOAR itself, without the Snaphold service.",
        "provider": "Snaphold",
        "configuration": _configuration(kind),
        "script": {
            "type": "python",
            "subtype": "python3",
            "dockerimage": docker_image,
            "script": "-",
            "isfetch": False,
            "runonce": False,
            "commands": [_command(kind, name, entry) for name, entry in commands_of(kind).items()],
        },
        "fromversion": FROM_VERSION,
        "tests": ["No tests"],
    }


def vendor_script(kind: str) -> str:
    """Return a vendor's script: the modules that it needs, and the way into them."""
    return script({"vendor": kind}, vendor_sources(kind), ENTRY)


def _configuration(kind: str) -> list[Entry]:
    vendor, connect = VENDORS[kind], {"section": "Connect"}
    found: list[Entry] = [
        {"display": "Server URL", "name": "url", "type": 0, "required": True, "defaultvalue": vendor.url} | connect
    ]
    for name, (needed, title) in vendor.credentials.items():
        found.append(
            {"display": "", "displaypassword": title, "name": name, "hiddenusername": True, "type": 9, "required": needed}
            | connect
        )
    if vendor.storage:
        told = f"Name of the {vendor.storage.lower()} that takes the backups, e.g. {vendor.example}."
        found.append(
            {"display": vendor.storage, "name": "location", "type": 0, "required": True, "additionalinfo": told} | connect
        )
    authority = "PEM text of the authority that signed the system's certificate, when it is not a public one."
    more = "One NAME=VALUE a line; the page on connecting this system lists them."
    found += [
        {"display": "CA certificate", "name": "ca_certificate", "type": 12, "required": False, "additionalinfo": authority}
        | connect,
        {"display": "Settings", "name": "settings", "type": 12, "required": False, "additionalinfo": more, "advanced": True}
        | connect,
        {"display": "Use system proxy settings", "name": "proxy", "type": 8, "required": False, "advanced": True} | connect,
    ]
    return found


def _command(kind: str, name: str, entry: AnyAction) -> Entry:
    runs, follows = name == command_name(kind, RUN), polls(kind, name)
    command: Entry = {
        "name": name,
        "description": _RUN_TEXT if runs else _STATUS_TEXT if follows else f"{entry.title}. {entry.description}",
        "arguments": action_arguments(entry, inputs_of(entry), polls=follows),
        "outputs": action_outputs(entry),
    }
    for argument in command["arguments"]:
        argument["description"] = _OWN_TEXTS.get(argument["name"], argument["description"])
    if follows:
        told = [*action_outputs(find_action(START)), *action_outputs(find_action(STATUS))]
        command |= {"polling": True, "outputs": list({one["contextPath"]: one for one in told}.values())}
    if follows and not runs:
        command["arguments"].insert(0, dict(_POLLING))
    if entry.effect is not Effect.READS:
        command["execution"] = True
    return command


def vendor_description(kind: str) -> str:
    """Return the page beside a vendor's parameters."""
    title = VENDORS[kind].title
    backup = f"4. `!{command_name(kind, RUN)}` starts a backup and follows it to its end."
    return "\n".join(
        [
            f"## Snaphold {title}",
            "",
            f"Talks to {title} from this server's container. No Snaphold service is needed, so there is no audit trail of it.",
            "",
            "1. Enter address and credentials, and for a private authority its certificate.",
            "2. Press Test. It signs in and says what the account may not do, and when the clocks differ.",
            "3. A write that is repeated with the same step finds what the first one left.",
            *([backup] if VENDORS[kind].storage else []),
            "",
            f"{VENDORS[kind].lacks} need the integration Snaphold with a service.",
            "",
        ]
    )


def vendor_readme_intro(kind: str) -> str:
    """Return the first sentence of a vendor's reference."""
    return sentence(f"Works with {VENDORS[kind].work} of {VENDORS[kind].title} from XSOAR, without the Snaphold service")
