"""`/metrics`: what Prometheus reads, who may, and that nothing of a caller's text becomes a label."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.service_lab import ServiceLab


def scrape(lab: ServiceLab) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    reply = lab.request("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


def test_metrics_need_a_token(lab: ServiceLab) -> None:
    assert lab.request("GET", "/metrics", token=None).status == 401


def test_the_register_and_the_requests_are_counted(lab: ServiceLab) -> None:
    lab.act()
    found = scrape(lab)
    assert found["snaphold_incidents_total", ()] == 1
    assert found["snaphold_ledger_entries", ()] > 2
    labels = (("method", "POST"), ("route", "/v1/actions/toy.start"), ("status", "200"))
    assert found["snaphold_http_request_seconds_count", labels] == 1
    assert {name for name, _ in found} >= {
        "snaphold_info", "snaphold_backups_total", "snaphold_backups_unfinished", "snaphold_open_holds",
        "snaphold_approvals_waiting",
    }  # fmt: skip


def test_paths_and_methods_that_somebody_makes_up_are_no_labels(lab: ServiceLab) -> None:
    lab.request("GET", "/v1/made-up-by-an-attacker")
    assert not any("made-up" in str(labels) for _, labels in scrape(lab))
    assert (("method", "GET"), ("route", "none"), ("status", "404")) in {labels for _, labels in scrape(lab)}


def test_figures_are_kept_between_scrapes(lab: ServiceLab, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scrape(lab)
    lab.act()

    def broken(*_given: Any) -> Any:
        raise AssertionError("the register was read again at once")

    monkeypatch.setattr("snaphold.service.metrics.measure", broken)
    monkeypatch.setattr("snaphold.service.metrics.CACHED_SECONDS", 3600.0)
    assert scrape(lab)["snaphold_ledger_entries", ()] == first["snaphold_ledger_entries", ()]
