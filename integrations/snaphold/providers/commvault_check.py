"""The read-only test of a connection to Commvault: who we are, and what we may not see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pydantic import BaseModel, Field

from snaphold.errors import NotAuthorisedError
from snaphold.platforms.base import Reachability
from snaphold.providers.commvault_answers import ClientList, PlanList, StoragePools
from snaphold.providers.commvault_jobs import jobs_of_clients
from snaphold.providers.commvault_session import CommvaultSession

_LATELY = timedelta(hours=1)


class _User(BaseModel):
    name: str = Field(alias="userName")


class _Self(BaseModel):
    user: _User


def look_at_rights(session: CommvaultSession) -> Reachability:
    """Return as whom we are signed in, and a sentence for each thing that we may not see. Changes nothing."""
    name = session.ask("/WhoAmI", {}, _Self, "asking who we are").user.name
    questions: dict[str, Callable[[], bool]] = {
        "clients": lambda: bool(session.get("/Client", ClientList, "reading the clients").rows),
        "jobs": lambda: _may_list_jobs(session),
        "disk storage pools": lambda: bool(session.get("/V4/Storage/Disk", StoragePools, "reading the storage pools").pools),
        "plans": lambda: bool(session.get("/V4/Plan/Summary", PlanList, "reading the plans").plans),
    }
    return Reachability(
        signed_in_as=name, missing=tuple(f"may not see any {what}" for what, ask in questions.items() if not _answers(ask))
    )


def _may_list_jobs(session: CommvaultSession) -> bool:
    """Return True when the list can be asked for; an empty one says nothing, there may be no job."""
    next(jobs_of_clients(session, [], _LATELY), None)
    return True


def _answers(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except NotAuthorisedError:
        return False
