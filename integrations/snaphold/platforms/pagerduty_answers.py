"""PagerDuty's answers in typed shapes, and its refusals as errors that say what to do."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from snaphold.errors import InputError, NotAuthorisedError, ProviderError, SnapholdError
from snaphold.http import Answer
from snaphold.http_policy import PAGERDUTY_REST, asked_wait
from snaphold.http_session import kept_text
from snaphold.platforms.base import CaseStatus

ALREADY_RESOLVED, ALREADY_ACKNOWLEDGED, CHANGED_MEANWHILE = 1001, 1002, 1005
_STATUSES = {
    "triggered": CaseStatus.OPEN,
    "acknowledged": CaseStatus.ACKNOWLEDGED,
    "resolved": CaseStatus.RESOLVED,
}


class _Shape(BaseModel):
    """The part of an answer that we read; the vendor may add to it."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Reference(_Shape):
    """A thing that another one names."""

    id: str = ""
    summary: str | None = None


class Acknowledgement(_Shape):
    """Who took an incident."""

    at: AwareDatetime | None = None
    acknowledger: Reference = Reference()


class IncidentShape(_Shape):
    """An incident."""

    id: str = Field(min_length=1)
    incident_number: int = 0
    title: str = ""
    status: str
    incident_key: str | None = None
    urgency: str = ""
    html_url: str | None = None
    acknowledgements: list[Acknowledgement] = []
    last_status_change_by: Reference | None = None
    last_status_change_at: AwareDatetime | None = None

    @property
    def case_status(self) -> CaseStatus:
        """The status in the port's words; a word that is new to us is unknown."""
        return _STATUSES.get(self.status.lower(), CaseStatus.UNKNOWN)


class IncidentAnswer(_Shape):
    """One incident."""

    incident: IncidentShape


class IncidentList(_Shape):
    """A page of incidents."""

    incidents: list[IncidentShape]
    more: bool = False


class NoteShape(_Shape):
    """A note."""

    id: str = ""
    content: str


class NoteAnswer(_Shape):
    """One note."""

    note: NoteShape


class NoteList(_Shape):
    """All notes of an incident."""

    notes: list[NoteShape]


class AbilityList(_Shape):
    """What the account may use."""

    abilities: list[str]


class EventAnswer(_Shape):
    """What the Events API says to an event that it took."""

    status: str
    message: str = ""
    dedup_key: str = ""


class _Error(_Shape):
    code: int = 0
    message: str = ""
    errors: list[Any] = []


class _ErrorAnswer(_Shape):
    error: _Error


def error_code(answer: Answer) -> int:
    """Return PagerDuty's own number of an error, 0 when the answer has none."""
    try:
        return _ErrorAnswer.model_validate_json(answer.body).error.code
    except ValidationError:
        return 0


def refusal(answer: Answer, what: str) -> SnapholdError:
    """Return the error for an answer that is no success; nothing happened, or only reading failed."""
    why = f"HTTP status {answer.status}: {_told(answer)}"
    if answer.status == 401:  # noqa: PLR2004  the number is its own best name
        return NotAuthorisedError(f"PagerDuty does not accept the sign-in ({what})", why, "renew the token of the integration")
    if answer.status == 402:  # noqa: PLR2004
        return ProviderError(f"the PagerDuty account lacks what {what} needs", why, "ask the account's owner for the ability")
    if answer.status == 403:  # noqa: PLR2004
        return NotAuthorisedError(f"PagerDuty does not allow {what}", why, "give the token's user the right")
    if answer.status == 404:  # noqa: PLR2004
        return InputError(f"PagerDuty knows nothing of {what}", why, "check the id; it may also be hidden from this token")
    if answer.status == 429:  # noqa: PLR2004
        wait = asked_wait(answer.headers, PAGERDUTY_REST.resets)
        when = f"in {wait:.0f} s" if wait is not None else "later"
        return ProviderError(f"PagerDuty takes no more calls now ({what})", why, f"try again {when}", retryable=True)
    return ProviderError(f"PagerDuty refuses {what}", why, "look at status.pagerduty.com", retryable=answer.status >= 500)  # noqa: PLR2004


def _told(answer: Answer) -> str:
    try:
        error = _ErrorAnswer.model_validate_json(answer.body).error
    except ValidationError:
        return kept_text(answer)[:200]
    return "; ".join([f"{error.message} ({error.code})", *(str(item) for item in error.errors)])[:500]
