"""The incident that a request is about: sent along, or known from an earlier request."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from snaphold.clock import Clock
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.errors import DocumentError, InputError
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.ledger import Ledger
from snaphold.recorded import redact_record
from snaphold.service.records import IncidentRecord
from snaphold.validation import problems_of

_lock = threading.Lock()


def read_incident(given: Any, ledger: Ledger) -> Incident:
    """Return the incident that is given as an object, or by the id of one that the service was told of.

    Raises InputError when there is none, none of that id, or when the object is faulty.
    """
    if isinstance(given, Mapping):
        try:
            return Incident.model_validate(given)
        except ValidationError as error:
            raise DocumentError("the incident is wrong", problems_of(error, None, Incident)) from error
    if not isinstance(given, str) or not given:
        raise InputError(
            "the incident is missing",
            "every action serves an incident",
            'send it in the body as "incident": {...}, or as the id of one that was sent before',
        )
    found = ledger.record(IncidentRecord, given)
    if found is None:
        raise InputError(
            f"the incident {given[:128]!r} is not known here", "it was never sent whole", 'send it once as "incident": {...}'
        )
    return found.declared


def remember_incident(incident: Incident, ledger: Ledger, actor: Actor, clock: Clock) -> None:
    """Keep an incident so that later requests need only its id. Nothing is written when nothing changed."""
    with _lock:
        before = ledger.record(IncidentRecord, incident.id)
        if before is not None and before.declared == incident:
            return
        record = redact_record(
            IncidentRecord(id=incident.id, incident=incident.id, declared=incident, told_by=actor.id, told_at=clock.now())
        )
        if before is not None and before.declared == record.declared:
            return
        action = "incident.declare" if before is None else "incident.change"
        detail = {"assets": list(incident.assets), "severity": incident.severity, "status": incident.status.value}
        entry = NewEntry(
            event=Event.SERVICE, actor=actor.id, login=actor.login, incident=incident.id, action=action, detail=detail
        )
        ledger.append(entry, [record])
