"""The part of XSOAR's CommonServerPython that the integration uses, written from its documentation; for tests."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import demistomock as demisto

ERROR_ENTRY = 4
NOTE_ENTRY = 1


def register_module_line(module_name: str, start_end: str, line: int) -> None:
    """Note where a module stands in the script."""
    demisto.debug(f"{module_name} {start_end} {line}")


def __line__() -> int:  # noqa: N807  the name is the server's
    """Return the line of the caller."""
    return sys._getframe(1).f_lineno


class ScheduledCommand:
    """Asks the server to run a command again."""

    def __init__(
        self, command: str, next_run_in_seconds: int, args: dict[str, Any] | None = None, timeout_in_seconds: int | None = None
    ) -> None:
        self.command = command
        self.next_run_in_seconds = next_run_in_seconds
        self.args = args
        self.timeout_in_seconds = timeout_in_seconds


class CommandResults:
    """One result of a command."""

    def __init__(
        self,
        outputs_prefix: str | None = None,
        outputs_key_field: str | None = None,
        outputs: Any = None,
        readable_output: str | None = None,
        raw_response: Any = None,
        scheduled_command: ScheduledCommand | None = None,
    ) -> None:
        self.outputs_prefix = outputs_prefix
        self.outputs_key_field = outputs_key_field
        self.outputs = outputs
        self.readable_output = readable_output
        self.raw_response = raw_response
        self.scheduled_command = scheduled_command

    def to_context(self) -> dict[str, Any]:
        """Return the entry for the war room."""
        context: dict[str, Any] = {}
        if self.outputs is not None:
            key = self.outputs_prefix
            if key and self.outputs_key_field:
                key += f"(val.{self.outputs_key_field} && val.{self.outputs_key_field} == obj.{self.outputs_key_field})"
            context = {key: self.outputs} if key else dict(self.outputs)
        entry: dict[str, Any] = {
            "Type": NOTE_ENTRY,
            "HumanReadable": self.readable_output or "",
            "EntryContext": context,
            "Contents": self.raw_response if self.raw_response is not None else self.outputs,
        }
        if self.scheduled_command:
            entry |= {
                "PollingCommand": self.scheduled_command.command,
                "NextRun": str(self.scheduled_command.next_run_in_seconds),
                "PollingArgs": self.scheduled_command.args,
                "Timeout": str(self.scheduled_command.timeout_in_seconds),
            }
        return entry


class PollResult:
    """What a polled function gives back: its result, or the wish to be called again."""

    def __init__(
        self,
        response: Any,
        continue_to_poll: bool | Callable[[], bool] = False,
        args_for_next_run: dict[str, Any] | None = None,
        partial_result: CommandResults | None = None,
    ) -> None:
        self.response = response
        self.continue_to_poll = continue_to_poll() if callable(continue_to_poll) else continue_to_poll
        self.args_for_next_run = args_for_next_run
        self.partial_result = partial_result


def polling_function(
    name: str,
    interval: int = 30,
    timeout: int = 600,
    poll_message: str = "Fetching Results:",
    polling_arg_name: str = "polling",
    requires_polling_arg: bool = True,
) -> Callable[[Callable[..., PollResult]], Callable[..., Any]]:
    """Make a function that gives back a PollResult into one that the server can call again and again."""

    def decorate(function: Callable[..., PollResult]) -> Callable[..., Any]:
        @functools.wraps(function)
        def polled(args: dict[str, Any], *others: Any, **named: Any) -> Any:
            wants = not requires_polling_arg or str(args.get(polling_arg_name, "")).lower() == "true"
            result = function(args, *others, **named)
            if not wants or not result.continue_to_poll:
                return result.response
            following = dict(result.args_for_next_run or args)
            # The next message is not shown again; any text in this argument hides it.
            following["hide_polling_output"] = True
            shown = (
                None
                if args.get("hide_polling_output")
                else (result.partial_result or CommandResults(readable_output=poll_message))
            )
            answer = shown or CommandResults(readable_output="")
            answer.scheduled_command = ScheduledCommand(name, interval, following, timeout)
            return answer

        return polled

    return decorate


def return_results(results: Any) -> None:
    """Give results to the war room."""
    for result in results if isinstance(results, list) else [results]:
        demisto.results(result.to_context() if isinstance(result, CommandResults) else result)


def return_error(message: str, error: Any = "", outputs: Any = None) -> None:
    """Give an error to the war room and end the script."""
    del error, outputs
    demisto.results({"Type": ERROR_ENTRY, "ContentsFormat": "text", "Contents": message, "EntryContext": None})
    sys.exit(0)


def handle_proxy() -> dict[str, str]:
    """Forget the proxies of the machine unless the instance asks for them."""
    if not demisto.params().get("proxy"):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            os.environ.pop(name, None)
    return {}


def get_integration_context_with_version(sync: bool = True) -> tuple[dict[str, Any], Any]:
    """Return the integration's own context and its version."""
    found = demisto.getIntegrationContextVersioned(sync)
    return found["context"], found["version"]


def set_integration_context(context: dict[str, Any], sync: bool = True, version: int = -1) -> None:
    """Keep the integration's own context."""
    demisto.setIntegrationContextVersioned(context, version, sync)
