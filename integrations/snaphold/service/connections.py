"""Connections that only wait: they get a deadline, and make room for callers who ask something.

uvicorn counts every connection against its limit and gives the head of a request as long as it likes. Without this,
a few hundred clients that say nothing, or a byte a minute, would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_SECONDS = 15.0
"""The head of a request must be whole after this, counted from the connection or from the answer before."""
KEPT_FREE = 32
"""So many connections are always left for those who come."""


class PatientProtocol(H11Protocol):
    """A connection that knows since when it has been waiting for a whole head."""

    waiting_since: float = 0.0
    most_connections: int = 0

    def connection_made(self, transport: Any) -> None:
        """Take a connection; when there are nearly too many, the one that has waited longest is cut."""
        super().connection_made(transport)
        self.waiting_since = time.monotonic()
        too_many = self._open_connections() - (self.most_connections - KEPT_FREE)
        if too_many > 0:
            others = [one for one in waiting_connections(self.connections) if one is not self]
            for one in sorted(others, key=lambda one: one.waiting_since)[:too_many]:
                one.transport.abort()

    def _open_connections(self) -> int:
        """Return how many connections there are without those that are cut and will be gone in a moment."""
        return sum(1 for one in self.connections if not one.transport.is_closing())

    def on_response_complete(self) -> None:
        """The next head is waited for from now on."""
        self.waiting_since = time.monotonic()
        super().on_response_complete()

    @property
    def waits(self) -> bool:
        """Whether no request is being answered on it."""
        cycle: Any = self.cycle  # None before the first request
        return cycle is None or bool(cycle.response_complete)


def protocol_for(most_connections: int) -> type[asyncio.Protocol]:
    """Return the protocol of a server with that limit."""
    return type("BoundedProtocol", (PatientProtocol,), {"most_connections": most_connections})


def waiting_connections(connections: Any) -> list[PatientProtocol]:
    """Return the open connections on which no request is being answered."""
    found = [one for one in list(connections) if isinstance(one, PatientProtocol)]
    return [one for one in found if one.waits and not one.transport.is_closing()]


def cut_late_heads(connections: Any) -> int:
    """Cut every connection whose head is late; return how many there were."""
    late = [one for one in waiting_connections(connections) if time.monotonic() - one.waiting_since > HEAD_WITHIN_SECONDS]
    for one in late:
        one.transport.abort()
    return len(late)
