"""The one place where the product speaks HTTP.

Every call has a deadline, a cap on the answer, and verified TLS. A redirect to another place is refused, because it could
carry credentials or evidence away. Only calls that can be repeated without an effect are retried. An answer that ended
early is no answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from snaphold import __version__
from snaphold.errors import InputError, ProviderError

if TYPE_CHECKING:
    import requests

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


@dataclass(frozen=True)
class _Call:
    """One request, as often as it is sent."""

    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str]
    verify: bool | str
    limit: int
    repeatable: bool


def send(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    within: float | None = None,
    ca_file: Path | None = None,
    verify: bool = True,
    limit: int = ANSWER_LIMIT_BYTES,
    repeatable: bool | None = None,
) -> Answer:
    """Return the answer to one request, whatever its status.

    `timeout` is the whole time in seconds that one attempt may take, `within` that of all attempts. What is
    `repeatable` is tried up to three times: GET and HEAD, and what the caller says carries an idempotency key.
    `verify=False` accepts any certificate; only a person's setting may ask for that. Raises ProviderError (`retryable`
    only for what is repeatable) when no usable answer came.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url} is not an http address")
    again = method in _REPEATABLE if repeatable is None else repeatable
    call = _Call(method, url, body, headers or {}, str(ca_file) if verify and ca_file else verify, limit, again)
    end = time.monotonic() + (within if within is not None else timeout * ATTEMPTS + 60.0)
    for attempt in range(1, ATTEMPTS + 1):
        pause = 0.2 * 2**attempt
        left = end - time.monotonic()
        try:
            answer = _follow(call, min(timeout, max(left, 0.1)))
        except ProviderError as error:
            if not _goes_on(attempt, end, pause) or not error.retryable:
                raise
        else:
            if not again or not _goes_on(attempt, end, pause) or answer.status not in _BUSY:
                return answer
        time.sleep(pause)
    raise AssertionError("unreachable")  # the last attempt returns or raises


def _goes_on(attempt: int, end: float, pause: float) -> bool:
    return attempt < ATTEMPTS and time.monotonic() + pause < end


def _follow(call: _Call, timeout: float) -> Answer:
    url, place = call.url, _origin(call.url)
    for _ in range(MOST_REDIRECTS + 1):
        answer = _once(call, url, timeout)
        if answer.status not in _REDIRECTS or call.method not in _REPEATABLE:
            return answer
        url = urljoin(url, answer.headers.get("location", ""))
        if _origin(url) != place:
            raise ProviderError(
                f"{place[1]} redirects to another place", f"to {urlsplit(url).netloc}", "configure the final address"
            )
    raise ProviderError(f"{place[1]} redirects without end", f"more than {MOST_REDIRECTS} times")


def _once(call: _Call, url: str, timeout: float) -> Answer:
    import requests
    import urllib3

    host = urlsplit(url).netloc
    deadline = time.monotonic() + timeout
    if call.verify is False:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        with requests.request(
            call.method,
            url,
            data=call.body,
            headers={"User-Agent": f"snaphold/{__version__}", "Accept-Encoding": "identity", **call.headers},
            auth=_as_given,
            timeout=(min(timeout, 10.0), timeout),
            verify=call.verify,
            allow_redirects=False,
            stream=True,
        ) as response:
            received = bytearray()
            for chunk in _chunks(response):
                received += chunk
                if len(received) > call.limit:
                    raise ProviderError(f"{host} answers with too much", f"more than {call.limit} bytes")
                if time.monotonic() > deadline:
                    raise requests.Timeout
            _check_whole(call.method, response, len(received))
            return Answer(
                response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(received)
            )
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise ProviderError(
            f"{host} does not answer", f"not within {timeout:g} s", "try later", retryable=call.repeatable
        ) from error
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
        raise ProviderError(
            f"the certificate of {host} is not trusted", "TLS verification failed", "configure the authority's certificate"
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        why = type(error).__name__
        raise ProviderError(f"{host} cannot be reached", why, "check address and network", retryable=call.repeatable) from error


def _as_given(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep the caller's headers: without this, an entry in ~/.netrc would replace the Authorization header."""
    return prepared


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield what has arrived. A server that sends a byte now and then must not outlast the deadline."""
    raw: Any = response.raw
    if response.is_redirect or not hasattr(raw, "read1"):  # requests has read a redirect already; urllib3 before 2
        yield from response.iter_content(_CHUNK)
        return
    while True:
        chunk = raw.read1(_CHUNK, decode_content=True)
        if not chunk:
            return
        yield chunk


def _check_whole(method: str, response: requests.Response, received: int) -> None:
    """Raise when the body is shorter than the server said; older versions of urllib3 let that pass."""
    import requests

    announced = response.headers.get("Content-Length", "")
    if method != "HEAD" and announced.isdigit() and "Content-Encoding" not in response.headers and int(announced) != received:
        raise requests.ConnectionError("the answer ended early")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port
