"""The entry point inside XSOAR: the integration's script hands over the server's names, and one command is run.

Everything that leaves goes through `redact` and `plain`: no secret, no markup from outside, no traceback.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, cast

from snaphold.errors import InputError, SnapholdError
from snaphold.secrets import redact, remember
from snaphold.soar import xsoar_names as names
from snaphold.soar.client import ServiceClient
from snaphold.soar.xsoar_check import self_check, test_module
from snaphold.soar.xsoar_flow import begin_turn, judge_ends, list_items, note_end, tell_stop
from snaphold.soar.xsoar_server import Server
from snaphold.soar.xsoar_text import error_text, plain

_FLOW: Mapping[str, Callable[[Server, Mapping[str, Any]], Any]] = {
    names.ITEMS: list_items,
    names.JOIN: judge_ends,
    names.END: note_end,
    names.STOP: tell_stop,
    names.TURN: begin_turn,
}


def run(given: Mapping[str, Any], items: Mapping[str, Any]) -> None:
    """Run the command that the server asks for. `given` are the names of the integration's script."""
    serve(given, items, _dispatch)


def serve(given: Mapping[str, Any], items: Mapping[str, Any], dispatch: Callable[[Server, str], Any]) -> None:
    """Run one command by `dispatch` and give its result, or its error, to the war room."""
    server = Server(
        demisto=given["demisto"],
        CommandResults=given["CommandResults"],
        PollResult=given["PollResult"],
        polling_function=given["polling_function"],
        return_results=given["return_results"],
        return_error=given["return_error"],
        handle_proxy=given["handle_proxy"],
        get_integration_context_with_version=given["get_integration_context_with_version"],
        set_integration_context=given["set_integration_context"],
        items=items,
    )
    _log_to(server)
    command = ""
    try:
        command = server.demisto.command()
        found = dispatch(server, command)
    except SnapholdError as error:
        server.return_error(f"{plain(command)}: {error_text(error)}")
        return
    except Exception as error:  # noqa: BLE001  a traceback in the war room could show what nobody may see
        told = f"{type(error).__name__}: {redact(str(error))}"
        server.return_error(f"{plain(command)} ended in an unforeseen fault.\nWhy: {plain(told)}\nDo: report it.")
        return
    server.return_results(found)


class _ServerLog(logging.Handler):
    """Writes to the server's log: what reaches stderr is shown to the analyst as an error of the script."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._server.demisto.debug(redact(record.getMessage()))


def _log_to(server: Server) -> None:
    """Send the package's log to this server. A container may live on, so that the one before is replaced."""
    logger = logging.getLogger("snaphold")
    logger.handlers = [_ServerLog(server)]
    logger.propagate = False


def _dispatch(server: Server, command: str) -> Any:
    arguments = server.demisto.args() or {}
    if command in _FLOW:
        return _FLOW[command](server, arguments)
    if command == names.SELF_CHECK:
        return self_check(server)
    if command == "test-module":
        return test_module(_client(server))
    from snaphold.soar.xsoar_call import Use, run_action, run_wait

    entry = names.commands().get(command)
    if entry is None:
        raise InputError(f"there is no command {command!r}", do="update the pack")
    use = Use(server, _client(server), entry, arguments)
    return run_wait(use) if command == names.wait_name(entry.name) and names.can_wait(entry) else run_action(use)


def _client(server: Server) -> ServiceClient:
    params = server.demisto.params() or {}
    credentials: Any = params.get("credentials")
    token = ""
    if isinstance(credentials, dict):
        token = str(cast("dict[str, Any]", credentials).get("password") or "")
    if not token:
        raise InputError("the API token is missing", "the instance has none", "make one with: snaphold token create")
    remember(token)
    server.handle_proxy()
    verify: bool | str = params.get("insecure") not in (True, "true")
    authority = str(params.get("ca_certificate") or "").strip()
    if verify and authority:
        verify = certificate_file(authority)
    return ServiceClient(str(params.get("url") or ""), token.strip(), verify=verify)


def certificate_file(text: str) -> str:
    """Return a file with the certificate. XSOAR may fold the lines of a text box into spaces; they are put back."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if begin not in text or end not in text:
        raise InputError("the CA certificate is not one", f"it holds no {begin}", "paste the PEM text of the authority")
    blocks: list[str] = []
    for part in text.split(begin)[1:]:
        body = part.partition(end)[0].split()
        blocks.append("\n".join([begin, *body, end, ""]))
    handle, path = tempfile.mkstemp(prefix="snaphold-ca-", suffix=".pem")
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write("".join(blocks))
    return path
