"""Clients that say nothing, too slowly or too much: they are cut, and nobody else notices."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.service import connections, server
from support.service_lab import ServiceLab, serving

LIMIT = connections.KEPT_FREE + 8


@contextlib.contextmanager
def many(lab: ServiceLab, number: int, said: bytes) -> Generator[list[socket.socket]]:
    port = int(lab.url.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        found: list[socket.socket] = []
        for _ in range(number):
            found.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)))
            if said:
                found[-1].sendall(said)
        yield found


def is_cut(connection: socket.socket, within: float = 30.0) -> bool:
    """Return whether the other side ends the connection."""
    connection.settimeout(within)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def is_given_up(slow: socket.socket) -> bool:
    """Return whether the other side ends the connection while it is sent a byte now and then."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            slow.sendall(b"T")
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_more_idle_or_slow_clients_than_the_service_takes_keep_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", LIMIT)
    with serving(tmp_path, monkeypatch) as lab, many(lab, LIMIT * 2, said) as waiting:
        assert [lab.act("toy.read").status for _ in range(5)] == [200] * 5
        assert is_cut(waiting[0])


def test_a_head_that_comes_a_byte_at_a_time_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_WITHIN_SECONDS", 0.3)
    with serving(tmp_path, monkeypatch) as lab, many(lab, 1, b"GET /healthz HT") as (slow,):
        assert is_given_up(slow)
        assert lab.request("GET", "/healthz", token=None).status == 200


def test_an_answer_that_takes_long_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_WITHIN_SECONDS", 0.1)
    monkeypatch.setattr(server, "MOST_CONNECTIONS", LIMIT)
    with serving(tmp_path, monkeypatch, longest_wait=1.5) as lab, many(lab, LIMIT * 2, b""):
        reply = lab.act("toy.wait")
        assert reply.status == 202


ONE_HEADER = b"X-Large: " + b"a" * 1_000_000
MANY_HEADERS = b"".join(b"X-%d: a\r\n" % number for number in range(100_000))


@pytest.mark.parametrize("head", [ONE_HEADER, MANY_HEADERS], ids=["one", "many"])
def test_a_head_that_is_too_large_is_refused(shared: ServiceLab, head: bytes) -> None:
    with many(shared, 1, b"") as (client,):
        with contextlib.suppress(OSError):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            said = client.recv(65536)
            assert said == b"" or said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert shared.request("GET", "/healthz", token=None).status == 200
