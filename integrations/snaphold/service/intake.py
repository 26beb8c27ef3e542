"""Decides what a delivery asks for, and records it before anybody is told that it was accepted."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from datetime import datetime

from snaphold.config import select_playbook
from snaphold.domain.escalation import Notice
from snaphold.domain.incident import Incident, IncidentRecord
from snaphold.errors import InputError
from snaphold.ledger.entry import Event, NewEntry
from snaphold.platforms.base import CaseStatus
from snaphold.platforms.marker import is_ours
from snaphold.recorded import redact_record
from snaphold.runtime import Runtime
from snaphold.service.principals import actor_of_webhook
from snaphold.service.records import AlertGroup, WebhookDelivery
from snaphold.webhooks.authenticity import check_fresh
from snaphold.webhooks.declare import LEAST_SEVERE, declare, make_incident, severity_of
from snaphold.webhooks.message import Message, short_id
from snaphold.webhooks.receiver import Receiver
from snaphold.webhooks.triggers import fired, schedule_orders

AUTO = "auto"
REPEATED_WITHIN_SECONDS = 300
"""Where a source gives its deliveries no id, equal bodies in this time are one delivery."""
_lock = threading.Lock()


@dataclass(frozen=True)
class Taken:
    """What became of a delivery at the door. Without a delivery it was left alone, and `why` says so."""

    delivery: WebhookDelivery | None = None
    duplicate: bool = False
    why: str = ""


def take_in(receiver: Receiver, message: Message, body: bytes, runtime: Runtime) -> Taken:
    """Record what a genuine delivery asks for, once; return it, or why it was left alone.

    Raises NotAuthorisedError (not of now), InputError (its severity or assets mean nothing here), LedgerError.
    """
    now = runtime.clock.now()
    if message.occurred_at is not None:
        check_fresh(message.occurred_at, now, receiver.webhook.window)
    echo = _echo(message, runtime)
    if echo:
        return Taken(why=echo)
    id = _delivery_id(receiver, message, body, now)
    with _lock, runtime.ledger.turn(runtime.configuration.state_folder / "webhooks.lock"):
        known = runtime.ledger.record(WebhookDelivery, id)
        if known is not None:
            return Taken(known, duplicate=True)
        message, group = _grouped(receiver, message, runtime)
        delivery, why = _asked_for(receiver, message, runtime, now, id, body)
        if delivery is None:
            return Taken(why=why)
        delivery = redact_record(delivery)
        actor = actor_of_webhook(runtime.configuration, receiver.webhook.name)
        entry = NewEntry(
            event=Event.SERVICE, actor=actor.id, login=actor.login, incident=delivery.incident, action="webhook.accept",
            detail={"delivery": id, "webhook": delivery.webhook, "event": delivery.event, "sha256": delivery.body_sha256,
                    "playbooks": list(delivery.playbooks), "schedules": len(delivery.schedules)},
        )  # fmt: skip
        runtime.ledger.append(entry, [delivery, *([group] if group else [])])
        return Taken(delivery)


def _asked_for(
    receiver: Receiver, message: Message, runtime: Runtime, now: datetime, id: str, body: bytes
) -> tuple[WebhookDelivery | None, str]:
    webhook, configuration = receiver.webhook, runtime.configuration
    if not message.incident:
        return None, f"{message.event} is not about an incident"
    schedules = schedule_orders(message, webhook, configuration)
    playbooks = [trigger.playbook for trigger in fired(message, webhook, configuration) if trigger.playbook]
    starts = webhook.starts_runs and message.declares and message.status is not CaseStatus.RESOLVED
    known = runtime.ledger.record(IncidentRecord, message.incident)
    why = f"{message.event} asks for nothing"
    incident: Incident | None = None
    if starts or playbooks:
        incident = declare(message, webhook, configuration, now)
        if starts:
            try:
                select_playbook(configuration, incident)
                playbooks.append(AUTO)
            except InputError as error:
                why = f"{error.what}: {error.why}" if error.why else error.what
    if not playbooks and schedules:
        assets = tuple(dict.fromkeys(order.asset for order in schedules))
        incident = make_incident(message, webhook, assets, severity_of(message, webhook) or LEAST_SEVERE, now)
    elif not playbooks:
        incident = known.declared if known is not None and message.status is not None else None
    if incident is None:
        return None, why
    delivery = WebhookDelivery(
        id=id, incident=incident.id, webhook=webhook.name, event=message.event, occurred_at=message.occurred_at,
        received_at=now, body_sha256=hashlib.sha256(body).hexdigest(), declared=incident,
        playbooks=tuple(dict.fromkeys(playbooks)), schedules=schedules,
        status=message.status, vendor_status=message.vendor_status[:200],
    )  # fmt: skip
    return delivery, ""


def _delivery_id(receiver: Receiver, message: Message, body: bytes, now: datetime) -> str:
    name = receiver.webhook.name
    if message.delivery:
        return short_id("HOOK", name, message.delivery)
    window = int(now.timestamp()) // REPEATED_WITHIN_SECONDS
    return short_id("HOOK", name, hashlib.sha256(body).hexdigest(), str(window))


def _echo(message: Message, runtime: Runtime) -> str:
    """Return why a message is nothing but what we did ourselves; empty when it is not."""
    if is_ours(message.text):
        return "it is a note of ours"
    page = message.key.rpartition("/")[2]
    if page and runtime.ledger.record(Notice, page) is not None:
        return "it is a page of ours"
    return ""


def _grouped(receiver: Receiver, message: Message, runtime: Runtime) -> tuple[Message, AlertGroup | None]:
    """Return the message with the incident of its group of alerts, and the group's record when that changes.

    A group keeps its incident from its first alert until all are resolved, whichever alerts come and go meanwhile.
    """
    if not message.group:
        return message, None
    id = short_id("GROUP", receiver.webhook.name, message.group)
    before = runtime.ledger.record(AlertGroup, id)
    resolved = message.status is CaseStatus.RESOLVED
    if before is not None and (before.open or resolved):
        message = replace(message, incident=before.incident)
    after = AlertGroup(id=id, incident=message.incident, open=not resolved)
    return message, None if before == after else after
