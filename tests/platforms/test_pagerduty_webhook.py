"""Deliveries of PagerDuty: genuine or not, understood or not, of now or replayed."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.errors import InputError, NotAuthorisedError
from snaphold.platforms.pagerduty_webhook import check_fresh, read_webhook, verify_webhook

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
BODY = json.dumps(
    {
        "event": {
            "id": "01CEV", "event_type": "incident.acknowledged", "resource_type": "incident",
            "occurred_at": "2026-11-22T17:59:00.000Z",
            "data": {"id": "P000001", "type": "incident", "status": "acknowledged", "incident_key": "INC-1/backup-team"},
        }
    }
).encode()  # fmt: skip


def sign(body: bytes, secret: str) -> str:
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_a_genuine_delivery_is_accepted_also_while_a_secret_is_replaced() -> None:
    verify_webhook(BODY, sign(BODY, "new"), ["new"])
    verify_webhook(BODY, f"{sign(BODY, 'old')},{sign(BODY, 'new')}", ["new"])
    verify_webhook(BODY, sign(BODY, "old"), ["new", "old"])


@pytest.mark.parametrize("header", ["", "v1=", "v2=" + "0" * 64, "v1=" + "0" * 64, sign(BODY, "other"), sign(BODY, "")])
def test_anything_else_is_refused(header: str) -> None:
    with pytest.raises(NotAuthorisedError, match="not from PagerDuty"):
        verify_webhook(BODY, header, ["secret", ""])


def test_without_a_secret_nothing_is_genuine() -> None:
    with pytest.raises(NotAuthorisedError):
        verify_webhook(BODY, sign(BODY, ""), [])


@given(position=st.integers(min_value=0, max_value=len(BODY) - 1), change=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_found(position: int, change: int) -> None:
    changed = bytearray(BODY)
    changed[position] ^= change
    with pytest.raises(NotAuthorisedError):
        verify_webhook(bytes(changed), sign(BODY, "secret"), ["secret"])


def test_the_event_is_read() -> None:
    event = read_webhook(BODY)
    assert (event.id, event.event_type, event.data.incident_key) == ("01CEV", "incident.acknowledged", "INC-1/backup-team")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"event": {"id": "", "event_type": "x", "occurred_at": "2026-11-22"}}'])
def test_an_event_of_another_shape_is_named(body: bytes) -> None:
    with pytest.raises(InputError, match="not understood"):
        read_webhook(body)


def test_a_replayed_event_and_one_of_the_future_are_refused() -> None:
    event = read_webhook(BODY)
    check_fresh(event, NOW)
    check_fresh(event, NOW + timedelta(hours=48))
    for moment in (NOW + timedelta(hours=50), NOW - timedelta(minutes=10)):
        with pytest.raises(NotAuthorisedError, match="not of now"):
            check_fresh(event, moment)
