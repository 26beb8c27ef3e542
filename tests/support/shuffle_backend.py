"""A stateful stand-in for the part of Shuffle's backend that stores workflows; it behaves as its source was read.

A POST gives new ids to the workflow and its triggers and rewires the branches; a PUT keeps the ids of the nodes; JSON
that does not fit is answered with 401 and no reason.
"""

from __future__ import annotations

import copy
import json
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "shuffle-key-of-the-test-0123456789"


@dataclass
class Backend:
    """What the backend holds. `spoil` may change a workflow while it is stored, as a faulty import does."""

    fits: Callable[[Any], bool] = lambda document: isinstance(document, dict) and isinstance(document.get("name"), str)
    spoil: Callable[[dict[str, Any]], None] = lambda document: None
    workflows: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    hooks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    apps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    break_after: int = 10_000
    url: str = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return status and document."""
        self.calls.append((method, path))
        if len([call for call in self.calls if call[0] != "GET"]) > self.break_after:
            return 500, {"success": False}
        try:
            document: Any = json.loads(body) if body else {}
        except ValueError:
            return 401, {"success": False}
        bare = path.partition("?")[0]
        if bare == "/api/v1/apps":
            return 200, self.apps
        if bare == "/api/v1/hooks/new":
            self.hooks.append(document)
            return 200, {"success": True}
        if bare == "/api/v1/workflows":
            if method == "GET":
                return 200, list(self.workflows.values())
            return self._create(document) if self.fits(document) else (401, {"success": False})
        id = bare.rpartition("/")[2]
        if id not in self.workflows:
            return 401, {"success": False}
        if method == "GET":
            return 200, self.workflows[id]
        if not self.fits(document) or document["id"] != id:
            return 401, {"success": False}
        self.spoil(document)
        self.workflows[id] = {**document, "owner": "somebody", "edited": 1}
        return 200, {"success": True}

    def _create(self, document: dict[str, Any]) -> tuple[int, Any]:
        stored = copy.deepcopy(document)
        stored["id"] = str(uuid.uuid4())
        renamed: dict[str, str] = {}
        for trigger in stored.get("triggers") or []:
            renamed[trigger["id"]] = trigger["id"] = str(uuid.uuid4())
            trigger["status"] = "uninitialized"
        for branch in stored.get("branches") or []:
            for end in ("source_id", "destination_id"):
                branch[end] = renamed.get(branch[end], branch[end])
        self.workflows[stored["id"]] = stored
        return 200, stored


@contextmanager
def backend(**settings: Any) -> Generator[Backend]:
    """Serve a backend on the loopback address until the block ends."""
    state = Backend(**settings)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            allowed = self.headers.get("Authorization") == f"Bearer {KEY}"
            status, document = state.answer(self.command, self.path, body) if allowed else (401, {"success": False})
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = _handle  # noqa: N815  the names that the server looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
