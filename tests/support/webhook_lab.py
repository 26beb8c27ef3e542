"""Webhooks of every kind in one configuration, bodies of each, and how they are signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from snaphold.clock import format_time
from snaphold.service.inbox import Inbox
from snaphold.service.keeper import Keeper
from snaphold.service.records import WebhookDelivery
from support.ledgers import NOW
from support.service_lab import Reply, ServiceLab, serving
from support.waiting import PATIENCE_SECONDS

SECRET = "a-secret-of-a-webhook"
OLD_SECRET = "the-secret-that-is-being-replaced"
SECRETS = ["env:SNAPHOLD_TEST_WEBHOOK", "env:SNAPHOLD_TEST_WEBHOOK_OLD"]
MAPPING = """\
incident: data.id
delivery: event
occurred_at: data.at
title: data.title
severity: data.level
category: data.type
assets: data.hosts.*.name
status: data.state
"""
WORDS: dict[str, Any] = {
    "severities": {"P1": 1, "critical": 1, "high": 2, "low": 4},
    "categories": {"Malware": "ransomware"},
    "assets": {"Orders": ["orders-db"]},
    "category": "outage",
}
WEBHOOKS: list[dict[str, Any]] = [
    {"name": "paging", "kind": "pagerduty", "secrets": SECRETS, "person": "ana", **WORDS},
    {"name": "itsm", "kind": "servicenow", "secrets": SECRETS, "person": "ana", **WORDS},
    {"name": "monitoring", "kind": "alertmanager", "check": "bearer", "secrets": SECRETS, "person": "ana", **WORDS},
    {"name": "siem", "kind": "generic", "mapping": "siem.yaml", "secrets": SECRETS, "person": "ana", **WORDS},
]
SEVERITIES = [{"severity": 1, "playbook": "ransomware-response"}, {"severity": 2, "playbook": "infrastructure-outage"}]
ROLES = [{"name": "analyst", "members": ["ana"], "may": ["*"]}]


def signature(body: bytes, secret: str = SECRET) -> str:
    """Return the header of a signature."""
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def pagerduty(event: str = "incident.triggered", id: str = "EV1", **changes: Any) -> dict[str, Any]:
    """Return a body of PagerDuty; `changes` are to the incident."""
    data = {
        "id": "PT4KHLK", "type": "incident", "title": "Orders are slow", "status": "triggered", "urgency": "low",
        "priority": {"id": "PX", "type": "priority_reference", "summary": "P1"},
        "service": {"id": "PS1", "type": "service_reference", "summary": "Orders"}, "incident_key": "monitor-7", **changes,
    }  # fmt: skip
    return {"event": {"id": id, "event_type": event, "resource_type": "incident",
                      "occurred_at": format_time(NOW - timedelta(minutes=1)), "agent": None, "data": data}}  # fmt: skip


def servicenow(id: str = "EV1", **changes: Any) -> dict[str, Any]:
    """Return a body of ServiceNow; `changes` are to the row."""
    row = {"number": "INC0010002", "sys_id": "c5", "short_description": "Ransomware on orders", "state": "1",
           "priority": "Critical", "category": "Malware", "cmdb_ci": "orders-db", **changes}  # fmt: skip
    return {"id": id, "event": "inserted", "sent_at": format_time(NOW), "incident": row}


def alert(status: str = "firing", fingerprint: str = "f1", value: str = "95%", **labels: str) -> dict[str, Any]:
    """Return one alert of a group."""
    return {
        "status": status, "fingerprint": fingerprint, "startsAt": "2026-11-22T17:50:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "MassRename", "severity": "critical", "instance": "orders-db:9100", **labels},
        "annotations": {"value": value},
    }  # fmt: skip


def alertmanager(*alerts: dict[str, Any], group: str = "{}:{alertname=MassRename}") -> dict[str, Any]:
    """Return a body of Alertmanager."""
    told = alerts or (alert(),)
    firing = any(one["status"] == "firing" for one in told)
    return {
        "version": "4", "groupKey": group, "truncatedAlerts": 0, "status": "firing" if firing else "resolved",
        "receiver": "snaphold", "groupLabels": {"alertname": "MassRename"}, "commonLabels": {"alertname": "MassRename"},
        "commonAnnotations": {"summary": "Files are renamed"}, "externalURL": "http://alerts", "alerts": list(told),
    }  # fmt: skip


def siem(event: str = "EV1", **changes: Any) -> dict[str, Any]:
    """Return a body as the mapping of the generic webhook has it."""
    data = {"id": "case-7", "title": "Mass renames", "level": "high", "type": "Malware", "at": format_time(NOW),
            "hosts": [{"name": "files-01"}, {"name": "orders-db"}], "state": "open", **changes}  # fmt: skip
    return {"event": event, "data": data}


BODIES = {"paging": pagerduty, "itsm": servicenow, "monitoring": alertmanager, "siem": siem}


@dataclass
class Started:
    """Stands where runs are started: keeps what was asked for, and raises what it is told to."""

    asked: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list[tuple[str, str, tuple[str, ...]]])
    faults: list[Exception] = field(default_factory=list[Exception])

    def __call__(self, runtime: Any, delivery: WebhookDelivery) -> tuple[str, ...]:
        if self.faults:
            raise self.faults.pop(0)
        self.asked.append((delivery.incident, runtime.actor.login, delivery.playbooks))
        return tuple(f"RUN-{delivery.incident}-{name}" for name in delivery.playbooks)


@dataclass
class WebhookLab:
    """A service that receives, whose runs are only noted. Deliveries are worked on when `work` is called."""

    service: ServiceLab
    started: Started
    inbox: Inbox

    def send(self, webhook: str, body: Any, *, headers: Mapping[str, str] | None = None, secret: str = SECRET) -> Reply:
        """Send a delivery with the right proof, unless headers are given."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        name = "X-PagerDuty-Signature" if webhook == "paging" else "X-Snaphold-Signature"
        proof = {"Authorization": f"Bearer {secret}"} if webhook == "monitoring" else {name: signature(data, secret)}
        sent = proof if headers is None else headers
        return self.service.request("POST", f"/v1/webhooks/{webhook}", data, token=None, headers=sent)

    def deliveries(self) -> list[WebhookDelivery]:
        """Return what is recorded."""
        return self.service.runtime.ledger.records(WebhookDelivery)

    def work(self) -> list[WebhookDelivery]:
        """Work on everything that is recorded, here and now; return the deliveries as they stand then."""
        for delivery in self.deliveries():
            self.inbox.work_on(delivery.id)
        return self.deliveries()

    def refusals(self) -> list[str]:
        """Return why deliveries were refused, as the ledger has it."""
        entries = self.service.runtime.ledger.entries()
        return [str(one.detail["why"]) for one in entries if one.action == "webhook.refuse"]


def _leave(*_: object) -> None:
    """Do nothing in the background."""


@contextmanager
def receiving(folder: Path, patch: Any, **changes: Any) -> Generator[WebhookLab]:
    """Serve for the length of the block; the background does nothing by itself."""
    patch.setenv("SNAPHOLD_TEST_WEBHOOK", SECRET)
    patch.setenv("SNAPHOLD_TEST_WEBHOOK_OLD", OLD_SECRET)
    patch.setattr(Inbox, "add", _leave)
    patch.setattr(Keeper, "open", _leave)
    patch.setattr("snaphold.service.webhooks.ANSWER_WITHIN_SECONDS", PATIENCE_SECONDS)  # no test depends on how fast a machine is
    (folder / "siem.yaml").write_text(MAPPING)
    given: dict[str, Any] = {"webhooks": WEBHOOKS, "severities": SEVERITIES, "roles": ROLES, **changes}
    with serving(folder, patch, **given) as service:
        started = Started()
        yield WebhookLab(service, started, Inbox(service.runtime, start=started))
