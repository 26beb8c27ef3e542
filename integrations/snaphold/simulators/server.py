"""The HTTPS server around a simulator: records every call and answer, and applies the fault switches."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from snaphold.simulators.base import Call, Reply, Stateful
from snaphold.simulators.certificate import make_certificate
from snaphold.simulators.faults import FaultSwitches

LONGEST_BODY = 16 * 1024 * 1024
MOST_RECORDED = 10_000
SLOW_SECONDS = 3.0
THROTTLED_SECONDS, THROTTLED_LONG_SECONDS = 1, 3600
ELSEWHERE = "https://192.0.2.1/elsewhere"
"""An address that belongs to nobody (RFC 5737)."""
_GARBAGE = Reply(200, headers={"Content-Type": "text/html"}, body=b"<html><body>Please sign in</body></html>")
_OTHER_SHAPE = Reply(200, {"unexpected": [1, 2, 3]})
_NOT_DONE = ("throttled", "throttled_long", "error", "unavailable", "forbidden", "reset_before", "redirect")


@dataclass(frozen=True)
class Exchange:
    """One call with its answer; `reply` is None when none was sent, `fault` names the fault that it met."""

    call: Call
    reply: Reply | None
    fault: str


class SimulatorServer:
    """A simulator at work on 127.0.0.1. Use it in a `with`, or `start()` and `close()` it."""

    def __init__(
        self, simulator: Stateful, folder: Path, *, port: int = 0, slow_seconds: float = SLOW_SECONDS, host: str = "127.0.0.1"
    ) -> None:
        """Make the certificate in `folder` and take the port (0: any free one). Raises OSError when it is taken."""
        self.simulator = simulator
        self.faults = FaultSwitches()
        self.exchanges: list[Exchange] = []
        self._slow_seconds = slow_seconds
        self._lock = threading.Lock()
        self._idle = threading.Condition()
        self._at_work = 0
        certificate = make_certificate(folder)
        self.ca_file = certificate.ca_file
        self._server = _Server((host, port), _Handler)
        self._server.owner = self
        self._server.socket = certificate.server_context().wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address for the configuration."""
        host, port = self._server.server_address[:2]
        return f"https://{host!s}:{port}{self.simulator.base_path}"

    def start(self) -> SimulatorServer:
        """Answer calls from now on, in a thread of its own; return this."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True, name="simulator")
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop answering and free the port."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> SimulatorServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def take(self, call: Call) -> tuple[Reply | None, str]:
        """Return the answer to a call (None: the connection is cut) and the fault that it met; record both."""
        fault = self.faults.next_for(call)
        if fault == "slow":
            time.sleep(self._slow_seconds)
        with self._lock:
            reply = self._not_done(fault) if fault in _NOT_DONE else self._done(fault, call)
            if len(self.exchanges) < MOST_RECORDED:
                self.exchanges.append(Exchange(call, reply, fault))
        return reply, fault

    def note_connections(self, change: int) -> None:
        """Count a connection that was taken (1) or is done with (-1)."""
        with self._idle:
            self._at_work += change
            self._idle.notify_all()

    def wait_until_idle(self, seconds: float = 120.0) -> bool:
        """Wait until nothing is being carried out; return whether that came true.

        A connection counts from the moment it is taken: the call of a client that gave up may not have been read yet.
        """
        with self._idle:
            return self._idle.wait_for(lambda: not self._at_work, seconds)

    def _not_done(self, fault: str) -> Reply | None:
        if fault == "reset_before":
            return None
        if fault == "redirect":
            return Reply(302, headers={"Location": ELSEWHERE})
        if fault.startswith("throttled"):
            return self.simulator.throttle(THROTTLED_SECONDS if fault == "throttled" else THROTTLED_LONG_SECONDS)
        status = {"error": 500, "unavailable": 503, "forbidden": 403}[fault]
        return self.simulator.refuse(status, "simulated fault")

    def _done(self, fault: str, call: Call) -> Reply | None:
        undo = None
        if fault == "expired":
            self.simulator.expire()
        elif fault in self.simulator.own_faults:
            undo = self.simulator.disturb(fault)
        reply = self.simulator.answer(call)
        if undo is not None:
            undo()
        if fault == "reset_after":
            return None
        if fault == "error_after":
            return self.simulator.refuse(500, "simulated fault")
        return {"garbage": _GARBAGE, "other_shape": _OTHER_SHAPE}.get(fault, reply)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: SimulatorServer

    def process_request(self, request: Any, client_address: Any) -> None:
        self.owner.note_connections(1)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        try:
            super().shutdown_request(request)
        finally:
            self.owner.note_connections(-1)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves early, or does not trust the certificate, is its own affair."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]  the only server that uses this handler

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > LONGEST_BODY:
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.command, parts.path, parse_qs(parts.query, keep_blank_values=True), headers, body)
        reply, fault = self.server.owner.take(call)
        if reply is None:
            self._cut()
            return
        self._send(reply, broken_off=fault == "truncated")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  the names are given

    def _send(self, reply: Reply, *, broken_off: bool) -> None:
        content = reply.content()
        headers: Mapping[str, str] = {"Content-Type": "application/json", **reply.headers}
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(content[: len(content) // 2] if broken_off else content)
        if broken_off:
            self.wfile.flush()
            self._cut()

    def _cut(self) -> None:
        """Reset the connection, as a firewall or a crash does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged: the recorder has it all."""
