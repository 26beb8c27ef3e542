"""RFC 3161 time stamps: asks an authority, and checks its replies.

A reply is checked with rfc3161-client. Some authorities send certificates in an order that strict DER refuses; those
replies, and all replies where the package is not installed, are checked with `openssl ts -verify`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.errors import EvidenceError, InputError, MissingToolError, ProviderError, UnverifiedEvidenceError
from snaphold.http import send

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

    from snaphold.config import Configuration, TimeStamping

REPLY_LIMIT_BYTES = 64 * 1024
_OK = 200
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_OPENSSL_TIME = re.compile(r"^Time stamp: (?P<text>\w{3} +\d+ [\d:]{8})(?:\.\d+)? (?P<year>\d{4}) GMT$", re.MULTILINE)


@dataclass(frozen=True)
class TimeStamp:
    """A request, the authority's reply to it (both DER), and the time that the reply states."""

    request: bytes
    reply: bytes
    at: datetime


def make_request(data: bytes) -> bytes:
    """Return a request (DER) for a SHA-256 time stamp over `data`, with a nonce and asking for the certificate.

    Raises MissingToolError when the optional package is not installed.
    """
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ImportError as error:
        raise MissingToolError(
            "time stamps need rfc3161-client", "the optional package is not installed", "pip install 'snaphold[evidence]'"
        ) from error
    builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
    return builder.nonce(nonce=True).cert_request(cert_request=True).build().as_bytes()


def request_timestamp(data: bytes, settings: TimeStamping, ca_pem: bytes) -> TimeStamp:
    """Return a checked time stamp over `data` from the configured authority.

    Raises ProviderError when the authority is down or refuses, EvidenceError or UnverifiedEvidenceError when its reply
    does not verify.
    """
    request = make_request(data)
    answer = send(
        "POST",
        settings.url,
        body=request,
        headers={"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"},
        timeout=settings.timeout.total_seconds(),
        limit=REPLY_LIMIT_BYTES,
    )
    if answer.status != _OK:
        raise ProviderError("the time-stamping authority refuses", f"HTTP status {answer.status}", "ask its operator")
    return TimeStamp(request, answer.body, verify_timestamp(data, request, answer.body, ca_pem))


def configured_stamp(configuration: Configuration) -> Callable[[bytes], TimeStamp] | None:
    """Return what asks the configured time-stamping authority, or None when there is none."""
    settings = configuration.evidence.time_stamping
    if settings is None:
        return None
    authority = configuration.path(settings.ca_file)

    def stamp(data: bytes) -> TimeStamp:
        try:
            certificates = authority.read_bytes()
        except OSError as error:
            raise InputError(
                f"the authority's certificate {authority} cannot be read", error.strerror, "check evidence.time_stamping.ca_file"
            ) from error
        return request_timestamp(data, settings, certificates)

    return stamp


def verify_timestamp(data: bytes, request: bytes | None, reply: bytes, ca_pem: bytes) -> datetime:
    """Return the time that a reply proves for `data`; certificates are judged at that time, not now.

    Raises EvidenceError when the reply is for other data, answers another request, or its chain does not hold;
    UnverifiedEvidenceError when it cannot be checked here.
    """
    try:
        from rfc3161_client import decode_timestamp_response
    except ImportError:
        return _verify_with_openssl(data, request, reply, ca_pem)
    try:
        response = decode_timestamp_response(reply)
    except ValueError as error:
        if "InvalidSetOrdering" in str(error):
            return _verify_with_openssl(data, request, reply, ca_pem)
        raise EvidenceError("the time stamp is malformed", str(error).splitlines()[0][:200]) from error
    try:
        _verify_with_library(data, request, response, ca_pem)
        return response.tst_info.gen_time.astimezone(timezone.utc)
    except ValueError as error:
        if "InvalidSetOrdering" in str(error):
            return _verify_with_openssl(data, request, reply, ca_pem)
        raise EvidenceError("the time stamp does not verify", str(error).splitlines()[0][:200]) from error


def _verify_with_library(data: bytes, request: bytes | None, response: TimeStampResponse, ca_pem: bytes) -> None:
    from cryptography.x509 import load_pem_x509_certificate
    from rfc3161_client import VerificationError, VerifierBuilder
    from rfc3161_client._rust import parse_timestamp_request

    builder = VerifierBuilder.from_request(parse_timestamp_request(request)) if request else VerifierBuilder()
    certificates = [load_pem_x509_certificate(text) for text in _PEM.findall(ca_pem)]
    if not certificates:
        raise UnverifiedEvidenceError("the time stamp cannot be checked", "there is no certificate of the authority")
    for certificate in certificates:
        own = certificate.issuer == certificate.subject
        builder = builder.add_root_certificate(certificate) if own else builder.add_intermediate_certificate(certificate)
    try:
        builder.build().verify_message(response, data)
    except VerificationError as error:
        if "InvalidSetOrdering" in str(error):
            raise ValueError(str(error)) from error
        raise EvidenceError("the time stamp does not verify", str(error).splitlines()[0][:200]) from error


def _verify_with_openssl(data: bytes, request: bytes | None, reply: bytes, ca_pem: bytes) -> datetime:
    from snaphold.hosts.local import run_command

    with tempfile.TemporaryDirectory(prefix="snaphold-ts-") as folder:
        scratch = Path(folder)
        for name, content in (("data", data), ("reply", reply), ("ca", ca_pem), ("query", request or b"")):
            (scratch / name).write_bytes(content)
        try:
            shown = run_command(["openssl", "ts", "-reply", "-in", "reply", "-text"], directory=scratch)
            match = _OPENSSL_TIME.search(shown.stdout)
            if shown.code != 0 or not match:
                raise EvidenceError("the time stamp is malformed", "openssl cannot read it")
            at = datetime.strptime(f"{match['text']} {match['year']}", "%b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
            common = ["-in", "reply", "-CAfile", "ca", "-attime", str(int(at.timestamp()))]
            checks = [["-data", "data"], *([["-queryfile", "query"]] if request else [])]
            for check in checks:
                done = run_command(["openssl", "ts", "-verify", *check, *common], directory=scratch)
                if done.code != 0:
                    lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
                    why = lines[0].rsplit(":", 3)[-3:] if lines else ["openssl ts -verify refuses it"]
                    raise EvidenceError("the time stamp does not verify", ":".join(why).strip(": "))
        except MissingToolError as error:
            raise UnverifiedEvidenceError(
                "the time stamp cannot be checked", "neither rfc3161-client nor openssl is there", "install one of them"
            ) from error
    return at
