"""Takes connections and does their TLS handshakes, so many at a time and each within a time.

asyncio's own server gives a handshake a minute and takes any number of them: clients that begin one and say no more would
use up the descriptors of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HANDSHAKE_WITHIN_SECONDS = 10.0
GOODBYE_WITHIN_SECONDS = 5.0
"""How long a client may take to end TLS in order."""
MOST_HANDSHAKES = 256
AT_ONCE = 32
"""Connections that are taken in one turn, so that requests get theirs."""
PAUSE_SECONDS = 0.5
"""How long nothing is taken when the system has no more descriptors or memory for it."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Handshake:
    task: asyncio.Task[None]
    taken: socket.socket
    peer: str
    began: float

    def end(self) -> None:
        """Have it fail: the system tells its transport, whatever that is doing, that the client is gone."""
        with contextlib.suppress(OSError):
            self.taken.shutdown(socket.SHUT_RDWR)


class Listener:
    """A listening socket whose connections are taken. Stands where uvicorn has asyncio's server."""

    def __init__(self, listening: socket.socket, factory: Callable[[], asyncio.Protocol], context: ssl.SSLContext | None) -> None:
        self._socket = listening
        self._factory = factory
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._shaking: dict[int, _Handshake] = {}
        self._again: asyncio.TimerHandle | None = None
        self._closed = False
        listening.setblocking(False)
        self._listen()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The socket that is listened on."""
        return () if self._closed else (self._socket,)

    def close(self) -> None:
        """Take no more connections, and end those whose handshake is not done."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket.fileno())
        if self._again is not None:
            self._again.cancel()
        for one in self._shaking.values():
            one.end()

    async def wait_closed(self) -> None:
        """Return when no handshake is under way any more."""
        await asyncio.gather(*(one.task for one in self._shaking.values()), return_exceptions=True)

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._socket.fileno(), self._take)

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                taken, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("no connection can be taken: %s", error.strerror)
                self._loop.remove_reader(self._socket.fileno())
                self._again = self._loop.call_later(PAUSE_SECONDS, self._listen)
                return
            taken.setblocking(False)
            self._make_room()
            task = self._loop.create_task(self._open(taken))
            self._shaking[id(task)] = _Handshake(task, taken, str(address[0]), time.monotonic())
            task.add_done_callback(lambda done: self._shaking.pop(id(done), None))

    def _make_room(self) -> None:
        """End the oldest handshake of the address that has most of them when there are too many."""
        if len(self._shaking) < MOST_HANDSHAKES:
            return
        counted = Counter(one.peer for one in self._shaking.values())
        oldest = min(self._shaking.values(), key=lambda one: (-counted[one.peer], one.began))
        self._shaking.pop(id(oldest.task))
        oldest.end()

    async def _open(self, taken: socket.socket) -> None:
        """Hand a connection to its protocol once its handshake is done; of those that fail nothing is left."""
        how: dict[str, Any] = {}
        if self._context is not None:
            how = {"ssl": self._context, "ssl_handshake_timeout": HANDSHAKE_WITHIN_SECONDS}
            if sys.version_info >= (3, 11):
                how["ssl_shutdown_timeout"] = GOODBYE_WITHIN_SECONDS
        try:
            await self._loop.connect_accepted_socket(self._factory, taken, **how)
        except OSError as error:  # ssl.SSLError and every broken connection are such
            log.debug("a connection ended in its handshake: %s", error)
            taken.close()
