"""RFC 3161 time stamps against a local authority, and every reply that must not count."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType

import pytest

from snaphold.config import TimeStamping
from snaphold.errors import EvidenceError, MissingToolError, ProviderError, UnverifiedEvidenceError
from snaphold.evidence.timestamp import make_request, request_timestamp, verify_timestamp
from snaphold.hosts import local
from support.timestamp_authority import Authority, make_authority, serve

DATA = b"a signature"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if name.startswith("rfc3161_client"):
            raise ImportError(name)
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", refuse)


def settings(url: str) -> TimeStamping:
    return TimeStamping(url=url, ca_file="ca.pem", timeout=timedelta(minutes=4))


def test_an_authority_is_asked_over_http(authority: Authority) -> None:
    with serve(authority) as url:
        made = request_timestamp(DATA, settings(url), authority.ca.read_bytes())
    assert abs(made.at - datetime.now(timezone.utc)) < timedelta(minutes=2)
    assert verify_timestamp(DATA, made.request, made.reply, authority.ca.read_bytes()) == made.at
    assert verify_timestamp(DATA, None, made.reply, authority.ca.read_bytes()) == made.at


def test_an_authority_that_refuses_or_is_down_is_told(authority: Authority) -> None:
    with serve(authority, status=500) as url, pytest.raises(ProviderError, match="refuses"):
        request_timestamp(DATA, settings(url), authority.ca.read_bytes())
    with pytest.raises(ProviderError, match="cannot be reached"):
        request_timestamp(DATA, settings("http://127.0.0.1:9/"), authority.ca.read_bytes())


def check(authority: Authority, data: bytes, request: bytes, reply: bytes) -> None:
    with pytest.raises(EvidenceError):
        verify_timestamp(data, request, reply, authority.ca.read_bytes())


def refuse_everything(authority: Authority, other: Authority) -> None:
    request, second = make_request(DATA), make_request(DATA)
    reply = authority.answer(request)
    check(authority, b"other data", request, reply)
    check(authority, DATA, second, reply)
    check(authority, DATA, request, b"nonsense")
    check(authority, DATA, request, reply[:-20])
    check(authority, DATA, request, other.answer(request))
    damaged = bytearray(reply)
    damaged[-10] ^= 1
    check(authority, DATA, request, bytes(damaged))


def test_replies_that_must_not_count_do_not(authority: Authority, tmp_path: Path) -> None:
    refuse_everything(authority, make_authority(tmp_path / "other"))


def make_request_with_openssl(authority: Authority, *digest: str) -> bytes:
    (authority.folder / "data").write_bytes(DATA)
    assert authority.openssl("ts", "-query", "-data", "data", *digest, "-cert", "-out", "query").returncode == 0
    return (authority.folder / "query").read_bytes()


def test_openssl_alone_gives_the_same_answers(authority: Authority, without_library: None) -> None:
    request = make_request_with_openssl(authority, "-sha256")
    reply = authority.answer(request)
    at = verify_timestamp(DATA, request, reply, authority.ca.read_bytes())
    assert abs(at - datetime.now(timezone.utc)) < timedelta(minutes=2)
    check(authority, b"other data", request, reply)
    check(authority, DATA, make_request_with_openssl(authority, "-sha256"), reply)
    check(authority, DATA, request, b"nonsense")
    with pytest.raises(MissingToolError, match="rfc3161-client"):
        make_request(DATA)


def test_without_library_and_openssl_it_is_unverifiable(
    authority: Authority, without_library: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = make_request_with_openssl(authority, "-sha256")
    reply = authority.answer(request)

    def missing(*_: object, **__: object) -> None:
        raise MissingToolError("the program openssl is not installed")

    monkeypatch.setattr(local, "run_command", missing)
    with pytest.raises(UnverifiedEvidenceError):
        verify_timestamp(DATA, request, reply, authority.ca.read_bytes())


def test_a_reply_that_strict_parsers_refuse_is_checked_with_openssl(tmp_path: Path) -> None:
    authority = make_authority(tmp_path, several_certificates=True)
    request = make_request(DATA)
    reply = authority.answer(request)
    assert verify_timestamp(DATA, request, reply, authority.ca.read_bytes())
    check(authority, b"other data", request, reply)
    check(authority, DATA, make_request(DATA), reply)


def test_a_refused_digest_is_no_time_stamp(authority: Authority) -> None:
    request = make_request_with_openssl(authority, "-sha1")
    check(authority, DATA, request, authority.answer(request))


def test_the_chain_is_judged_at_the_time_of_the_stamp(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority's certificate that has ended since then does not spoil an old package."""
    request = make_request(DATA)
    reply = authority.answer(request)
    calls: list[tuple[str, ...]] = []
    real = local.run_command

    def note(argv: Sequence[str], **given: object):
        calls.append(tuple(argv))
        return real(argv, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "run_command", note)
    from snaphold.evidence.timestamp import _verify_with_openssl

    at = _verify_with_openssl(DATA, request, reply, authority.ca.read_bytes())
    assert all(str(int(at.timestamp())) in call for call in calls[1:])


def test_without_certificates_nothing_is_proved(authority: Authority) -> None:
    request = make_request(DATA)
    with pytest.raises(UnverifiedEvidenceError):
        verify_timestamp(DATA, request, authority.answer(request), b"")
