"""Which alerts tighten which schedules, and the whole way from a delivery to the product and back."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import snaphold.providers.registry
from snaphold.action import catalogue
from snaphold.clock import FixedClock
from snaphold.errors import NotAuthorisedError
from snaphold.service.keeper import Keeper
from snaphold.webhooks.authenticity import verify_signature
from snaphold.webhooks.message import Alert
from snaphold.webhooks.paths import find_texts, find_values
from snaphold.webhooks.settings import Trigger
from snaphold.webhooks.triggers import fires
from support.schedule_lab import REGULAR, ScheduleBook, ScheduledProvider
from support.webhook_lab import WEBHOOKS, WebhookLab, alert, alertmanager, receiving, signature

TRIGGERS: list[dict[str, Any]] = [
    {"name": "renames", "source": "monitoring", "match": {"labels.alertname": "Mass*"}, "field": "annotations.value",
     "above": 90, "every": "15m", "lasts": "4h", "assets": ["files-01"]},
    {"name": "any-critical", "source": "monitoring", "match": {"labels.severity": "critical"}, "every": "1h", "lasts": "1h"},
    {"name": "wiper", "source": "monitoring", "match": {"labels.alertname": "Wiper"}, "playbook": "destructive-deletion"},
]  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[WebhookLab]:
    """A webhook that only drives triggers, and a product with a scheduler."""
    provider = ScheduledProvider(ScheduleBook(tmp_path / "product.json"), [])
    monkeypatch.setattr(snaphold.providers.registry, "open_provider", lambda *_: provider)  # pyright: ignore[reportUnknownLambdaType]
    hooks = [{**hook, "starts_runs": hook["name"] != "monitoring"} for hook in WEBHOOKS]
    pools = [{"name": "product-01", "provider": "restic", "location": "pool", "password": "env:NOTHING"}]
    routes = [{"tiers": ["T0", "T1"], "primary": "product-01"}]
    with receiving(
        tmp_path, monkeypatch, webhooks=hooks, triggers=TRIGGERS, pools=pools, routes=routes, actions=catalogue()
    ) as found:
        yield found


def book(lab: WebhookLab) -> ScheduleBook:
    return ScheduleBook(lab.service.runtime.configuration.base / "product.json")


def tell(lab: WebhookLab, *alerts: dict[str, Any]) -> None:
    reply = lab.send("monitoring", alertmanager(*alerts))
    assert reply.status == 202, reply.body
    assert [one.findings for one in lab.work() if one.state.value == "failed"] == []


def test_an_alert_tightens_and_its_end_restores(lab: WebhookLab) -> None:
    tell(lab, alert())
    assert (book(lab).every("files-01"), book(lab).every("orders-db")) == (900, 3600)
    cast("FixedClock", lab.service.runtime.clock).advance(600)
    tell(lab, alert())
    assert len(book(lab).changes) == 2
    tell(lab, alert(status="resolved"))
    assert (book(lab).every("files-01"), book(lab).every("orders-db")) == (REGULAR, REGULAR)
    assert lab.started.asked == []


def test_a_number_that_falls_below_the_threshold_ends_it(lab: WebhookLab) -> None:
    tell(lab, alert(value="91"))
    tell(lab, alert(value="90"))
    assert (book(lab).every("files-01"), book(lab).every("orders-db")) == (REGULAR, 3600)


def test_two_alerts_of_one_asset_end_with_the_last(lab: WebhookLab) -> None:
    tell(lab, alert(), alert(fingerprint="f2"))
    tell(lab, alert(status="resolved"), alert(fingerprint="f2"))
    assert book(lab).every("files-01") == 900
    tell(lab, alert(status="resolved"), alert(status="resolved", fingerprint="f2"))
    assert book(lab).every("files-01") == REGULAR


def test_what_nobody_resolves_ends_by_itself(lab: WebhookLab) -> None:
    tell(lab, alert())
    cast("FixedClock", lab.service.runtime.clock).advance(4 * 3600)
    Keeper(lab.service.runtime, lab.inbox).look()
    assert {seconds for asset in ("files-01", "orders-db") for seconds in [book(lab).every(asset)]} == {REGULAR}


def test_a_trigger_can_start_a_playbook(lab: WebhookLab) -> None:
    tell(lab, alert(alertname="Wiper"))
    assert [names for _, _, names in lab.started.asked] == [("destructive-deletion",)]


def test_an_alert_that_matches_nothing_is_left_alone(lab: WebhookLab) -> None:
    reply = lab.send("monitoring", alertmanager(alert(alertname="Odd", severity="info")))
    assert (reply.status, reply.document["state"]) == (200, "ignored")


def trigger(**changes: Any) -> Trigger:
    told = {"name": "t", "source": "s", "match": {"a": "*"}, "every": "15m", "field": "value", **changes}
    return Trigger.model_validate(told)


@pytest.mark.parametrize(
    ("value", "limits", "expected"),
    [
        (91, {"above": 90}, True), (90, {"above": 90}, False), ("95.5%", {"above": 90}, True), (9, {"below": 10}, True),
        (10, {"below": 10}, False), (50, {"above": 90, "below": 10}, False), ("odd", {"above": 90}, True),
        ("nan", {"above": 90}, True), (None, {"above": 90}, True),
    ],
)  # fmt: skip
def test_a_threshold_counts_and_what_is_no_number_counts_as_beyond(value: Any, limits: dict[str, Any], expected: bool) -> None:
    assert fires(trigger(**limits), Alert("k", True, {"value": value})) is expected
    assert fires(trigger(**limits), Alert("k", False, {"value": value})) is False


@pytest.mark.parametrize("changes", [{"field": ""}, {}, {"every": "30s", "above": 1}, {"every": None, "above": 1}])
def test_a_trigger_that_is_not_whole_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"threshold|at least 1m|needs every"):
        trigger(**({"above": 90} if changes == {"field": ""} else {}), **changes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab0", min_size=1, max_size=2), inner, max_size=4),
    max_leaves=12,
)


@given(document=JSON, path=st.text("ab0*.", max_size=8))
def test_any_path_into_any_document_gives_values_or_nothing(document: Any, path: str) -> None:
    assert all(value is not None for value in find_values(document, path))
    assert all(isinstance(text, str) and text for text in find_texts(document, path))


@given(body=st.binary(max_size=60), header=st.text(max_size=120))
def test_no_header_that_somebody_makes_up_is_a_signature(body: bytes, header: str) -> None:
    with pytest.raises(NotAuthorisedError):
        verify_signature(body, header, "X", ["secret"])
    verify_signature(body, f"{signature(body, 'other')}, {signature(body, 'secret')}", "X", ["secret"])
