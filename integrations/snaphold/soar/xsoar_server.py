"""What the integration uses of the XSOAR server: the part of demistomock and CommonServerPython, as a protocol.

Nothing in the package imports those two modules: they exist on a server only. The integration's script hands them over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Demisto(Protocol):
    """The server's own object."""

    def command(self) -> str:
        """Return the command that is to be run."""
        ...

    def args(self) -> dict[str, Any]:
        """Return its arguments."""
        ...

    def params(self) -> dict[str, Any]:
        """Return the parameters of the instance."""
        ...

    def incident(self) -> dict[str, Any]:
        """Return the incident of the war room."""
        ...

    def debug(self, text: str) -> None:
        """Write a line to the server's log."""
        ...

    def internalHttpRequest(  # noqa: N802  the name is the server's
        self, method: str, uri: str, body: str | None = None
    ) -> dict[str, Any]:
        """Ask the server's own interface; return `statusCode` and `body`."""
        ...


@dataclass(frozen=True)
class Server:
    """The names that the integration's script hands over, and `items`: what the pack should have installed."""

    demisto: Demisto
    CommandResults: Callable[..., Any]
    PollResult: Callable[..., Any]
    polling_function: Callable[..., Any]
    return_results: Callable[[Any], None]
    return_error: Callable[[str], None]
    handle_proxy: Callable[[], Any]
    get_integration_context_with_version: Callable[[], tuple[dict[str, Any] | None, Any]]
    set_integration_context: Callable[..., Any]
    items: Mapping[str, Any]
