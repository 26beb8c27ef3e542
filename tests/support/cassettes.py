"""Cassettes: what adapters and systems said to each other, recorded from our simulators without secrets and times.

They are ordinary vcrpy cassettes. Whoever tests a SOAR integration plays them with `vcr.use_cassette` and needs neither
a simulator nor a vendor.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import yaml

from support.golden import ROOT

FOLDER = ROOT / "tests/cassettes"
HIDDEN = "hidden"
MATCH_ON = ("method", "scheme", "host", "port", "path", "query", "body")
_SECRET_NAMES = frozenset({
    "password", "client_secret", "client_id", "access_token", "refresh_token", "token", "accesstoken", "refreshtoken",
    "authtoken", "routing_key", "sessionid", "secret", "api_key", "apikey", "authorization", "cookie", "set-cookie", "x-api-key",
})  # fmt: skip
_KEPT_ANSWER_HEADERS = ("content-type", "date", "location", "retry-after", "x-total-count", "link")
_KEPT_REQUEST_HEADERS = ("accept", "content-type", "x-api-version")
_TIMES = (
    (re.compile(r"\b20\d\d-\d\d-\d\d([T ]|%20|\+)\d\d(:|%3A)\d\d(?:\2)\d\d(\.\d+)?"), r"2026-11-22\g<1>18\g<2>00\g<2>00"),
    (re.compile(r"\b1[789]\d{8}\b"), "1795370400"),
    (re.compile(r"\b\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT\b"), "Sun, 22 Nov 2026 18:00:00 GMT"),
)
_LOOKS_SECRET = {
    "an authorization header": re.compile(
        r"(?i)\b(?:bearer|basic|qsdk|token token=)\s*(?!hidden)(?=\S*\d)[A-Za-z0-9+/=._~-]{8,}"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    "a PagerDuty key": re.compile(r"\b(?:u\+|R0)[A-Za-z0-9_-]{18,}"),
    "credentials in an address": re.compile(r"https?://[^/\s:@]+:[^/\s@]+@"),
}


def path_of(name: str) -> Path:
    """Return where a cassette is kept."""
    return FOLDER / f"{name}.yaml"


def without_secrets(value: Any) -> Any:
    """Return JSON with the values of all names that stand for secrets hidden."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {name: HIDDEN if name.lower() in _SECRET_NAMES and item else without_secrets(item) for name, item in pairs}
    if isinstance(value, list):
        return [without_secrets(item) for item in cast("list[Any]", value)]
    return value


def clean_body(body: object) -> str:
    """Return a body without secrets and times, the same for the same content: JSON with sorted keys, or a form, or text."""
    text = body.decode("utf-8") if isinstance(body, bytes) else str(body or "")
    try:
        text = json.dumps(without_secrets(json.loads(text)), sort_keys=True, ensure_ascii=False)
    except ValueError:
        pairs = parse_qsl(text, keep_blank_values=True)
        if pairs and urlencode(pairs) == text:
            text = urlencode([(name, HIDDEN if name.lower() in _SECRET_NAMES else item) for name, item in pairs])
    return without_times(text)


def without_times(text: str) -> str:
    """Return the text with every time the same."""
    for pattern, instead in _TIMES:
        text = pattern.sub(instead, text)
    return text


class Recorder:
    """Records, or plays, what is said to one system. `address` stands for the simulator's, which is another each time."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.text = ""

    @contextmanager
    def recording(self, server: str) -> Generator[None]:
        """Record what is said to `server`; afterwards `text` is the cassette."""
        recorder = _vcr(before_record_request=self._clean_request(server))
        recorder.register_persister(self._persister())
        with recorder.use_cassette(f"{self.name}.yaml", record_mode="once"):
            yield

    @contextmanager
    def playing(self) -> Generator[Any]:
        """Play the cassette: nothing leaves this machine. Each answer is given once, to the call that it was given to."""
        player = _vcr(before_record_request=self._clean_request(""), match_on=MATCH_ON, record_mode="none")
        with player.use_cassette(str(path_of(self.name))) as cassette:
            yield cassette

    def _clean_request(self, server: str) -> Any:
        def clean(request: Any) -> Any:
            uri = str(request.uri)
            if server and uri.startswith(server):
                uri = self.address + uri[len(server) :]
            request.uri = without_times(uri)
            request.body = clean_body(request.body).replace(server or self.address, self.address).encode("utf-8") or None
            headers: Mapping[str, str] = request.headers
            request.headers = {name: text for name, text in headers.items() if name.lower() in _KEPT_REQUEST_HEADERS}
            return request

        return clean

    def _persister(self) -> Any:
        recorder = self

        class Persister:
            """Hands the cassette over instead of writing it where the test stands."""

            @staticmethod
            def load_cassette(cassette_path: str, serializer: Any) -> Any:
                del cassette_path, serializer
                from vcr.persisters.filesystem import CassetteNotFoundError

                raise CassetteNotFoundError

            @staticmethod
            def save_cassette(cassette_path: str, cassette_dict: Mapping[str, Any], serializer: Any) -> None:
                del cassette_path, serializer
                recorder.text = _write(cassette_dict["requests"], cassette_dict["responses"])

        return Persister


def _vcr(**given: Any) -> Any:
    import vcr

    made: Any = vcr.VCR
    return made(**given)


def _write(requests: Iterable[Any], responses: Iterable[Any]) -> str:
    """Return the cassette in vcrpy's first form, written the same by every version of vcrpy."""
    interactions = [
        {
            "request": {
                "method": str(request.method),
                "uri": str(request.uri),
                "body": (request.body or b"").decode("utf-8"),
                "headers": {name.title(): [str(text)] for name, text in sorted(dict(request.headers).items())},
            },
            "response": _answer(response),
        }
        for request, response in zip(requests, responses, strict=True)
    ]
    return yaml.safe_dump({"version": 1, "interactions": interactions}, sort_keys=True, allow_unicode=True, width=120)


def _answer(response: Any) -> dict[str, Any]:
    body = clean_body(response["body"]["string"])
    headers: dict[str, list[str]] = {
        name.title(): [without_times(text) for text in texts]
        for name, texts in sorted(dict(response["headers"]).items())
        if name.lower() in _KEPT_ANSWER_HEADERS
    }
    status = response["status"]
    return {
        "status": {"code": int(status["code"]), "message": str(status["message"])},
        "headers": {**headers, "Content-Length": [str(len(body.encode("utf-8")))]},
        "body": {"string": body},
    }


def secrets_in(text: str, known: Iterable[str] = ()) -> list[str]:
    """Return what in a cassette looks like a secret, and which known secrets are in it, plain or encoded."""
    found = [f"{what}: {match[0][:40]}" for what, pattern in _LOOKS_SECRET.items() for match in pattern.finditer(text)]
    for secret in known:
        forms = {secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("=")}
        found += [f"a known secret ({form[:4]}...)" for form in sorted(forms) if form in text]
    for interaction in yaml.safe_load(text)["interactions"]:
        for side in ("request", "response"):
            part = interaction[side]
            body = part["body"]["string"] if side == "response" else part["body"]
            named = dict(_names(body)) | {name: " ".join(texts) for name, texts in part["headers"].items()}
            if side == "request":
                named |= dict(parse_qsl(urlsplit(part["uri"]).query))
            found += [f"the value of {name}" for name, item in named.items() if name.lower() in _SECRET_NAMES and item != HIDDEN]
    return found


def _names(body: str) -> list[tuple[str, str]]:
    try:
        return _leaves(json.loads(body))
    except ValueError:
        return parse_qsl(body)


def _leaves(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [leaf for key, item in cast("dict[str, Any]", value).items() for leaf in _leaves(item, key)]
    if isinstance(value, list):
        return [leaf for item in cast("list[Any]", value) for leaf in _leaves(item, name)]
    return [(name, str(value))] if value not in (None, "") else []
