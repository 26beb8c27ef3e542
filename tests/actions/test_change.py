"""The actions on changes and on dependencies, against the simulated ServiceNow."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from snaphold.actions.change import (
    CheckStandardChange,
    CloseChange,
    OpenEmergencyChange,
    check_standard,
    close,
    open_emergency,
)
from snaphold.actions.triage import ReadDependencies, read_dependencies
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.platforms import servicenow_changes
from support.incident_context import make_configuration, make_context
from support.platform_rigs import ServiceNowRig
from support.quick_retries import no_pauses


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ServiceNowRig]:
    no_pauses(monkeypatch)
    monkeypatch.setattr(servicenow_changes, "_WORKER_SECONDS", 0.0)
    made = ServiceNowRig(tmp_path)
    yield made
    made.close()


def context_of(rig: ServiceNowRig) -> Context:
    return make_context(configuration=rig.configuration, justification="Ransomware spreads", key="INC-1/change/-/1")


def test_a_standard_change_decides_whether_an_emergency_change_is_needed(rig: ServiceNowRig) -> None:
    rig.simulator.tables.insert("std_change_template", {"name": "Incident backup", "active": "true"})
    context = context_of(rig)
    assert check_standard(CheckStandardChange(name="Incident backup"), context).usable
    missing = check_standard(CheckStandardChange(name="Something else"), context)
    assert not missing.usable
    assert "no standard change" in missing.reason


def test_an_emergency_change_is_opened_and_closed(rig: ServiceNowRig) -> None:
    for name in ("files-01", "shop"):
        rig.simulator.add_item(name)
    context = context_of(rig)
    opened = open_emergency(OpenEmergencyChange(), context)
    assert (opened.outcome, opened.state, opened.found) == (Outcome.SUCCEEDED, "open", False)
    row = rig.simulator.tables.find("change_request", "number", opened.change)
    assert row["justification"] == "Ransomware spreads"
    assert row["short_description"] == "Emergency backup in INC-1: Ransomware on the file server"
    assert open_emergency(OpenEmergencyChange(), context).found
    rig.simulator.approve(opened.change)
    closed = close(CloseChange(change=opened.change, successful=False), context)
    assert closed.state == "closed"
    assert row["close_code"] == "unsuccessful"


def test_a_change_without_its_assets_is_partial(rig: ServiceNowRig) -> None:
    result = open_emergency(OpenEmergencyChange(), replace(context_of(rig), key="INC-1/" + "x" * 200))
    assert result.outcome is Outcome.PARTIAL
    assert "does not know files-01" in result.findings[0]


def test_waves_follow_the_cmdb_and_what_differs_is_told(rig: ServiceNowRig) -> None:
    rig.simulator.add_item("shop", ("switch-7",))
    rig.simulator.add_item("switch-7", ("files-01",))
    result = read_dependencies(ReadDependencies(assets=["shop", "files-01", "orders-db"]), context_of(rig))
    assert result.outcome is Outcome.PARTIAL
    assert result.waves == ["orders-db,files-01", "shop"]
    assert result.unknown == ["orders-db"]
    assert result.findings == [
        "the CMDB does not know orders-db",
        "the configuration says, the other system does not (stale?): shop needs orders-db",
        "the other system says, the configuration does not: shop needs files-01",
        "needed, but no assets of the configuration: switch-7",
    ]


def test_equal_maps_are_no_finding(rig: ServiceNowRig) -> None:
    rig.simulator.add_item("shop", ("orders-db",))
    rig.simulator.add_item("files-01")
    result = read_dependencies(ReadDependencies(assets=["shop", "files-01"]), context_of(rig))
    assert (result.outcome, result.findings) == (Outcome.SUCCEEDED, [])
    assert sorted(result.ordered) == ["files-01", "shop"]


def test_a_circle_gives_no_waves(rig: ServiceNowRig) -> None:
    rig.simulator.add_item("orders-db", ("shop",))
    result = read_dependencies(ReadDependencies(assets=["shop", "orders-db"]), context_of(rig))
    assert (result.outcome, result.waves) == (Outcome.FAILED, [])
    assert any("in a circle" in finding for finding in result.findings)


def test_an_assets_name_in_the_cmdb_is_its_tag(rig: ServiceNowRig) -> None:
    rig.simulator.add_item("PS Shop", ("PS ORA01",))
    rig.simulator.add_item("PS ORA01")
    document = make_configuration().model_dump(mode="json")
    for asset in document["assets"]:
        asset["tags"] = {"ci": {"shop": "PS Shop", "orders-db": "PS ORA01"}.get(asset["id"], asset["id"])}
    configuration = make_configuration(assets=document["assets"], integrations=[rig.integration.model_dump()])
    context = make_context(configuration=configuration)
    result = read_dependencies(ReadDependencies(assets=["shop", "orders-db"]), context)
    assert (result.outcome, result.waves) == (Outcome.SUCCEEDED, ["orders-db", "shop"])
