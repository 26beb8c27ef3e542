"""Tells the case of an incident that an approval waits, with the link to its page: once when it is asked, once when it is
put to somebody else.

The notes go through the same register and the same limit as all notes in a case, and carry our mark, so that their echo
starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from snaphold.case_notes import write_note
from snaphold.clock import format_time
from snaphold.domain.authority import Approval, ApprovalState
from snaphold.domain.incident import IncidentRecord
from snaphold.domain.retention import CaseRecord
from snaphold.platforms.base import PlatformVerb
from snaphold.platforms.registry import describe_platforms
from snaphold.providers.base import Support
from snaphold.runtime import Runtime
from snaphold.service.principals import actor_of_person

NEWEST = 200
"""So many of the newest requests are looked at; older ones that still wait were announced long ago."""
PAGE = "/ui/approvals/"


@dataclass(frozen=True)
class Announcement:
    """A note that is to be written: about which request, at which stage, in which system."""

    approval: Approval
    integration: str

    @property
    def milestone(self) -> str:
        """What the note is about: the same request is announced once, and once more after it was escalated."""
        return f"approval-{self.approval.id}" + ("-escalated" if self.approval.escalated_to else "")

    @property
    def id(self) -> str:
        """What tells it from all others."""
        return f"{self.milestone} in {self.integration}"


def due_announcements(runtime: Runtime, done: set[str]) -> Iterator[Announcement]:
    """Yield what is to be announced and not among `done`; nothing when the service's address is not configured."""
    if not runtime.configuration.service.address or not _able(runtime):
        return
    newest, _ = runtime.ledger.latest(Approval, NEWEST)
    now = runtime.clock.now()
    for approval in reversed(newest):
        if approval.state is not ApprovalState.WAITING or now >= approval.expires_at:
            continue
        for name in _integrations(runtime, approval.incident):
            found = Announcement(approval, name)
            if found.id not in done:
                yield found


def announce(announcement: Announcement, runtime: Runtime, login: str) -> bool:
    """Write the note; return whether it stands in the case now. False: the case has had enough notes for the moment.

    Raises what the platform raises, and NotAuthorisedError when who asked is no longer in the configuration.
    """
    approval = announcement.approval
    known = runtime.ledger.record(IncidentRecord, approval.incident)
    if known is None:
        return True  # nobody told of the incident, so there is no case to write into
    actor = actor_of_person(runtime.configuration, approval.requested_by, login)
    key = f"{approval.incident}/announce/{approval.id}/1"
    context = Runtime(runtime.configuration, runtime.ledger, runtime.clock, actor).context(
        known.declared, justification=f"{approval.id} waits", run=approval.run, key=key
    )
    link = runtime.configuration.service.link(f"{PAGE}{approval.id}")
    written = write_note(announcement.milestone, note_text(approval, link), "", announcement.integration, context)
    return not written.waiting


def note_text(approval: Approval, link: str) -> str:
    """Return the note about a request that waits."""
    asked_of = approval.escalated_to or approval.asked_of
    begin = "Nobody answered in time; put to" if approval.escalated_to else "Approval needed from"
    lines = [
        f"{begin} {asked_of}: {approval.ask}",
        f"{approval.needed} must approve until {format_time(approval.expires_at)}; asked by {approval.requested_by}.",
        f"Answer here: {link}",
    ]
    return "\n".join(lines)


def _able(runtime: Runtime) -> list[str]:
    kinds = {one.platform for one in describe_platforms() if _can_note(one.capabilities[PlatformVerb.ADD_NOTE].support)}
    return [item.name for item in runtime.configuration.integrations if item.kind in kinds]


def _can_note(support: Support) -> bool:
    return support is not Support.UNSUPPORTED


def _integrations(runtime: Runtime, incident: str) -> list[str]:
    """Return where the incident's case is; every system that takes notes as long as no case is followed."""
    case = runtime.ledger.record(CaseRecord, incident)
    able = _able(runtime)
    return [case.integration] if case is not None and case.integration in able else able
