"""The one place where the product speaks HTTP.

Every call has a deadline, a cap on the answer, and verified TLS. A redirect to another place is refused, because it could
carry credentials or evidence away. What may be repeated is a policy (`http_policy`); everything else is sent once. An
answer that ended early is no answer. Each call uses a connection of its own: one that was kept open and then dropped by
the server would leave it open whether a write was carried out.
"""

from __future__ import annotations

import json
import logging
import queue
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from snaphold import __version__
from snaphold.errors import InputError, ProviderError
from snaphold.http_policy import PLAIN, READING, RetryPolicy, asked_wait
from snaphold.secrets import redact
from snaphold.standing import check_standing

if TYPE_CHECKING:
    import requests

DEFAULT_TIMEOUT_SECONDS = 20.0
LONGEST_CONNECT_SECONDS = 10.0
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
MOST_REDIRECTS = 5
ATTEMPTS = PLAIN.attempts
REQUEST_ID = "X-Request-Id"
_CHUNK = 64 * 1024
_SLACK_SECONDS = 0.2
_REDIRECTS = (301, 302, 303, 307, 308)
_FIRST_FAILURE = 400
_DEEPEST_CAUSE = 50
_VENDOR_IDS = ("x-request-id", "x-transaction-id", "x-correlation-id")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswerError(ProviderError):
    """No usable answer came. `sent` is False only when the request surely never reached the server."""

    def __init__(self, what: str, why: str | None = None, do: str | None = None, *, retryable: bool, sent: bool) -> None:
        super().__init__(what, why, do, retryable=retryable)
        self.sent = sent


@dataclass(frozen=True)
class _Call:
    """One request, as often as it is sent."""

    id: str
    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str]
    verify: bool | str
    limit: int
    keyed: bool

    @property
    def repeatable(self) -> bool:
        return self.keyed or self.method in READING


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
    policy: RetryPolicy = PLAIN,
) -> Answer:
    """Return the answer to one request, whatever its status.

    `timeout` is the whole time in seconds that one attempt may take, `within` that of all attempts. The policy says
    what is sent again; `repeatable` tells it that a write carries a key by which the server knows a repeat.
    `verify=False` accepts any certificate; only a person's setting may ask for that. A call that failed in the end is
    logged. Raises NoAnswerError (a ProviderError) when no usable answer came, ProviderError when one was refused.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url} is not an http address")
    trusted = str(ca_file) if verify and ca_file else verify
    call = _Call(str(uuid.uuid4()), method, url, body, headers or {}, trusted, limit, bool(repeatable))
    began = time.monotonic()
    end = began + (within if within is not None else timeout * policy.attempts + 60.0)
    attempt = 0
    while True:
        attempt += 1
        pause = policy.pause_before(attempt)
        left = end - time.monotonic()
        try:
            answer = _follow(call, min(timeout, max(left, 0.1)))
        except ProviderError as error:
            repeats = isinstance(error, NoAnswerError) and policy.repeats_lost(method, keyed=call.keyed, sent=error.sent)
            if not repeats or not _goes_on(policy, attempt, end, pause):
                _log_failure(call, attempt, began, f"{error.what}: {error.why}")
                raise
        else:
            wait = asked_wait(answer.headers, policy.resets)
            pause = max(pause, wait or 0.0)
            repeats = policy.repeats_status(method, answer.status, keyed=call.keyed) and (wait or 0.0) <= policy.longest_wait
            if not repeats or not _goes_on(policy, attempt, end, pause):
                if answer.status >= _FIRST_FAILURE:
                    _log_failure(call, attempt, began, f"HTTP status {answer.status}", answer)
                return answer
        time.sleep(pause)


def _goes_on(policy: RetryPolicy, attempt: int, end: float, pause: float) -> bool:
    return attempt < policy.attempts and time.monotonic() + pause < end


def _log_failure(call: _Call, attempts: int, began: float, why: str, answer: Answer | None = None) -> None:
    """Write one line of JSON. It holds no query, no header of ours and no body: those can carry secrets."""
    parts = urlsplit(call.url)
    vendor_id = next((answer.headers[name] for name in _VENDOR_IDS if name in answer.headers), "") if answer else ""
    told = {
        "event": "http_call_failed",
        "request_id": call.id,
        "vendor_request_id": vendor_id[:200],
        "method": call.method,
        "host": parts.hostname,
        "port": parts.port,
        "path": parts.path,
        "status": answer.status if answer else None,
        "attempts": attempts,
        "seconds": round(time.monotonic() - began, 3),
        "why": why,
    }
    log.warning("%s", redact(json.dumps(told, ensure_ascii=False)))


def _follow(call: _Call, timeout: float) -> Answer:
    url, place = call.url, _origin(call.url)
    for _ in range(MOST_REDIRECTS + 1):
        answer = _bounded(call, url, timeout)
        if answer.status not in _REDIRECTS or call.method not in READING:
            return answer
        url = urljoin(url, answer.headers.get("location", ""))
        if _origin(url) != place:
            raise ProviderError(
                f"{place[1]} redirects to another place", f"to {urlsplit(url).netloc}", "configure the final address"
            )
    raise ProviderError(f"{place[1]} redirects without end", f"more than {MOST_REDIRECTS} times")


def _bounded(call: _Call, url: str, timeout: float) -> Answer:
    """Return the answer, or give up at the deadline.

    The socket's own time-out starts anew with each byte, and the head of an answer is read as it comes. A server that
    sends a byte now and then is left to a thread that nobody waits for.
    """
    done: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put(_once(call, url, timeout))
        except BaseException as error:  # noqa: BLE001  it is raised again by the thread that waits
            done.put(error)

    threading.Thread(target=work, daemon=True, name=f"http {call.id}").start()
    try:
        answer = done.get(timeout=timeout + _SLACK_SECONDS)
    except queue.Empty:
        raise _silent(call, url, timeout, sent=True) from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _silent(call: _Call, url: str, timeout: float, *, sent: bool) -> NoAnswerError:
    host = urlsplit(url).netloc
    return NoAnswerError(
        f"{host} does not answer", f"not within {timeout:g} s", "try later", retryable=call.repeatable or not sent, sent=sent
    )


def _once(call: _Call, url: str, timeout: float) -> Answer:
    import requests
    import urllib3

    check_standing()
    host = urlsplit(url).netloc
    deadline = time.monotonic() + timeout
    if call.verify is False:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        with requests.request(
            call.method,
            url,
            data=call.body,
            headers={
                "User-Agent": f"snaphold/{__version__}",
                "Accept-Encoding": "identity",
                REQUEST_ID: call.id,
                **call.headers,
            },
            auth=_as_given,
            timeout=(min(timeout, LONGEST_CONNECT_SECONDS), timeout),
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
    except (requests.ConnectTimeout, requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _silent(call, url, timeout, sent=not isinstance(error, requests.ConnectTimeout)) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        if _has_cause(error, ssl.SSLCertVerificationError):
            raise ProviderError(
                f"the certificate of {host} is not trusted", "TLS verification failed", "configure the authority's certificate"
            ) from error
        sent = not _has_cause(error, urllib3.exceptions.NewConnectionError)
        raise NoAnswerError(
            f"{host} cannot be reached",
            type(error).__name__ if sent else "there is no connection",
            "check address and network",
            retryable=call.repeatable or not sent,
            sent=sent,
        ) from error


def _has_cause(error: BaseException, kind: type[BaseException]) -> bool:
    """Return whether an error of this kind lies in or under the error; requests and urllib3 wrap each other's."""
    waiting, seen = [error], 0
    while waiting and seen < _DEEPEST_CAUSE:
        inner, seen = waiting.pop(), seen + 1
        if isinstance(inner, kind):
            return True
        causes = (inner.__cause__, inner.__context__, getattr(inner, "reason", None), *inner.args)
        waiting += [cause for cause in causes if isinstance(cause, BaseException)]
    return False


def _as_given(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep the caller's headers: without this, an entry in ~/.netrc would replace the Authorization header."""
    return prepared


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield what has arrived. A server that sends a byte now and then must not outlast the deadline."""
    import urllib3

    raw: Any = response.raw
    plain = isinstance(raw, urllib3.HTTPResponse) and hasattr(raw, "read1")  # not so: urllib3 before 2, and played cassettes
    if response.is_redirect or not plain:  # requests has read a redirect already
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
