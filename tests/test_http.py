"""The one HTTP client: deadlines, caps, refused redirects, retries only where harmless."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from snaphold import http
from snaphold.errors import InputError, ProviderError


class Site(ThreadingHTTPServer):
    """Counts requests by path."""

    daemon_threads = True
    seen: list[str]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gives up is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Site)
        self.server.seen.append(f"{self.command} {self.path}")
        status, headers, body = 200, {"Content-Type": "text/plain"}, b"fine"
        if self.path == "/busy":
            status = 503 if self.server.seen.count(f"{self.command} /busy") < 3 else 200
        elif self.path == "/near":
            status, headers = 302, {"Location": "/fine"}
        elif self.path == "/far":
            status, headers = 302, {"Location": "http://127.0.0.2:1/"}
        elif self.path == "/loop":
            status, headers = 302, {"Location": "/loop"}
        elif self.path == "/large":
            body = b"x" * 100_000
        elif self.path == "/slow":
            time.sleep(2)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  the name is given

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _serving() -> Generator[tuple[str, list[str]]]:
    server = Site(("127.0.0.1", 0), Handler)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.seen
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[str, list[str]]]:
    def at_once(_seconds: float) -> None:
        """No waiting between attempts."""

    monkeypatch.setattr(http.time, "sleep", at_once)
    with _serving() as given:
        yield given


def test_an_answer_has_status_headers_and_body(site: tuple[str, list[str]]) -> None:
    answer = http.send("GET", site[0] + "/fine")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "text/plain", b"fine")


def test_reading_is_repeated_and_writing_is_not(site: tuple[str, list[str]]) -> None:
    assert http.send("GET", site[0] + "/busy").status == 200
    assert len(site[1]) == 3
    site[1].clear()
    assert http.send("POST", site[0] + "/busy", body=b"x").status == 503
    assert len(site[1]) == 1


def test_a_redirect_is_followed_only_on_the_same_host(site: tuple[str, list[str]]) -> None:
    assert http.send("GET", site[0] + "/near").body == b"fine"
    assert http.send("POST", site[0] + "/near", body=b"x").status == 302
    with pytest.raises(ProviderError, match="another place"):
        http.send("GET", site[0] + "/far")
    with pytest.raises(ProviderError, match="without end"):
        http.send("GET", site[0] + "/loop")


def test_too_large_an_answer_is_refused(site: tuple[str, list[str]]) -> None:
    with pytest.raises(ProviderError, match="too much"):
        http.send("GET", site[0] + "/large", limit=1000)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with _serving() as (url, _), pytest.raises(ProviderError, match="not answer") as caught:
        http.send("POST", url + "/slow", body=b"x", timeout=0.2)
    assert not caught.value.retryable


def test_nobody_there_is_told(site: tuple[str, list[str]]) -> None:
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        http.send("GET", "http://127.0.0.1:9/")
    assert caught.value.retryable


def test_only_http_is_spoken() -> None:
    with pytest.raises(InputError):
        http.send("GET", "file:///etc/passwd")
