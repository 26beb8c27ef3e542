"""AWS's client without its pauses between repeats."""

from __future__ import annotations

from typing import Any

import pytest

from support.quick_retries import no_pauses


def no_aws_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the repeats of AWS's client, and ours, come at once; every breaker and budget is fresh."""
    from botocore.retries import standard

    def at_once(_self: Any, _context: Any) -> float:
        return 0.0

    no_pauses(monkeypatch)
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", at_once)
