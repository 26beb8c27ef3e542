"""TLS before the vCenter simulator, with fault switches per SOAP method."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from snaphold.simulators.certificate import make_certificate

NOT_DONE = (
    "reset_before", "error_page", "unavailable", "throttled", "forbidden_page", "redirect", "NotAuthenticated", "NoPermission",
    "NoDiskSpace", "TaskInProgress", "ApplicationQuiesceFault",
)  # fmt: skip
DONE = ("reset_after", "unavailable_after", "slow", "truncated", "garbage", "empty", "other_shape", "document_type")
FAULTS = (*NOT_DONE, *DONE)
"""What can happen to a call: those of DONE reach vCenter first."""
FOR_EVER = 10**9
ELSEWHERE = "https://192.0.2.1/elsewhere"
_METHOD = re.compile(rb"<(?:\w+:)?Body[^>]*><(?:\w+:)?(\w+)")
_PAGE = b"<html><body>Please sign in</body></html>"
_ENVELOPE = (
    '<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)
_FAULT = (
    "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>simulated</faultstring><detail>"
    '<{name}Fault xmlns="urn:vim25" xsi:type="{name}">{inside}</{name}Fault></detail></soapenv:Fault>'
)
_INSIDE = {
    "NoPermission": '<object type="VirtualMachine">vm-1</object><privilegeId>VirtualMachine.State.CreateSnapshot</privilegeId>',
    "NotAuthenticated": '<object type="Folder">group-d1</object><privilegeId>System.View</privilegeId>',
    "NoDiskSpace": "<file>x</file><datastore>LocalDS_0</datastore>",
    "TaskInProgress": '<task type="Task">task-1</task>',
}


@dataclass
class Fault:
    """What happens to the next `times` calls of a method; the empty method is every one."""

    kind: str
    method: str = ""
    times: int = 1


class SoapProxy:
    """An HTTPS server that hands calls on to a vCenter simulator. `calls` holds (method, fault) in order."""

    def __init__(self, target: tuple[str, int], folder: Path, slow_seconds: float) -> None:
        self.calls: list[tuple[str, str]] = []
        self.rewrites: dict[str, tuple[bytes, bytes]] = {}
        """What is put for what in the answers to a method."""
        self._faults: list[Fault] = []
        self._target = target
        self._slow_seconds = slow_seconds
        self._idle = threading.Condition()
        self._at_work = 0
        certificate = make_certificate(folder)
        self.ca_file = certificate.ca_file
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._server.socket = certificate.server_context().wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The address for the configuration."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def switch_on(self, kind: str, method: str = "", times: int = 1) -> None:
        """Have a fault happen."""
        assert kind in FAULTS
        with self._idle:
            self._faults.append(Fault(kind, method, times))

    def clear(self) -> None:
        """Switch all faults off."""
        with self._idle:
            self._faults.clear()

    def count(self, method: str) -> int:
        """Return how many calls of a method came."""
        return sum(called == method for called, _ in self.calls)

    def count_faults(self, kind: str) -> int:
        """Return how many calls met a fault."""
        with self._idle:
            return sum(met == kind for _, met in self.calls)

    def note_connections(self, change: int) -> None:
        """Count a connection that was taken (1) or is done with (-1)."""
        with self._idle:
            self._at_work += change
            self._idle.notify_all()

    def wait_until_idle(self) -> bool:
        """Wait until nothing is being carried out, also no call whose client left before it was read; return whether it is."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._at_work, 120)

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes, str] | None:
        """Return status, headers, body and fault of the answer; None when the connection is to be cut."""
        matched = _METHOD.search(body)
        method = matched[1].decode() if matched else ""
        with self._idle:
            fault = self._next(method)
            self.calls.append((method, fault))
        if fault in NOT_DONE:
            return _not_done(fault)
        if fault == "slow":
            time.sleep(self._slow_seconds)
        status, kept, content = self._ask(path, body, headers)
        content = content.replace(*self.rewrites.get(method, (b"", b""))) if method in self.rewrites else content
        if fault == "reset_after":
            return None
        if fault == "unavailable_after":
            return 503, {}, _PAGE, fault
        changed = {
            "garbage": _PAGE,
            "empty": b"",
            "other_shape": _ENVELOPE.format('<SomethingElse xmlns="urn:vim25"/>').encode(),
            "document_type": content.replace(b"?>", b'?><!DOCTYPE x [<!ENTITY a "b">]>', 1),
        }
        return status, kept, changed.get(fault, content), fault

    def _next(self, method: str) -> str:
        for fault in self._faults:
            if fault.times > 0 and fault.method in ("", method):
                fault.times -= 1
                return fault.kind
        return ""

    def _ask(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self._target, timeout=240)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() in ("set-cookie", "content-type")}
            return answer.status, kept, answer.read()
        finally:
            connection.close()


def _not_done(fault: str) -> tuple[int, dict[str, str], bytes, str] | None:
    if fault == "reset_before":
        return None
    if fault == "redirect":
        return 302, {"Location": ELSEWHERE}, b"", fault
    statuses = {"error_page": 500, "unavailable": 503, "throttled": 429, "forbidden_page": 403}
    if fault in statuses:
        return statuses[fault], {"Content-Type": "text/html"}, _PAGE, fault
    inside = _FAULT.format(name=fault, inside=_INSIDE.get(fault, ""))
    return 500, {"Content-Type": "text/xml"}, _ENVELOPE.format(inside).encode(), fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: SoapProxy

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

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {
            name: value for name, value in self.headers.items() if name.lower() in ("cookie", "content-type", "soapaction")
        }
        taken = self.server.owner.take(self.path, body, headers)
        self.close_connection = True
        if taken is None:
            self._cut()
            return
        status, kept, content, fault = taken
        self.send_response(status)
        for name, value in {**kept, "Content-Length": str(len(content)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == "truncated" else content)
        if fault == "truncated":
            self.wfile.flush()
            self._cut()

    def _cut(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged: `calls` has it."""
