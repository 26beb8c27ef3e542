"""The commands of a backup product's own XSOAR integration, run in this process as the server calls them: turn by turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from snaphold.soar import xsoar_vendor
from support.product_access import address_of, secrets_of, settings_of_product
from support.vendor_rigs import ASSET, VendorRig
from support.xsoar_play import shim

ERROR = 4
MOST_TURNS = 20
STEP = {"asset": ASSET, "step": "main.save", "justification": "An exercise"}
STARTS = {"veeam": "/start", "commvault": "/CreateTask"}
"""How the address of the call that starts a backup ends."""
START_PATHS = {"veeam": "/api/v1/jobs/", "commvault": "/webconsole/api/CreateTask"}
"""How it begins; no other call of a start does."""


def params_of(rig: VendorRig) -> dict[str, Any]:
    """Return the parameters of an instance, as XSOAR hands them on."""
    (url, ca_file), secrets = address_of(rig), secrets_of(rig)
    return {
        "url": url, "username": {"password": secrets["username"]}, "password": {"password": secrets["password"]},
        "location": rig.location, "ca_certificate": " ".join(Path(ca_file).read_text(encoding="ascii").split("\n")),
        "settings": "\n".join(f"{name}={value}" for name, value in settings_of_product(rig).items()),
    }  # fmt: skip


def say(rig: VendorRig, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run one turn of a command, named without its prefix, and return its one entry."""
    demisto, server = shim()
    demisto.STATE.clear()
    demisto.STATE.update(
        {"command": f"snaphold-{rig.kind}-{command}", "args": dict(arguments), "params": params_of(rig), "incident": {"id": "7"}}
    )
    demisto.RESULTS.clear()
    with contextlib.suppress(SystemExit):
        xsoar_vendor.run({**vars(server), "demisto": demisto}, {"vendor": rig.kind})
    (entry,) = demisto.RESULTS
    return cast("dict[str, Any]", entry)


def follow(rig: VendorRig, command: str, arguments: Mapping[str, Any], *between: Callable[[], object]) -> list[dict[str, Any]]:
    """Run a command and every turn that it asks for; before each further turn one of `between`. Return all entries."""
    entries = [say(rig, command, arguments)]
    steps = list(between)
    while "PollingCommand" in entries[-1]:
        assert len(entries) < MOST_TURNS, "the polls do not end"
        assert entries[-1]["PollingCommand"] == f"snaphold-{rig.kind}-{command}"
        if steps:
            steps.pop(0)()
        entries.append(say(rig, command, entries[-1]["PollingArgs"]))
    assert not steps, "it ended too early"
    return entries


def later(arguments: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return the arguments of a poll as if it had begun so much earlier."""
    return {**arguments, "began": str(float(arguments["began"]) - seconds)}


def starts_asked(rig: VendorRig) -> int:
    """Return how often the product was asked to start a backup, whatever came of it."""
    calls = (exchange.call for exchange in cast("Any", rig).server.exchanges)
    return sum(call.method == "POST" and call.path.endswith(STARTS[rig.kind]) for call in calls)


def backup_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry writes into the context for people."""
    return next(value for path, value in entry["EntryContext"].items() if path.startswith("Snaphold.Backup("))
