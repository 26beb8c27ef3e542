"""A service of AWS on loopback, spoken as its own client's model says; what it does comes from the test.

Paths, queries and members are read with botocore's model of the service, and every answer is checked against it before
it is sent, so that no test runs on an answer that AWS's client would not know.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import cache
from typing import Any
from uuid import uuid4

Members = dict[str, Any]
StartResponse = Callable[..., Any]


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of the test
    """An answer of AWS that is an error."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class ModelServer:
    """Serves the operations for which `actor` has a method of that name. `calls` counts them, `said` keeps them."""

    def __init__(self, service: str, actor: object) -> None:
        self.calls: Counter[str] = Counter()
        self.said: list[tuple[str, Members]] = []
        self.refuse: dict[str, Refusal] = {}
        self._model = _model(service)
        self._actor = actor
        self._lock = threading.RLock()
        _serving.append(self)

    @property
    def url(self) -> str:
        """The address of the only server of this process."""
        return _address()

    def close(self) -> None:
        """Leave the server."""
        _serving.remove(self)

    def answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one call."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path, _, query = str(environ["REQUEST_URI"]).partition("?")
        with self._lock:
            try:
                operation, members = self._read(environ["REQUEST_METHOD"], path, urllib.parse.parse_qs(query), body)
                self.calls[operation.name] += 1
                self.said.append((operation.name, members))
                if operation.name in self.refuse:
                    raise self.refuse[operation.name]
                given = getattr(self._actor, operation.name)(members) or {}
                return _send(start_response, 200, self._write(operation.output_shape, given))
            except Refusal as refusal:
                headers = [("x-amzn-ErrorType", refusal.code)]
                told = {"Code": refusal.code, "Message": refusal.message}
                return _send(start_response, refusal.status, told, headers)

    def _read(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[Any, Members]:
        for name in self._model.operation_names:
            operation = self._model.operation_model(name)
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(operation.http["requestUri"].rstrip("/")))
            found = re.fullmatch(pattern, path.rstrip("/"))
            if found and operation.http["method"] == method:
                return operation, _members(operation.input_shape, found.groupdict(), query, json.loads(body or b"{}"))
        raise Refusal("UnknownOperationException", f"{method} {path}", 404)

    def _write(self, shape: Any, given: Members) -> Any:
        from botocore.validate import ParamValidator

        if shape is None:
            return {}
        report = ParamValidator().validate(given, shape)
        assert not report.has_errors(), report.generate_report()
        return json.loads(json.dumps(given, default=_seconds))


def _members(shape: Any, path: dict[str, str], query: dict[str, list[str]], body: Members) -> Members:
    members: Members = {}
    for name, member in (shape.members if shape else {}).items():
        place, written = member.serialization.get("location"), member.serialization.get("name", name)
        if place == "uri":
            members[name] = urllib.parse.unquote(path[written])
        elif place == "querystring" and written in query:
            members[name] = _typed(member, query[written][0])
        elif written in body:
            members[name] = _typed(member, body[written])
    return members


def _typed(shape: Any, value: Any) -> Any:
    if shape.type_name == "timestamp":
        if isinstance(value, str):
            return datetime.fromisoformat(value.replace("Z", "+00:00"))
        return datetime.fromtimestamp(value, timezone.utc)
    if shape.type_name == "structure":
        return {name: _typed(shape.members[name], item) for name, item in value.items()}
    if shape.type_name == "integer":
        return int(value)
    return value


def _seconds(value: object) -> float:
    assert isinstance(value, datetime)
    return value.timestamp()


def _send(start: StartResponse, status: int, document: Any, headers: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    body = json.dumps(document).encode()
    kept = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("x-amzn-RequestId", str(uuid4()))]
    start(f"{status} Answered", [*kept, *headers])
    return [body]


_serving: list[ModelServer] = []


@cache
def _model(service: str) -> Any:
    from botocore.model import ServiceModel

    from snaphold.providers.aws_models import shared_loader

    return ServiceModel(shared_loader().load_service_model(service, "service-2"), service)


@cache
def _address() -> str:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:
            """Say nothing: calls are counted, not printed."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not _serving:
            return _send(start_response, 503, {"Code": "ServiceUnavailableException", "Message": "No test is at work."})
        return _serving[-1].answer(environ, start_response)

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"
