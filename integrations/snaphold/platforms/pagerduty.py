"""PagerDuty: REST API v2 for incidents and notes, Events API v2 for paging.

A page is an event with a key of ours, so that a repeat is the same page. Notes have no key: each of ours carries a mark
and is looked for before one is written, and again after an answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlsplit

from snaphold.config import Configuration, Integration
from snaphold.errors import InputError, NotAuthorisedError, ProviderError, UnknownOutcomeError
from snaphold.http import Answer, NoAnswerError
from snaphold.http_guard import CallBudget
from snaphold.http_policy import PAGERDUTY_EVENTS, PAGERDUTY_REST
from snaphold.http_session import Session, kept_text, read_answer
from snaphold.platforms.base import (
    Case,
    CaseStatus,
    Note,
    Page,
    PageOrder,
    PlatformDescription,
    PlatformVerb,
    Reachability,
)
from snaphold.platforms.credentials import credential, setting
from snaphold.platforms.marker import marker_of
from snaphold.platforms.pagerduty_answers import (
    ALREADY_ACKNOWLEDGED,
    ALREADY_RESOLVED,
    CHANGED_MEANWHILE,
    AbilityList,
    EventAnswer,
    IncidentAnswer,
    IncidentList,
    IncidentShape,
    NoteAnswer,
    NoteList,
    error_code,
    refusal,
)
from snaphold.platforms.unsupported import Refusing
from snaphold.providers.base import Capability, Support

PROVED_ON = "vendor specification enforced"
MEDIA_TYPE = "application/vnd.pagerduty+json;version=2, */*;q=0.1"
EVENTS_URL = "https://events.pagerduty.com"
LONGEST_EVENT = 512 * 1024
LONGEST_NOTE = 20_000
_OK, _CREATED, _ACCEPTED, _SERVER_ERROR = 200, 201, 202, 500
_FULL = Capability(support=Support.FULL)
_NO_CHANGES = Capability(support=Support.UNSUPPORTED, detail="PagerDuty keeps no changes that need an approval")
DESCRIPTION = PlatformDescription(
    platform="pagerduty",
    proved_on=PROVED_ON,
    capabilities={
        PlatformVerb.CHECK: Capability(
            support=Support.APPROXIMATE, detail="reads the account's abilities; the routing key of events cannot be tested unseen"
        ),
        PlatformVerb.READ_INCIDENT: _FULL,
        PlatformVerb.ADD_NOTE: Capability(
            support=Support.APPROXIMATE, detail="notes have no key: ours carry a mark and are looked for before and after writing"
        ),
        PlatformVerb.SET_STATUS: _FULL,
        PlatformVerb.PAGE: _FULL,
        PlatformVerb.READ_PAGE: Capability(
            support=Support.APPROXIMATE, detail="events are taken asynchronously: unknown until the incident is visible"
        ),
        PlatformVerb.ACKNOWLEDGE_PAGE: _FULL,
        PlatformVerb.END_PAGE: _FULL,
        PlatformVerb.OPEN_CHANGE: _NO_CHANGES,
        PlatformVerb.CLOSE_CHANGE: _NO_CHANGES,
        PlatformVerb.CHECK_STANDARD_CHANGE: _NO_CHANGES,
        PlatformVerb.READ_DEPENDENCIES: Capability(
            support=Support.UNSUPPORTED, detail="its service graph is of services, not of what is backed up"
        ),
    },
)
_WORDS = {CaseStatus.ACKNOWLEDGED: "acknowledged", CaseStatus.RESOLVED: "resolved"}


def connect(integration: Integration, configuration: Configuration, budget: CallBudget) -> PagerDuty:
    """Return the adapter of an integration. Raises InputError when a credential or setting is missing."""
    return PagerDuty(integration, configuration, budget)


class PagerDuty(Refusing):
    """One PagerDuty account. Credentials: `token` (REST), `routing_key` (events). Settings: `from`, `events_url`."""

    description = DESCRIPTION

    def __init__(self, integration: Integration, configuration: Configuration, budget: CallBudget) -> None:
        base = configuration.base
        token = credential(integration, "token", base)
        self._routing_key = credential(integration, "routing_key", base) if "routing_key" in integration.credentials else ""
        self._integration = integration
        ca_file = configuration.path(integration.ca_file) if integration.ca_file else None
        timeout = integration.timeout.total_seconds()
        headers = {"Accept": MEDIA_TYPE, "Content-Type": "application/json", "Authorization": f"Token token={token}"}
        self._rest = Session(integration.url, PAGERDUTY_REST, budget, headers=headers, ca_file=ca_file, timeout=timeout)
        self._events = Session(
            integration.settings.get("events_url", EVENTS_URL), PAGERDUTY_EVENTS, budget, ca_file=ca_file, timeout=timeout
        )

    def check(self) -> Reachability:
        """Return that the token is accepted, and what is not configured."""
        answer = self._rest.call("GET", "/abilities")
        if answer.status != _OK:
            raise refusal(answer, "reading the account's abilities")
        read_answer(answer, AbilityList, "the account's abilities")
        missing = [] if self._routing_key else ["no routing_key: nobody can be paged"]
        if "from" not in self._integration.settings:
            missing.append("no setting from: no note can be added and no status set")
        return Reachability(signed_in_as=f"token of {urlsplit(self._rest.url).hostname}", missing=tuple(missing))

    def read_incident(self, reference: str) -> Case:
        """Return an incident by its id. Raises InputError when there is none."""
        return _case(self._incident(reference))

    def add_note(self, reference: str, text: str, key: str) -> Note:
        """Add a note once: one that carries the mark of this key already is left as it is."""
        marker = marker_of(key)
        content = f"{text[:LONGEST_NOTE]}\n{marker}"
        found = self._find_note(reference, marker)
        if found is not None:
            return found
        path = f"/incidents/{_id(reference)}/notes"
        try:
            answer = self._rest.call("POST", path, document={"note": {"content": content}}, headers=self._from())
        except NoAnswerError as error:
            if not error.sent:
                raise
            return self._found_after(reference, marker, str(error.why))
        if answer.status in (_OK, _CREATED):
            return self._written(answer, reference, marker)
        if answer.status >= _SERVER_ERROR:
            found = self._find_note(reference, marker)
            if found is not None:
                return found
        raise refusal(answer, f"adding a note to incident {reference}")

    def set_status(self, reference: str, status: CaseStatus, note: str, key: str) -> Case:
        """Acknowledge or resolve an incident; the note, when there is one, is added first."""
        if status not in _WORDS:
            raise InputError(f"a PagerDuty incident cannot be made {status.value}", "it is acknowledged or resolved")
        before = self._incident(reference)
        if note:
            self.add_note(reference, note, key)
        if before.case_status in (status, CaseStatus.RESOLVED):
            return _case(before)
        change = {"incident": {"type": "incident_reference", "status": _WORDS[status]}}
        why = ""
        try:
            answer = self._rest.call("PUT", f"/incidents/{_id(reference)}", document=change, headers=self._from(), keyed=True)
        except NoAnswerError as error:
            if not error.sent:
                raise
            why = str(error.why)
        else:
            known = error_code(answer) in (ALREADY_RESOLVED, ALREADY_ACKNOWLEDGED, CHANGED_MEANWHILE)
            if answer.status != _OK and not known and answer.status < _SERVER_ERROR:
                raise refusal(answer, f"setting incident {reference} {status.value}")
            why = f"HTTP status {answer.status}"
        # The state itself is the proof, whatever was answered.
        after = self._incident(reference)
        if after.case_status in (status, CaseStatus.RESOLVED):
            return _case(after)
        raise UnknownOutcomeError(
            f"incident {reference} is not {status.value}", f"{why}; it is {after.status}", "look at it in PagerDuty"
        )

    def page(self, order: PageOrder) -> Page:
        """Trigger an event under the order's key. Raises UnknownOutcomeError when no answer came on any attempt."""
        payload = {
            "summary": order.summary,
            "source": order.source,
            "severity": "critical" if order.critical else "error",
            "component": "snaphold",
            "group": order.incident,
            "custom_details": dict(order.details),
        }
        self._send_event("trigger", order.key, payload)
        return Page(key=order.key, status=CaseStatus.OPEN)

    def acknowledge_page(self, key: str) -> Page:
        """Acknowledge whatever was triggered under the key."""
        self._send_event("acknowledge", key)
        return Page(key=key, status=CaseStatus.ACKNOWLEDGED)

    def end_page(self, key: str) -> Page:
        """Resolve whatever was triggered under the key."""
        self._send_event("resolve", key)
        return Page(key=key, status=CaseStatus.RESOLVED)

    def read_page(self, key: str) -> Page:
        """Return the newest incident of the key, and who answered it."""
        query = {"incident_key": key, "date_range": "all", "sort_by": "created_at:desc", "limit": 25}
        answer = self._rest.call("GET", "/incidents", query=query)
        if answer.status != _OK:
            raise refusal(answer, "reading incidents")
        listed = read_answer(answer, IncidentList, "the incidents of a page").incidents
        # An incident that grew from alerts shows no key of its own; one that shows another key is not ours.
        ours = [item for item in listed if item.incident_key in (key, None, "")]
        if not ours:
            return Page(key=key, status=CaseStatus.UNKNOWN)
        newest = ours[0]
        who, at = _answered(newest)
        return Page(key=key, status=newest.case_status, reference=newest.id, answered_by=who, answered_at=at)

    def _incident(self, reference: str) -> IncidentShape:
        answer = self._rest.call("GET", f"/incidents/{_id(reference)}")
        if answer.status != _OK:
            raise refusal(answer, f"incident {reference}")
        return read_answer(answer, IncidentAnswer, f"incident {reference}").incident

    def _find_note(self, reference: str, marker: str) -> Note | None:
        answer = self._rest.call("GET", f"/incidents/{_id(reference)}/notes")
        if answer.status != _OK:
            raise refusal(answer, f"incident {reference}")
        listed = read_answer(answer, NoteList, f"the notes of incident {reference}").notes
        return next((Note(reference=note.id, found=True) for note in listed if marker in note.content), None)

    def _written(self, answer: Answer, reference: str, marker: str) -> Note:
        """Return the note that was written; an answer that is not understood is settled by looking."""
        try:
            note = read_answer(answer, NoteAnswer, "a new note").note
        except UnknownOutcomeError as error:
            return self._found_after(reference, marker, str(error.why))
        if marker not in note.content:
            return self._found_after(reference, marker, "the answer shows another note")
        return Note(reference=note.id, found=False)

    def _found_after(self, reference: str, marker: str, why: str) -> Note:
        try:
            found = self._find_note(reference, marker)
        except (ProviderError, NotAuthorisedError, InputError) as error:
            why, found = f"{why}; it cannot be looked up: {error.what}", None
        if found is None:
            raise UnknownOutcomeError(
                f"it is not known whether a note was added to incident {reference}", why, "look at it; repeat under the same key"
            )
        return found.model_copy(update={"found": False})

    def _send_event(self, action: str, key: str, payload: Mapping[str, object] | None = None) -> None:
        if not self._routing_key:
            raise InputError(
                f"{self._integration.name} has no routing_key", "events need one", "add it under credentials in snaphold.yaml"
            )
        event: dict[str, object] = {"routing_key": self._routing_key, "event_action": action, "dedup_key": key}
        if payload is not None:
            event["payload"] = payload
        try:
            answer = self._events.call("POST", "/v2/enqueue", document=event, keyed=True)
        except NoAnswerError as error:
            if not error.sent:
                raise
            raise _event_unknown(action, str(error.why)) from error
        if answer.status >= _SERVER_ERROR:
            raise _event_unknown(action, f"HTTP status {answer.status}")
        if answer.status != _ACCEPTED:
            if 200 <= answer.status < 300:  # noqa: PLR2004  a success that is not the documented one proves nothing
                raise _event_unknown(action, f"HTTP status {answer.status}: {kept_text(answer)}")
            raise refusal(answer, f"the event {action}")
        taken = read_answer(answer, EventAnswer, f"the event {action}")
        if taken.status != "success" or taken.dedup_key not in ("", key):
            raise _event_unknown(action, f"status {taken.status!r}, message {taken.message[:200]!r}")

    def _from(self) -> dict[str, str]:
        return {"From": setting(self._integration, "from")}


def _event_unknown(action: str, why: str) -> UnknownOutcomeError:
    return UnknownOutcomeError(
        f"it is not known whether PagerDuty took the event {action}", why, "call by telephone; repeat under the same key"
    )


def _id(reference: str) -> str:
    if not reference or not reference.isascii() or not reference.isalnum():
        raise InputError(f"{reference!r} is not the id of a PagerDuty incident", "ids hold letters and digits, e.g. PT4KHLK")
    return quote(reference)


def _case(incident: IncidentShape) -> Case:
    return Case(
        reference=incident.id,
        number=str(incident.incident_number),
        title=incident.title,
        status=incident.case_status,
        vendor_status=incident.status,
        urgency=incident.urgency,
        address=incident.html_url or "",
    )


def _answered(incident: IncidentShape) -> tuple[str, datetime | None]:
    """Return who answered first and when; who resolved it when nobody had acknowledged it."""
    for first in incident.acknowledgements:
        return first.acknowledger.summary or first.acknowledger.id, first.at
    last = incident.last_status_change_by
    if incident.case_status is CaseStatus.RESOLVED and last is not None:
        return last.summary or last.id, incident.last_status_change_at
    return "", None
