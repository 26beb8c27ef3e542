"""The pack's pages: READMEs, the integration's description, release notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snaphold.targets.docs import table

PACK_ABOUT = "Emergency backups for incident response: classify, snapshot, seal as evidence, hold."


def pack_readme(playbooks: Sequence[Mapping[str, Any]], size: int, modules: int, vendors: Mapping[str, tuple[int, int]]) -> str:
    """Return the pack's page; `vendors`: modules and bytes of each vendor's integration."""
    rows = [(playbook["name"], playbook["description"].partition(". ")[0]) for playbook in playbooks]
    lines = [
        "Snaphold decides what must be backed up first when an incident is declared, backs it up into storage that an intruder",
        "cannot reach, seals the result as evidence that a stranger can verify, and places the legal hold.",
        "",
        "## What does this pack do?",
        "",
        "- Runs every action of a Snaphold service as a command; the service keeps vendor credentials, ledger and authority.",
        "- Works with PagerDuty, ServiceNow, Veeam and Commvault also without the service: integrations of their own.",
        "- Starts a backup at Veeam or Commvault and follows it to its end in one command: `snaphold-veeam-backup-run`.",
        "- Brings the playbooks below, compiled from one reviewed source each; version and digest stand in the description.",
        "- Brings an incident type with a Backup tab, a dashboard, a classifier and a mapper, and a list with a tier table.",
        "- Checks itself: run `!snaphold-self-check` after the installation.",
        "",
        "## Playbooks",
        "",
        *table(("Name", "What it is for"), rows),
        "",
        "## Size",
        "",
        f"The integration Snaphold carries {modules} modules of the package, {size // 1024} KiB of readable source.",
        *(f"{name} carries {count} modules, {bytes_ // 1024} KiB." for name, (count, bytes_) in vendors.items()),
    ]
    return "\n".join(lines) + "\n"


def description() -> str:
    """Return the page beside the integration's parameters."""
    return "\n".join(
        [
            "## Snaphold",
            "",
            "Needs a running Snaphold service (`snaphold serve`).",
            "",
            "1. On the service make a token: `snaphold token create`. Give it only the roles that playbooks need.",
            "2. Enter the service's address and the token. For a private authority paste its certificate.",
            "3. Press Test. It checks address, certificate, token and clock, and says what to mend.",
            "4. Run `!snaphold-self-check` in a war room.",
            "",
        ]
    )


INTRODUCTION = "Starts, follows, seals and holds incident backups through a Snaphold service."


def integration_readme(integration: Mapping[str, Any], introduction: str = INTRODUCTION) -> str:
    """Return the reference of all commands."""
    lines = [
        introduction,
        "",
        f"## Configure {integration['display']} in Cortex",
        "",
        *table(
            ("**Parameter**", "**Required**"),
            (
                (entry["display"] or entry.get("displaypassword", ""), "True" if entry["required"] else "False")
                for entry in integration["configuration"]
            ),
        ),
        "",
        "## Commands",
        "",
        "You can execute these commands from the CLI, as part of an automation, or in a playbook.",
        "After you successfully execute a command, a DBot message appears in the War Room with the command details.",
    ]
    for command in integration["script"]["commands"]:
        lines += ["", f"### {command['name']}", "", "***", command["description"], "", "#### Base Command", ""]
        lines += [f"`{command['name']}`", "", "#### Input", ""]
        shown = [argument for argument in command["arguments"] if not argument.get("hidden")]
        if shown:
            lines += table(("**Argument Name**", "**Description**", "**Required**"), map(_argument_row, shown))
        else:
            lines.append("There are no input arguments for this command.")
        lines += ["", "#### Context Output", ""]
        if command.get("outputs"):
            lines += table(
                ("**Path**", "**Type**", "**Description**"),
                ((output["contextPath"], output["type"], output["description"]) for output in command["outputs"]),
            )
        else:
            lines.append("There is no context output for this command.")
    return "\n".join(lines) + "\n"


def _argument_row(argument: Mapping[str, Any]) -> tuple[str, str, str]:
    told = argument["description"]
    if "predefined" in argument:
        told += f" Possible values are: {', '.join(argument['predefined'])}."
    if "defaultValue" in argument:
        told += f" Default is {argument['defaultValue']}."
    return argument["name"], told, "Required" if argument.get("required") else "Optional"


def release_notes(playbooks: Sequence[str]) -> str:
    """Return the notes of a version after the first."""
    lines = ["", "#### Integrations", "", "##### Snaphold", "", "- Updated the embedded package.", "", "#### Playbooks"]
    for name in playbooks:
        lines += ["", f"##### {name}", "", "- Compiled again; see the description for version and change record."]
    return "\n".join(lines) + "\n"
