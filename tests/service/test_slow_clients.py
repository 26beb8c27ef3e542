"""Clients that say nothing, too slowly or too much: they are cut, and nobody else notices."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.service import connections, listener, server
from snaphold.service.connections import longest_waits
from support.service_lab import Reply, ServiceLab, serving
from support.waiting import PATIENCE_SECONDS, wait_for

LIMIT = connections.KEPT_FREE + 8
MANY = 50


@contextlib.contextmanager
def many(lab: ServiceLab, number: int, said: bytes) -> Generator[list[socket.socket]]:
    port = int(lab.url.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        found: list[socket.socket] = []
        for _ in range(number):
            found.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)))
            if said:
                found[-1].sendall(said)
        yield found


def is_cut(connection: socket.socket) -> bool:
    """Return whether the other side ends the connection."""
    connection.settimeout(PATIENCE_SECONDS)
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
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            slow.sendall(b"T")
        except OSError:
            return True
        time.sleep(0.05)
    return False


HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "


def half_a_body(path: str, kind: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 100\r\n\r\na".encode()


HALF_A_BODY = half_a_body("/v1/webhooks/none", "application/json")
HALF_A_FORM = half_a_body("/ui/sign-in", "application/x-www-form-urlencoded")
HALF_A_HANDSHAKE = b"\x16\x03\x01\x02\x00\x01\x00"


@pytest.mark.parametrize("said", [b"", HALF_A_HEAD, HALF_A_BODY, HALF_A_FORM], ids=["nothing", "head", "body", "form"])
def test_more_idle_or_slow_clients_than_the_service_takes_keep_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", LIMIT)
    with serving(tmp_path, monkeypatch) as lab, many(lab, LIMIT * 2, said) as waiting:
        assert [lab.act("toy.read").status for _ in range(5)] == [200] * 5
        assert is_cut(waiting[0])


@pytest.mark.parametrize("said", [b"", HALF_A_HEAD, HALF_A_BODY], ids=["nothing", "head", "body"])
def test_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path], said: bytes) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", LIMIT)
    with serving(tmp_path, monkeypatch, certificate=certificate) as lab, many(lab, LIMIT * 2, b"") as raw:
        context = ssl.create_default_context(cafile=str(certificate[0]))
        with contextlib.ExitStack() as stack:
            for one in raw:
                with contextlib.suppress(OSError):  # it was cut already
                    secure = stack.enter_context(context.wrap_socket(one, server_hostname="127.0.0.1"))
                    secure.sendall(said)
            assert [lab.act("toy.read").status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("said", [b"", HALF_A_HANDSHAKE, HALF_A_HEAD], ids=["nothing", "half", "plain"])
def test_handshakes_that_do_not_end_keep_nobody_out_and_the_oldest_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path], said: bytes
) -> None:
    monkeypatch.setattr(listener, "MOST_HANDSHAKES", MANY // 2)
    with serving(tmp_path, monkeypatch, certificate=certificate) as lab, many(lab, MANY, said) as waiting:
        assert [lab.act("toy.read").status for _ in range(3)] == [200] * 3
        assert is_cut(waiting[0])


def test_a_handshake_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    with serving(tmp_path, monkeypatch, certificate=certificate) as lab:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(listener, "HANDSHAKE_WITHIN_SECONDS", 0.3)
            with many(lab, 1, b"\x16\x03\x01") as (slow,):
                assert is_cut(slow)
        assert lab.request("GET", "/healthz", token=None).status == 200


def test_who_never_says_goodbye_over_tls_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setattr(connections, "GOODBYE_WITHIN_SECONDS", 0.1)
    monkeypatch.setattr(server, "MOST_CONNECTIONS", LIMIT)
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with serving(tmp_path, monkeypatch, certificate=certificate) as lab, contextlib.ExitStack() as stack:
        for one in stack.enter_context(many(lab, LIMIT * 2, b"")):
            with contextlib.suppress(OSError):  # it was cut already
                secure = stack.enter_context(context.wrap_socket(one, server_hostname="127.0.0.1"))
                secure.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert [lab.act("toy.read").status for _ in range(3)] == [200] * 3


@pytest.mark.slow
def test_who_does_not_read_the_answers_is_cut_and_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", LIMIT)
    asked = b"GET /ui/static/snaphold.css HTTP/1.1\r\nHost: x\r\n\r\n" * 3000
    with serving(tmp_path, monkeypatch) as lab, contextlib.ExitStack() as stack:
        port = int(lab.url.rpartition(":")[2])
        slow = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in slow:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.settimeout(PATIENCE_SECONDS)
            one.connect(("127.0.0.1", port))
            one.sendall(asked)
        monkeypatch.setattr(connections, "READ_WITHIN_SECONDS", 0.5)  # not before: it would cut who is still sending
        assert [lab.act("toy.read").status for _ in range(3)] == [200] * 3
        assert is_given_up(slow[0])


def test_a_head_that_comes_a_byte_at_a_time_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch) as lab:
        with pytest.MonkeyPatch.context() as patch, many(lab, 1, b"GET /healthz HT") as (slow,):
            patch.setattr(connections, "HEAD_WITHIN_SECONDS", 0.3)
            assert is_given_up(slow)
        assert lab.request("GET", "/healthz", token=None).status == 200


def test_an_answer_that_takes_long_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", LIMIT)
    replies: list[Reply] = []
    looks: list[int] = []

    def look(found: Any) -> int:
        looks.append(connections.cut_late(found))
        return looks[-1]

    with serving(tmp_path, monkeypatch) as lab, many(lab, LIMIT * 2, b""):
        asking = threading.Thread(target=lambda: replies.append(lab.act("toy.wait")))
        asking.start()
        assert lab.toys.begun.wait(PATIENCE_SECONDS)
        # The request has come; from now on a client that kept the service waiting would be cut at the next look.
        for limit in ("BODY_WITHIN_SECONDS", "READ_WITHIN_SECONDS"):
            monkeypatch.setattr(connections, limit, 0.1)
        monkeypatch.setattr(server, "cut_late", look)
        wait_for(lambda: len(looks) >= 2)
        lab.toys.gate.set()
        asking.join(PATIENCE_SECONDS)
    assert [reply.status for reply in replies] == [200]
    assert set(looks) == {0}


class Waiting(SimpleNamespace):
    peer: str
    since: float


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100)), max_size=20), st.integers(0, 25))
def test_those_are_cut_first_that_have_most_connections_and_wait_longest(given: list[tuple[str, float]], most: int) -> None:
    waiting = [Waiting(peer=peer, since=since) for peer, since in given]
    cut = cast("list[Any]", longest_waits(cast("Any", waiting), most))
    assert len(cut) == min(most, len(waiting))
    left = [one for one in waiting if not any(one is other for other in cut)]
    for one in left:
        for other in cut:
            if one.peer == other.peer:
                assert other.since <= one.since
            else:
                kept = sum(1 for mine in left if mine.peer == one.peer)
                gone = [mine for mine in waiting if mine.peer == other.peer and mine.since >= other.since]
                assert len(gone) >= kept


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
