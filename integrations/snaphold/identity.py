"""Who is acting: the person behind the operating-system account, and the roles that the configuration gives."""

from __future__ import annotations

import os
import pwd

from snaphold.config import Configuration
from snaphold.domain.people import Actor, Person
from snaphold.errors import NotAuthorisedError


def current_login() -> str:
    """Return the account that really runs this process; environment variables are not believed."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def resolve_actor(configuration: Configuration, chosen: str | None = None) -> Actor:
    """Return the acting person.

    `chosen` picks one when several people list this login (a shared console, a demonstration); it can never name a
    person whose entry does not list the login. Raises NotAuthorisedError when nobody, or more than one, fits.
    """
    login = current_login()
    mine = [person for person in configuration.people if login in person.logins]
    if chosen is not None:
        mine = [person for person in mine if person.id == chosen]
        if not mine:
            raise NotAuthorisedError(
                f"you cannot act as {chosen!r}",
                f"no person of that id lists the login {login!r}",
                "add the login to the person under people in snaphold.yaml",
            )
    if not mine:
        raise NotAuthorisedError(
            f"the login {login!r} belongs to nobody in the configuration",
            "every action is recorded against a person",
            "add the login to a person under people in snaphold.yaml",
        )
    if len(mine) > 1:
        names = ", ".join(person.id for person in mine)
        raise NotAuthorisedError(f"the login {login!r} belongs to several people: {names}", do="choose one with --as")
    return actor_of(configuration, mine[0], login)


def actor_of(configuration: Configuration, person: Person, login: str) -> Actor:
    """Return a person as an actor with the roles of the configuration."""
    return Actor(
        id=person.id,
        name=person.name,
        roles=tuple(role.name for role in configuration.roles if person.id in role.members),
        login=login,
        title=person.title,
        organisation=person.organisation,
        contact=person.contact,
    )
