"""ServiceNow: incidents with work notes, emergency and standard changes, dependencies from the CMDB.

Work notes have no key and append at each call: ours carry a mark, and are looked for in the journal before one is
written and again after an answer was lost. Changes carry a correlation id.
"""

from __future__ import annotations

from collections.abc import Sequence

from snaphold.config import Configuration, Integration
from snaphold.errors import InputError, SnapholdError, UnknownOutcomeError
from snaphold.http import Answer, NoAnswerError
from snaphold.http_guard import CallBudget
from snaphold.platforms import servicenow_changes, servicenow_cmdb
from snaphold.platforms.base import (
    Case,
    CaseStatus,
    Change,
    ChangeOrder,
    Dependencies,
    Note,
    PlatformDescription,
    PlatformVerb,
    Reachability,
    StandardChange,
)
from snaphold.platforms.credentials import setting
from snaphold.platforms.marker import marker_of
from snaphold.platforms.servicenow_rows import NUMBER, SYS_ID, Row, cell, refusal
from snaphold.platforms.servicenow_session import ServiceNowSession
from snaphold.platforms.unsupported import Refusing
from snaphold.providers.base import Capability, Support

PROVED_ON = "vendor documentation"
LONGEST_NOTE = 20_000
_OK, _SERVER_ERROR = 200, 500
_FULL = Capability(support=Support.FULL)
_NO_PAGES = Capability(support=Support.UNSUPPORTED, detail="ServiceNow itself calls nobody; use a paging platform")
DESCRIPTION = PlatformDescription(
    platform="servicenow",
    proved_on=PROVED_ON,
    capabilities={
        PlatformVerb.CHECK: _FULL,
        PlatformVerb.READ_INCIDENT: _FULL,
        PlatformVerb.ADD_NOTE: Capability(
            support=Support.APPROXIMATE,
            detail="work notes have no key: ours carry a mark and are looked for in sys_journal_field before and after writing",
        ),
        PlatformVerb.SET_STATUS: Capability(
            support=Support.APPROXIMATE, detail="states are as shipped unless the settings say otherwise"
        ),
        PlatformVerb.PAGE: _NO_PAGES,
        PlatformVerb.READ_PAGE: _NO_PAGES,
        PlatformVerb.ACKNOWLEDGE_PAGE: _NO_PAGES,
        PlatformVerb.END_PAGE: _NO_PAGES,
        PlatformVerb.OPEN_CHANGE: _FULL,
        PlatformVerb.CLOSE_CHANGE: Capability(
            support=Support.APPROXIMATE, detail="goes along the states that the change allows; never approves"
        ),
        PlatformVerb.CHECK_STANDARD_CHANGE: Capability(
            support=Support.APPROXIMATE, detail="reads whether the template is active, not who may use it"
        ),
        PlatformVerb.READ_DEPENDENCIES: _FULL,
    },
)
_TABLE = "/api/now/table/incident"
_FIELDS = ("number", "short_description", "state", "urgency", "correlation_id")
_STATUSES = {
    "1": CaseStatus.OPEN,
    "2": CaseStatus.ACKNOWLEDGED,
    "3": CaseStatus.ACKNOWLEDGED,
    "6": CaseStatus.RESOLVED,
    "7": CaseStatus.RESOLVED,
    "8": CaseStatus.RESOLVED,
}


def connect(integration: Integration, configuration: Configuration, budget: CallBudget) -> ServiceNow:
    """Return the adapter of an integration. Raises InputError when a credential is missing."""
    return ServiceNow(integration, ServiceNowSession(integration, configuration, budget, shared=True))


class ServiceNow(Refusing):
    """One ServiceNow instance. Credentials: `username`, `password`, and for OAuth `client_id`, `client_secret`."""

    description = DESCRIPTION

    def __init__(self, integration: Integration, session: ServiceNowSession) -> None:
        self._integration = integration
        self._session = session

    def check(self) -> Reachability:
        """Return as whom it signs in, and which tables that user may not read."""
        missing: list[str] = []
        for table, why in (("incident", "incidents"), ("sys_journal_field", "notes"), ("change_request", "changes"),
                           ("cmdb_ci", "dependencies")):  # fmt: skip
            answer = self._session.call("GET", f"/api/now/table/{table}", query={"sysparm_limit": 1, "sysparm_fields": "sys_id"})
            if answer.status in (403, 404):
                missing.append(f"the table {table} may not be read: {why} cannot be used")
            elif answer.status != _OK:
                raise refusal(answer, f"reading the table {table}")
        return Reachability(signed_in_as=self._session.user, missing=tuple(missing))

    def read_incident(self, reference: str) -> Case:
        """Return an incident by its number or sys_id. Raises InputError when there is none, or more than one."""
        return self._case(self._incident(reference))

    def add_note(self, reference: str, text: str, key: str) -> Note:
        """Add a work note once: one that carries the mark of this key already is left as it is."""
        sys_id = self._incident(reference)["sys_id"].value
        marker = marker_of(key)
        found = self._find_note(sys_id, marker)
        if found is not None:
            return found
        what = f"adding a note to incident {reference}"
        try:
            answer = self._patch(sys_id, {"work_notes": f"{text[:LONGEST_NOTE]}\n{marker}"})
        except NoAnswerError as error:
            if not error.sent:
                raise
            return self._found_after(sys_id, marker, reference, str(error.why))
        if answer.status == _OK:
            # The answer shows no note: only the journal does.
            return self._found_after(sys_id, marker, reference, "the note is not in the journal")
        if answer.status >= _SERVER_ERROR:
            found = self._find_note(sys_id, marker)
            if found is not None:
                return found.model_copy(update={"found": False})
        raise refusal(answer, what)

    def set_status(self, reference: str, status: CaseStatus, note: str, key: str) -> Case:
        """Bring an incident into a status; the note, when there is one, is added first. The state read back is the proof."""
        if status not in (CaseStatus.ACKNOWLEDGED, CaseStatus.RESOLVED):
            raise InputError(f"a ServiceNow incident cannot be made {status.value}", "it is acknowledged or resolved")
        before = self._incident(reference)
        if note:
            self.add_note(before["sys_id"].value, note, key)
        if self._case(before).status in (status, CaseStatus.RESOLVED):
            return self._case(before)
        fields = {"state": setting(self._integration, f"state_{status.value}", _state_of(status))}
        if status is CaseStatus.RESOLVED:
            code = setting(self._integration, "close_code", "Solved (Permanently)")
            fields |= {"close_code": code, "close_notes": note or "Resolved by Snaphold."}
        why = ""
        try:
            answer = self._patch(before["sys_id"].value, fields)
        except NoAnswerError as error:
            if not error.sent:
                raise
            why = str(error.why)
        else:
            if answer.status != _OK and answer.status < _SERVER_ERROR:
                raise refusal(answer, f"setting incident {reference} {status.value}")
            why = f"HTTP status {answer.status}"
        after = self._case(self._incident(before["sys_id"].value))
        if after.status not in (status, CaseStatus.RESOLVED):
            raise UnknownOutcomeError(
                f"incident {reference} is not {status.value}", f"{why}; it is {after.vendor_status}", "look at it in ServiceNow"
            )
        return after

    def open_change(self, order: ChangeOrder) -> Change:
        """Open an emergency change, once per key."""
        return servicenow_changes.open_change(self._session, self._integration, order)

    def close_change(self, reference: str, *, successful: bool, notes: str, key: str) -> Change:
        """Close a change along the states that it allows."""
        return servicenow_changes.close_change(self._session, reference, successful=successful, notes=notes)

    def check_standard_change(self, name: str) -> StandardChange:
        """Return whether the standard change template of that name is active."""
        return servicenow_changes.check_standard_change(self._session, name)

    def read_dependencies(self, assets: Sequence[str]) -> Dependencies:
        """Return what the configuration items of these names need, directly or not."""
        return servicenow_cmdb.read_dependencies(self._session, self._integration, assets)

    def _incident(self, reference: str) -> Row:
        if not (SYS_ID.fullmatch(reference) or NUMBER.fullmatch(reference)):
            raise InputError(f"{reference!r} is not an incident of ServiceNow", "it is a number such as INC0010002, or a sys_id")
        rows = self._session.rows("incident", {"sys_id" if SYS_ID.fullmatch(reference) else "number": reference}, _FIELDS)
        if len(rows) != 1:
            what = "knows nothing of" if not rows else f"has {len(rows)} times"
            raise InputError(f"ServiceNow {what} incident {reference}", "it may be hidden from the user", "check it")
        return rows[0]

    def _case(self, row: Row) -> Case:
        state = cell(row, "state")
        known = {
            setting(self._integration, f"state_{status.value}", _state_of(status)): status
            for status in (CaseStatus.ACKNOWLEDGED, CaseStatus.RESOLVED)
        }
        return Case(
            reference=row["sys_id"].value,
            number=cell(row, "number").value,
            title=cell(row, "short_description").value,
            status={**_STATUSES, **known}.get(state.value, CaseStatus.UNKNOWN),
            vendor_status=state.shown or state.value,
            urgency=cell(row, "urgency").shown,
            address=f"{self._integration.url.rstrip('/')}/incident.do?sys_id={row['sys_id'].value}",
        )

    def _patch(self, sys_id: str, fields: dict[str, str]) -> Answer:
        return self._session.call("PATCH", f"{_TABLE}/{sys_id}", document=fields)

    def _find_note(self, sys_id: str, marker: str) -> Note | None:
        rows = self._session.rows(
            "sys_journal_field",
            {"element_id": sys_id, "element": "work_notes"},
            ("value",),
            containing={"value": marker.strip("[]")},
        )
        return Note(reference=rows[0]["sys_id"].value, found=True) if rows else None

    def _found_after(self, sys_id: str, marker: str, reference: str, why: str) -> Note:
        try:
            found = self._find_note(sys_id, marker)
        except SnapholdError as error:
            why, found = f"{why}; it cannot be looked up: {error.what}", None
        if found is None:
            raise UnknownOutcomeError(
                f"it is not known whether a note was added to incident {reference}", why, "look at it; repeat under the same key"
            )
        return found.model_copy(update={"found": False})


def _state_of(status: CaseStatus) -> str:
    return "2" if status is CaseStatus.ACKNOWLEDGED else "6"
