"""A proxy between client and service with a switch: cut the connection, before or after the service heard it, and more."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

FAULTS = ("reset_before", "reset_after", "truncated", "half_head", "slow", "drip", "gateway_502", "gateway_html", "empty_200")
"""What can happen to one exchange. Those that end in `_after`, and the truncated ones, reach the service first."""
_PAGE = b"<html><body>502 Bad Gateway</body></html>"


class FaultProxy:
    """Forwards whole exchanges. `faults` holds what happens to the next ones, in order; then all goes well.

    With `only`, just requests that contain these bytes meet faults.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.faults: list[str] = []
        self.only = b""
        self.seen = 0
        self.delay = 3.0
        self.holding = threading.Event()
        """Set once the service has done what it was asked, and its answer is kept back."""
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        """Where the client connects to."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Take connections until `close`."""
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._exchange, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _exchange(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            request = _read_message(client)
            if not request:
                return None
            self.seen += 1
            fault = self.faults.pop(0) if self.faults and self.only in request else ""
            if fault == "reset_before":
                return _reset(client)
            if fault == "gateway_502":
                return client.sendall(_response(b"502 Bad Gateway", b"text/html", _PAGE))
            if fault == "gateway_html":
                return client.sendall(_response(b"200 OK", b"text/html", _PAGE))
            if fault == "empty_200":
                return client.sendall(_response(b"200 OK", b"application/json", b""))
            answer = self._ask(request)
            if fault == "reset_after":
                return _reset(client)
            if fault == "truncated":
                return client.sendall(answer[:-10])
            if fault == "half_head":
                return client.sendall(answer[:20])
            if fault in ("slow", "drip"):
                self.holding.set()
            if fault == "slow":
                self._closing.wait(self.delay)
            return client.sendall(answer) if fault != "drip" else self._drip(client, answer)

    def _drip(self, client: socket.socket, answer: bytes) -> None:
        end = time.monotonic() + self.delay
        for position in range(len(answer)):
            client.sendall(answer[position : position + 1])
            if time.monotonic() > end or self._closing.wait(0.1):
                return

    def _ask(self, request: bytes) -> bytes:
        head, gap, body = request.partition(b"\r\n\r\n")
        with socket.create_connection(self._target, timeout=240) as service:
            service.sendall(head + b"\r\nConnection: close" + gap + body)
            received = bytearray()
            while chunk := service.recv(65536):
                received += chunk
            return bytes(received)


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _response(status: bytes, kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, kind, len(body)) + body


def _read_message(client: socket.socket) -> bytes:
    received = bytearray()
    while b"\r\n\r\n" not in received:
        chunk = client.recv(65536)
        if not chunk:
            return b""
        received += chunk
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    wanted = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < wanted:
        chunk = client.recv(65536)
        if not chunk:
            return b""
        body += chunk
    return head + b"\r\n\r\n" + body


@contextmanager
def between(target: str) -> Generator[FaultProxy, None, None]:
    """Put a proxy before the service at the URL `target` for the length of the block."""
    host, _, port = target.partition("://")[2].rpartition(":")
    proxy = FaultProxy((host, int(port)))
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(240)
