"""A wire to a server of this machine that can be cut: then nothing arrives any more, and nobody is told."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit


class CutWire:
    """Forwards TCP connections to the server of a URL until it is cut; `url` is the way through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (str(parts.hostname), int(parts.port or 0))
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.replace(f"@{parts.hostname}:{parts.port}/", f"@127.0.0.1:{port}/")
        self._is_cut = threading.Event()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> CutWire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_cut.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # to close it alone does not end a wait for connections
        for one in (self._listener, *self._sockets):
            one.close()

    def cut(self) -> None:
        """Forward nothing any more, in either direction; the connections stay open, as behind a broken switch."""
        self._is_cut.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target) if not self._is_cut.is_set() else None
            except OSError:
                return
            self._sockets += [one for one in (near, far) if one is not None]
            if far is not None:
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while not self._is_cut.is_set():
                for key, _ in selector.select(0.05):
                    if not self._forward(key.fileobj, key.data):
                        near.close()
                        far.close()
                        return

    def _forward(self, source: object, target: socket.socket) -> bool:
        assert isinstance(source, socket.socket)
        try:
            data = source.recv(65536)
            if data and not self._is_cut.is_set():
                target.sendall(data)
        except OSError:
            return False
        return bool(data)
