"""Keeps the incidents that Snaphold was told of in the register, each change an entry of the audit trail."""

from __future__ import annotations

import threading

from snaphold.clock import Clock
from snaphold.domain.incident import Incident, IncidentRecord
from snaphold.domain.people import Actor
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.ledger import Ledger
from snaphold.recorded import redact_record

_lock = threading.Lock()


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
