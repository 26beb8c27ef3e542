"""Checks what a simulator recorded against a vendor's published OpenAPI document, with an independent validator."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, cast

from snaphold.simulators.server import Exchange
from support.needs import need_shared

HOST = "https://vendor.example.org"
UNDOCUMENTED = frozenset({"forbidden", "garbage", "other_shape", "error", "error_after", "unavailable", "redirect", "truncated"})
"""Faults whose answers no document describes; their requests are checked all the same."""


@cache
def load_api(relative: str, base: str = "") -> Any:
    """Return an openapi-core document from the shared folder, served below `base`."""
    import openapi_core

    document = json.loads(need_shared(f"specs/{relative}").read_text(encoding="utf-8"))
    document["servers"] = [{"url": HOST + base}]
    grant = document["components"]["schemas"].get("ELoginGrantType")
    if grant:  # Veeam: the enum says Password, the prose and every client say password
        grant["enum"] = sorted({*grant["enum"], *(value.lower() for value in grant["enum"])})
    _drop_read_only(document)
    return openapi_core.OpenAPI.from_dict(document)


def _drop_read_only(node: Any) -> None:
    """A reference's id and type are declared read-only, yet requests must send them."""
    if isinstance(node, dict):
        if node.get("readOnly") is True:
            del node["readOnly"]
        node = list(cast("dict[str, Any]", node).values())
    if isinstance(node, list):
        for item in cast("list[Any]", node):
            _drop_read_only(item)


def check_exchange(exchange: Exchange, api: Any, *, also_answer: bool = True) -> None:
    """Raise when a call, or the answer to it, is not as the document says."""
    from openapi_core.datatypes import RequestParameters
    from werkzeug.datastructures import Headers, ImmutableMultiDict

    call, reply = exchange.call, exchange.reply

    class Request:
        host_url, path, method = HOST, call.path, call.method.lower()
        body = call.body or None
        content_type = call.headers.get("content-type", "")
        parameters = RequestParameters(
            query=ImmutableMultiDict([(name, value) for name, values in call.query.items() for value in values]),
            header=Headers(list(call.headers.items())),
        )

    api.validate_request(Request())
    if reply is None or not also_answer:
        return

    class Response:
        data = reply.content()
        status_code = reply.status
        content_type = "application/json"
        headers = Headers(list(reply.headers.items()))

    api.validate_response(Request(), Response())


def check_exchanges(exchanges: Iterable[Exchange], api: Any) -> int:
    """Check all; return how many there were."""
    count = 0
    for exchange in exchanges:
        check_exchange(exchange, api, also_answer=exchange.fault not in UNDOCUMENTED)
        count += 1
    return count
