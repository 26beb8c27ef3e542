"""In whose name the service acts when nobody holds a token: the person of a webhook, or who asked for something that goes on."""

from __future__ import annotations

from datetime import datetime

from snaphold.config import Configuration
from snaphold.domain.people import Actor
from snaphold.errors import NotAuthorisedError
from snaphold.identity import actor_of
from snaphold.ledger.ledger import Ledger
from snaphold.service.tokens import actor_of_token

WEBHOOK = "webhook:"


def actor_of_person(configuration: Configuration, person: str, login: str) -> Actor:
    """Return a person as an actor for whom grants do not count. Raises NotAuthorisedError when there is none of that id."""
    found = next((one for one in configuration.people if one.id == person), None)
    if found is None:
        raise NotAuthorisedError(f"{person} is no longer in the configuration", None, "have another person do it")
    return actor_of(configuration, found, login).model_copy(update={"uses_grants": False})


def actor_of_webhook(configuration: Configuration, name: str) -> Actor:
    """Return in whose name a webhook acts. Raises NotAuthorisedError when there is no such webhook."""
    found = next((hook for hook in configuration.webhooks if hook.name == name), None)
    if found is None:
        raise NotAuthorisedError(f"the webhook {name!r} is no longer in the configuration", None, "add it again")
    return actor_of_person(configuration, found.person, f"webhook {name}")


def actor_of_principal(configuration: Configuration, ledger: Ledger, principal: str, now: datetime) -> Actor:
    """Return who acts: the person of the token of that id, or of the webhook after `webhook:`. Raises NotAuthorisedError."""
    if principal.startswith(WEBHOOK):
        return actor_of_webhook(configuration, principal.removeprefix(WEBHOOK))
    return actor_of_token(configuration, ledger, principal, now)
