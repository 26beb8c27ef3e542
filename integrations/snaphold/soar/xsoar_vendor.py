"""The entry point of a vendor's own integration inside XSOAR: its actions run in this container, without a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from snaphold.action import AnyAction
from snaphold.errors import InputError
from snaphold.soar.followed import RUN, START, STATUS
from snaphold.soar.vendors import VENDORS, Direct, actions_of, read_settings
from snaphold.soar.xsoar import certificate_file, serve
from snaphold.soar.xsoar_server import Server
from snaphold.soar.xsoar_text import plain


def command_name(kind: str, action: str) -> str:
    """Return the command of an action in a vendor's integration: `snaphold-pagerduty-incident-read`."""
    return f"snaphold-{kind}-" + action.replace(".", "-").replace("_", "-")


def commands_of(kind: str) -> dict[str, AnyAction]:
    """Return the action of every command of a vendor's integration, in order of command.

    Of a backup product, `backup-run` begins with backup.start.
    """
    actions = actions_of(kind)
    found = {command_name(kind, name): entry for name, entry in actions.items()}
    if VENDORS[kind].storage:
        found[command_name(kind, RUN)] = actions[START]
    return dict(sorted(found.items()))


def polls(kind: str, command: str) -> bool:
    """Return whether a command goes on by XSOAR's own schedule until its job has ended."""
    return command in (command_name(kind, RUN), command_name(kind, STATUS))


def run(given: Mapping[str, Any], items: Mapping[str, Any]) -> None:
    """Run the command that the server asks for; `items` names the vendor."""
    kind = str(items["vendor"])

    def dispatch(server: Server, command: str) -> Any:
        from snaphold.soar.xsoar_call import Use, run_action

        direct = _connect(server, kind)
        if command == "test-module":
            return _test(direct)
        entry = commands_of(kind).get(command)
        if entry is None:
            raise InputError(f"there is no command {command!r}", None, "update the pack")
        use = Use(server, direct, entry, server.demisto.args() or {})
        if not polls(kind, command):
            return run_action(use)
        from snaphold.soar.xsoar_follow import run_backup, show_status

        follow = show_status if entry.name == STATUS else run_backup
        return follow(use, command_name(kind, STATUS))

    serve(given, items, dispatch)


def _test(direct: Direct) -> str:
    _, missing = direct.check()
    return "ok" if not missing else "Signed in, but: " + plain("; ".join(missing))


def _connect(server: Server, kind: str) -> Direct:
    params = server.demisto.params() or {}
    credentials = {name: _secret(params, name) for name in VENDORS[kind].credentials}
    server.handle_proxy()
    if params.get("insecure") in (True, "true"):
        raise InputError("a certificate that cannot be checked is never trusted", None, "paste the authority's certificate")
    authority = str(params.get("ca_certificate") or "").strip()
    settings = read_settings(str(params.get("settings") or ""))
    location = str(params.get("location") or "").strip()
    ca_file = certificate_file(authority) if authority else ""
    return Direct(kind, str(params.get("url") or ""), credentials, settings, ca_file, location=location)


def _secret(params: Mapping[str, Any], name: str) -> str:
    found: Any = params.get(name)
    return str(cast("dict[str, Any]", found).get("password") or "") if isinstance(found, dict) else str(found or "")
