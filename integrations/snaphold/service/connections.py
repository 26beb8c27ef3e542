"""Connections whose client keeps us waiting: each wait has a deadline, and they make room for callers who ask something.

uvicorn counts every connection against its limit, and gives a client as long as it likes for the head of a request, for its
body, for reading the answer and for saying goodbye. Without this, a few hundred clients that do so slowly, or not at all,
would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from snaphold.service.problems import MEDIA_TYPE, RequestError, problem_of

HEAD_WITHIN_SECONDS = 15.0
"""The head of a request must be whole after this, counted from the connection or from the answer before."""
BODY_WITHIN_SECONDS = 30.0
"""The body too, counted from the head. Routes that read one give up earlier, and say so."""
READ_WITHIN_SECONDS = 60.0
"""So long a client may take to read what was sent to it (an answer, or a piece of a large one)."""
GOODBYE_WITHIN_SECONDS = 5.0
"""How long a client may take to end a connection that was closed in order; TLS waits for its word."""
KEPT_FREE = 32
"""So many connections are always left for those who come."""


def _tell_nobody(_peer: str) -> None:
    """Keep it to oneself."""


class Wait(Enum):
    """What a connection waits for from its client."""

    HEAD = "head"
    BODY = "body"
    READING = "reading"
    GOODBYE = "goodbye"


class PatientProtocol(H11Protocol):
    """A connection that knows what it has been waiting for, and since when."""

    since: float = 0.0
    closing_since: float = 0.0
    most_connections: int = 0
    note_malformed: Callable[[str], None] = staticmethod(_tell_nobody)

    def connection_made(self, transport: Any) -> None:
        """Take a connection; when there are nearly too many, others that only wait are cut."""
        super().connection_made(transport)
        self.since = time.monotonic()
        too_many = len(self.connections) - (self.most_connections - KEPT_FREE)
        if too_many > 0:
            cut(longest_waits([one for one in waiting_connections(self.connections) if one is not self], too_many))

    def data_received(self, data: bytes) -> None:
        """Take what the client sends; a new request begins a new wait."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self.since = time.monotonic()

    def pause_writing(self) -> None:
        """The client does not keep up with what is sent to it."""
        self.since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client has read what was sent to it."""
        self.since = time.monotonic()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """The next head is waited for from now on."""
        self.since = time.monotonic()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request with a problem document, as everything else that is refused."""
        self.note_malformed(self.peer)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # else an answer is under way, and is cut off
            body = json.dumps(problem_of(RequestError(400, "this is no HTTP request that can be read", msg))).encode()
            headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close"}
            head = h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request")
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def peer(self) -> str:
        """The client's address, without its port."""
        return self.client[0] if self.client else ""

    @property
    def wait(self) -> Wait | None:
        """What the client has to do next; None when it is our turn, or the connection is gone."""
        try:
            unsent, closing = self.transport.get_write_buffer_size(), self.transport.is_closing()
        except AttributeError:  # TLS of Python 3.10 between the loss of a connection and the word of it to us
            return None
        cycle: Any = self.cycle  # None before the first request
        ours: bool = cycle is not None and not cycle.response_complete
        if unsent > 0 and (self.flow.write_paused or not ours):
            return Wait.READING
        if closing:
            return Wait.GOODBYE
        if cycle is None or not ours:
            return Wait.HEAD
        return Wait.BODY if cycle.more_body and not cycle.response_started else None

    def is_late(self, now: float) -> bool:
        """Return whether the client has kept us waiting for too long."""
        wait = self.wait
        if wait is Wait.GOODBYE:
            self.closing_since = self.closing_since or now
            return now - self.closing_since > GOODBYE_WITHIN_SECONDS
        if wait is None:
            return False
        within = {Wait.HEAD: HEAD_WITHIN_SECONDS, Wait.BODY: BODY_WITHIN_SECONDS, Wait.READING: READ_WITHIN_SECONDS}
        return now - self.since > within[wait]


def protocol_for(most_connections: int, note_malformed: Callable[[str], None] = _tell_nobody) -> type[asyncio.Protocol]:
    """Return the protocol of a server with that limit; `note_malformed` hears whose request could not be read."""
    bound = {"most_connections": most_connections, "note_malformed": staticmethod(note_malformed)}
    return type("BoundedProtocol", (PatientProtocol,), bound)


def waiting_connections(connections: Any) -> list[PatientProtocol]:
    """Return the connections that wait for their client."""
    found = [one for one in list(connections) if isinstance(one, PatientProtocol)]
    return [one for one in found if one.wait is not None]


def longest_waits(waiting: list[PatientProtocol], most: int) -> list[PatientProtocol]:
    """Return those to be cut when there are too many: of the address with the most of them first, the oldest first."""
    ranked: list[tuple[int, float, PatientProtocol]] = []
    seen: Counter[str] = Counter()
    for one in sorted(waiting, key=lambda one: -one.since):
        seen[one.peer] += 1  # the newest of an address counts least
        ranked.append((-seen[one.peer], one.since, one))
    return [one for _, _, one in sorted(ranked, key=lambda place: place[:2])[:most]]


def cut(connections: list[PatientProtocol]) -> None:
    """End connections at once."""
    for one in connections:
        one.transport.abort()


def cut_late(connections: Any) -> int:
    """Cut every connection whose client is late; return how many there were."""
    now = time.monotonic()
    late = [one for one in waiting_connections(connections) if one.is_late(now)]
    cut(late)
    return len(late)
