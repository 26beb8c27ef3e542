"""Credentials of integrations: a secret is hidden from then on, a user's name is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold import secrets
from snaphold.config import Integration
from snaphold.errors import InputError
from snaphold.platforms.credentials import credential
from snaphold.secrets import HIDDEN, redact

INTEGRATION = Integration.model_validate(
    {
        "name": "vbr",
        "kind": "veeam",
        "url": "https://vbr01.example.org",
        "credentials": {"username": "env:RIG_NAME", "password": "env:RIG_WORD"},
    }
)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set[str]())
    monkeypatch.setenv("RIG_NAME", "orders-db")
    monkeypatch.setenv("RIG_WORD", "open-sesame")


def test_a_user_who_is_called_like_an_asset_hides_nothing_in_the_registers() -> None:
    assert credential(INTEGRATION, "username", Path()) == "orders-db"
    assert redact("custodian@orders-db sealed RP-orders-db-1a2b3c4d") == "custodian@orders-db sealed RP-orders-db-1a2b3c4d"


def test_a_password_is_hidden_from_then_on() -> None:
    assert credential(INTEGRATION, "password", Path()) == "open-sesame"
    assert redact("it is open-sesame") == f"it is {HIDDEN}"


def test_a_credential_that_is_not_configured_is_named_beside_those_that_are() -> None:
    with pytest.raises(InputError, match="no credential 'token'") as caught:
        credential(INTEGRATION, "token", Path())
    assert caught.value.why == "given: password, username"
