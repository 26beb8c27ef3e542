"""AWS's client without its pauses between repeats, and with a limit that only the call meets that is to meet it."""

from __future__ import annotations

from typing import Any

import pytest

from support.fault_proxy import FaultProxy
from support.quick_retries import no_pauses
from support.waiting import PATIENCE_SECONDS


def no_aws_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the repeats of AWS's client, and ours, come at once; every breaker and budget is fresh."""
    from botocore.retries import standard

    def at_once(_self: Any, _context: Any) -> float:
        return 0.0

    no_pauses(monkeypatch)
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", at_once)


def limit_from_when_held(monkeypatch: pytest.MonkeyPatch, proxy: FaultProxy) -> None:
    """Count the limit of the call that meets a fault from when the proxy holds its answer; every other has ample time.

    Counted from the start, it would also end a call that a busy machine has not yet carried out.
    """
    from urllib3 import Timeout
    from urllib3.connectionpool import HTTPConnectionPool

    ask: Any = HTTPConnectionPool._make_request

    def limited(pool: Any, connection: Any, method: str, url: str, **given: Any) -> Any:
        body = given.get("body") or b""
        if not proxy.faults or proxy.only not in (body.encode() if isinstance(body, str) else body):
            return ask(pool, connection, method, url, **{**given, "timeout": Timeout(PATIENCE_SECONDS)})
        receive = connection.getresponse

        def receive_when_held() -> Any:
            assert proxy.holding.wait(PATIENCE_SECONDS)
            return receive()

        connection.getresponse = receive_when_held
        return ask(pool, connection, method, url, **given)

    monkeypatch.setattr(HTTPConnectionPool, "_make_request", limited)
