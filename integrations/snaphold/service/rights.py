"""Rights that are no actions: a role `may` have them as it may actions. Every refusal stands in the audit trail."""

from __future__ import annotations

from snaphold.authority import covers
from snaphold.ledger.entry import Event, NewEntry
from snaphold.service.callers import Caller
from snaphold.service.problems import RecordedRefusalError

CANCEL, RESUME = "run.cancel", "run.resume"
"""What a role must `may` for runs of other people. Nobody needs it for their own."""
DOWNLOAD = "evidence.download"


def has_right(caller: Caller, right: str) -> bool:
    """Return whether a role of the caller's token may do this."""
    roles = (role for role in caller.runtime.configuration.roles if role.name in caller.actor.roles)
    return any(covers(role.may, right) for role in roles)


def require_right(caller: Caller, right: str, subject: str, incident: str, run: str = "") -> None:
    """Return when a role of the caller's token has a right. Raises NotAuthorisedError, which is recorded."""
    if has_right(caller, right):
        return
    actor = caller.actor
    why = f"no role of this token may {right}"
    entry = NewEntry(
        event=Event.REFUSED, actor=actor.id, login=actor.login, incident=incident, run=run, action=right,
        detail={"subject": subject, "why": why},
    )  # fmt: skip
    caller.runtime.ledger.append(entry)
    raise RecordedRefusalError(
        f"{actor.id} may not do this with {subject}",
        why,
        f"add {right} to `may` of a role in snaphold.yaml, or use another token",
    )
