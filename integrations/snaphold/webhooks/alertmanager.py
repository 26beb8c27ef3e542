"""Deliveries of the Prometheus Alertmanager (webhook version 4): groups of alerts that fire or are resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from snaphold.domain.value import Moment
from snaphold.platforms.base import CaseStatus
from snaphold.webhooks.message import LONGEST_DESCRIPTION, Alert, Message, one_line, short_id

MOST_ALERTS = 1000
_NAMES_ASSETS = ("asset", "host", "hostname", "instance", "node", "service", "job")
Labels = dict[str, str]


class FiringAlert(BaseModel):
    """One alert of a group."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    status: Literal["firing", "resolved"] = Field(description="firing or resolved.", examples=["firing"])
    labels: Labels = Field(description="What identifies it.", examples=[{"alertname": "MassRename", "asset": "files-01"}])
    annotations: Labels = Field(default={}, description="What people are told.", examples=[{"value": "93.5"}])
    startsAt: Moment = Field(description="Since when it fires.", examples=["2026-11-22T17:58:00Z"])  # noqa: N815  theirs
    fingerprint: str = Field(min_length=1, max_length=64, description="Digest of the labels.", examples=["c7a1d0f2b3e4a5b6"])


class AlertmanagerDelivery(BaseModel):
    """One notification about a group of alerts."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    version: Literal["4"] = Field(description="Version of this form.", examples=["4"])
    groupKey: str = Field(min_length=1, max_length=10_000, description="The group.", examples=['{}:{alertname="X"}'])  # noqa: N815
    status: Literal["firing", "resolved"] = Field(description="resolved: every alert is.", examples=["firing"])
    groupLabels: Labels = Field(default={}, description="What the group has in common.", examples=[{"alertname": "X"}])  # noqa: N815
    commonAnnotations: Labels = Field(default={}, description="Annotations of all.", examples=[{"summary": "X"}])  # noqa: N815
    alerts: tuple[FiringAlert, ...] = Field(min_length=1, max_length=MOST_ALERTS, description="The alerts of the group.")


def read_alertmanager(source: str, document: Mapping[str, Any]) -> Message:
    """Return what a notification tells. Raises ValidationError when it has another form.

    Alertmanager gives its notifications neither id nor time, and repeats them on purpose. The service makes the id.
    """
    told = AlertmanagerDelivery.model_validate(document)
    firing = [alert for alert in told.alerts if alert.status == "firing"]
    since = min(alert.startsAt for alert in told.alerts)
    about = firing or told.alerts
    summary = told.commonAnnotations.get("summary") or " ".join(_values(about, "alertname"))
    return Message(
        delivery="",
        event=f"alerts.{'firing' if firing else 'resolved'}",
        incident=short_id("ALERT", source, told.groupKey, since.isoformat()),
        title=one_line(summary) or "Alerts of monitoring",
        severity_words=(_values(about, "severity"), _values(about, "priority")),
        category_words=(*_values(about, "category"), *_values(about, "alertname")),
        asset_words=tuple(word for alert in about for word in _asset_words(alert)),
        description="\n".join(_values_of(about, "description"))[:LONGEST_DESCRIPTION],
        status=CaseStatus.OPEN if firing else CaseStatus.RESOLVED,
        vendor_status=told.status,
        declares=bool(firing),
        text="\n".join(told.commonAnnotations.values()),
        alerts=tuple(
            Alert(alert.fingerprint, alert.status == "firing", alert.model_dump(mode="json"), _asset_words(alert))
            for alert in told.alerts
        ),
        group=told.groupKey,
    )


def _asset_words(alert: FiringAlert) -> tuple[str, ...]:
    words = [alert.labels[name] for name in _NAMES_ASSETS if alert.labels.get(name)]
    without_port = [word.rpartition(":")[0] for word in words if word.rpartition(":")[2].isdigit()]
    return tuple(dict.fromkeys([*words, *without_port]))


def _values(alerts: Iterable[FiringAlert], label: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(alert.labels[label] for alert in alerts if alert.labels.get(label)))


def _values_of(alerts: Iterable[FiringAlert], annotation: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(alert.annotations[annotation] for alert in alerts if alert.annotations.get(annotation)))
