"""The one place where the product speaks HTTP.

Every call has a deadline, a cap on the answer, and verified TLS. A redirect to another place is refused, because it could
carry credentials or evidence away. Only calls that can be repeated without an effect are retried.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from snaphold import __version__
from snaphold.errors import InputError, ProviderError

DEFAULT_TIMEOUT_SECONDS = 20.0
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
MOST_REDIRECTS = 5
ATTEMPTS = 3
_CHUNK = 64 * 1024
_REPEATABLE = ("GET", "HEAD")
_BUSY = (429, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def send(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    ca_file: Path | None = None,
    limit: int = ANSWER_LIMIT_BYTES,
) -> Answer:
    """Return the answer to one request, whatever its status.

    `timeout` is the whole time in seconds that one attempt may take. GET and HEAD are tried up to three times.
    Raises ProviderError (`retryable` only for GET and HEAD) when no usable answer came.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url} is not an http address")
    attempts = ATTEMPTS if method in _REPEATABLE else 1
    for attempt in range(1, attempts + 1):
        last = attempt == attempts
        try:
            answer = _follow(method, url, body, headers or {}, timeout, ca_file, limit)
        except ProviderError as error:
            if last or not error.retryable:
                raise
        else:
            if last or answer.status not in _BUSY:
                return answer
        time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")  # the last attempt returns or raises


def _follow(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], timeout: float, ca_file: Path | None, limit: int
) -> Answer:
    place = _origin(url)
    for _ in range(MOST_REDIRECTS + 1):
        answer = _once(method, url, body, headers, timeout, ca_file, limit)
        if answer.status not in _REDIRECTS or method not in _REPEATABLE:
            return answer
        url = urljoin(url, answer.headers.get("location", ""))
        if _origin(url) != place:
            raise ProviderError(
                f"{place[1]} redirects to another place", f"to {urlsplit(url).netloc}", "configure the final address"
            )
    raise ProviderError(f"{place[1]} redirects without end", f"more than {MOST_REDIRECTS} times")


def _once(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], timeout: float, ca_file: Path | None, limit: int
) -> Answer:
    import requests

    host = urlsplit(url).netloc
    deadline = time.monotonic() + timeout
    retryable = method in _REPEATABLE
    try:
        with requests.request(
            method,
            url,
            data=body,
            headers={"User-Agent": f"snaphold/{__version__}", **headers},
            timeout=(min(timeout, 10.0), timeout),
            verify=str(ca_file) if ca_file else True,
            allow_redirects=False,
            stream=True,
        ) as response:
            received = bytearray()
            for chunk in response.iter_content(_CHUNK):
                received += chunk
                if len(received) > limit:
                    raise ProviderError(f"{host} answers with too much", f"more than {limit} bytes")
                if time.monotonic() > deadline:
                    raise requests.Timeout
            return Answer(
                response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(received)
            )
    except requests.Timeout as error:
        raise ProviderError(f"{host} does not answer", f"not within {timeout:g} s", "try later", retryable=retryable) from error
    except requests.exceptions.SSLError as error:
        raise ProviderError(
            f"the certificate of {host} is not trusted", "TLS verification failed", "configure the authority's certificate"
        ) from error
    except (requests.RequestException, OSError) as error:
        why = type(error).__name__
        raise ProviderError(f"{host} cannot be reached", why, "check address and network", retryable=retryable) from error


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port
