"""Ports for servers that cannot choose a free one themselves.

A port from the range that the kernel hands out can be taken by anybody between the look and the start, also as the near end
of a connection. These lie below that range, and each is this process's own: a lock on a file says so to the other workers.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO

_LOWEST, _HIGHEST = 12_000, 22_000
_held: dict[int, IO[bytes]] = {}


def reserve_port(*beside: int) -> int:
    """Return a port that no other test has and on which nobody listens; so are those `beside` it, e.g. 10000 above.

    Raises OSError when there is none left.
    """
    first = os.getpid() * 31 % (_HIGHEST - _LOWEST)
    for offset in range(_HIGHEST - _LOWEST):
        port = _LOWEST + (first + offset) % (_HIGHEST - _LOWEST)
        if port not in _held and _take(port, [port, *(port + distance for distance in beside)]):
            return port
    raise OSError("no port is free")


def _take(port: int, wanted: list[int]) -> bool:
    folder = Path(tempfile.gettempdir()) / f"snaphold-test-ports-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = (folder / str(port)).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    if not all(_is_free(one) for one in wanted):
        lock.close()
        return False
    _held[port] = lock  # until this process ends
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
