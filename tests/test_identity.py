from __future__ import annotations

import os
import pwd
from typing import Any

import pytest

from snaphold import identity
from snaphold.config import Configuration
from snaphold.errors import NotAuthorisedError
from snaphold.identity import current_login, resolve_actor
from support.incident_context import make_configuration


@pytest.fixture(autouse=True)
def _login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "current_login", lambda: "console")


def configured(*logins: tuple[str, ...]) -> Configuration:
    people: list[dict[str, Any]] = [
        {"id": name, "name": name.title(), "title": "Analyst", "logins": list(own)}
        for name, own in zip(("ana", "ben"), logins, strict=False)
    ]
    roles = [{"name": "analyst", "members": ["ana"]}, {"name": "custodian", "members": ["ana", "ben"]}]
    return make_configuration(people=people, roles=roles)


def test_the_person_behind_the_login_acts_with_the_roles_of_the_configuration() -> None:
    actor = resolve_actor(configured(("console",), ("other",)))
    assert (actor.id, actor.name, actor.login, actor.title) == ("ana", "Ana", "console", "Analyst")
    assert actor.roles == ("analyst", "custodian")


def test_a_login_of_nobody_may_do_nothing() -> None:
    with pytest.raises(NotAuthorisedError, match="belongs to nobody") as caught:
        resolve_actor(configured(("other",), ("another",)))
    assert caught.value.exit_code == 4


def test_one_of_several_people_must_be_chosen() -> None:
    shared = configured(("console",), ("console", "ben"))
    with pytest.raises(NotAuthorisedError, match="several people: ana, ben"):
        resolve_actor(shared)
    assert resolve_actor(shared, "ben").id == "ben"


@pytest.mark.parametrize("chosen", ["ben", "nobody"])
def test_nobody_can_act_as_a_person_whose_entry_lacks_the_login(chosen: str) -> None:
    with pytest.raises(NotAuthorisedError, match="cannot act as"):
        resolve_actor(configured(("console",), ("ben",)), chosen)


def test_the_environment_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert current_login() == pwd.getpwuid(os.getuid()).pw_name


def test_an_account_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert current_login() == "uid-4000000000"
