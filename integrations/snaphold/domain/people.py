"""People, their roles, and the actor on whose behalf an action runs."""

from __future__ import annotations

from pydantic import Field

from snaphold.domain.value import Identifier, Value


class Person(Value):
    """Somebody who may act. `logins` are the operating-system accounts that are this person on this machine."""

    id: Identifier = Field(description="The person's id.", examples=["ana"])
    name: str = Field(min_length=1, description="Full name, for custody records.", examples=["Ana Ruiz"])
    title: str = Field(default="", description="Job title.", examples=["SOC analyst"])
    organisation: str = Field(default="", description="Employer.", examples=["Example Ltd"])
    contact: str = Field(default="", description="Telephone or mail.", examples=["ana@example.org"])
    logins: tuple[str, ...] = Field(default=(), description="Operating-system accounts of this person.", examples=[["ana"]])


class Role(Value):
    """What a group of people may do. `may` holds action names or patterns such as `backup.*`."""

    name: Identifier = Field(description="The role's name.", examples=["soc-analyst"])
    members: tuple[Identifier, ...] = Field(default=(), description="Ids of people.", examples=[["ana"]])
    may: tuple[str, ...] = Field(default=(), description="Actions or patterns.", examples=[["triage.*", "backup.*"]])


class Actor(Value):
    """Who acts: a person of the configuration and the roles held, plus the account that was really logged in."""

    id: Identifier
    name: str
    roles: tuple[Identifier, ...]
    login: str = ""
    title: str = ""
    organisation: str = ""
    contact: str = ""
    uses_grants: bool = Field(default=True, description="False: grants of this person do not count, only the roles.")
