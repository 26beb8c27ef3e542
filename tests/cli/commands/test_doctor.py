"""`snaphold doctor`: fit or not, who answers, since when; nothing is changed behind what it tests."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from snaphold.cli.main import main
from snaphold.clock import FixedClock
from snaphold.config import Configuration, load_configuration
from snaphold.doctor import Examined, examine
from snaphold.http_guard import forget_everything
from snaphold.simulators.faults import FOR_EVER, Fault
from support.platform_rigs import PagerDutyRig, ServiceNowRig
from support.quick_retries import no_pauses
from support.small_estate import build

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)


@pytest.fixture
def paging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[PagerDutyRig]:
    no_pauses(monkeypatch)
    made = PagerDutyRig(tmp_path / "paging")
    yield made
    made.close()


@pytest.fixture
def itsm(tmp_path: Path) -> Generator[ServiceNowRig]:
    made = ServiceNowRig(tmp_path / "itsm")
    yield made
    made.close()


def estate(folder: Path, *integrations: dict[str, Any]) -> Path:
    """Write an estate with these integrations and a signing key; return its configuration file."""
    folder.mkdir()
    path = build(folder) / "snaphold.yaml"
    with path.open("a", encoding="utf-8") as file:
        file.write("integrations: " + json.dumps(list(integrations)) + "\n")
    assert main(["key", "create", "--config", str(path)]) == 0
    return path


def document(rig: PagerDutyRig | ServiceNowRig, **changes: Any) -> dict[str, Any]:
    return {**rig.integration.model_dump(mode="json"), **changes}


def only(examined: list[Examined], name: str) -> Examined:
    return next(item for item in examined if item.name == name)


def configuration_of(path: Path) -> Configuration:
    return load_configuration(path)


def test_a_fit_estate_has_no_findings(
    paging: PagerDutyRig, itsm: ServiceNowRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = estate(tmp_path / "estate", document(paging), document(itsm))
    capsys.readouterr()
    assert main(["doctor", "--config", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["examined"]
    assert {item["part"] for item in told} == {"integration", "pool", "key"}
    assert all(item["fit"] and item["last_success"] for item in told)
    first = told[0]
    assert (first["owner"], first["contact"], first["review_by"]) == ("backup-team", "backup@example.org", "2099-01-31")
    for rig in (paging, itsm):
        assert {e.call.method for e in rig.server.exchanges if "oauth" not in e.call.path} == {"GET"}
    assert not (tmp_path / "estate/pools").exists()


def test_what_fails_is_told_with_its_last_success(paging: PagerDutyRig, tmp_path: Path) -> None:
    configuration = configuration_of(estate(tmp_path / "estate", document(paging)))
    clock = FixedClock(NOW)
    assert only(examine(configuration, clock), "my-pagerduty").fit
    clock.at += timedelta(days=1)
    paging.server.faults.switch_on(Fault("error", FOR_EVER))
    forget_everything()
    item = only(examine(configuration, clock), "my-pagerduty")
    assert not item.fit
    assert "refuses" in item.findings[0]
    assert item.last_success == "2026-11-22T18:00:00.000Z"


def test_an_integration_without_owner_or_review_is_a_finding(
    paging: PagerDutyRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = document(paging, owner="", review_by="")
    late = document(paging, name="late", review_by="2020-01-01")
    wrong = document(paging, name="wrong", kind="pagerdutty")
    path = estate(tmp_path / "estate", bare, late, wrong)
    capsys.readouterr()
    assert main(["doctor", "--config", str(path)]) == 3
    shown = capsys.readouterr().out
    for text in ("nobody answers for it", "no review date", "reviewed by 2020-01-01", "unknown kind"):
        assert text in shown


def test_a_right_that_is_missing_is_a_finding(itsm: ServiceNowRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_pauses(monkeypatch)
    configuration = configuration_of(estate(tmp_path / "estate", document(itsm)))
    itsm.server.faults.switch_on(Fault("forbidden", 1, "GET", "/api/now/table/sys_journal_field"))
    assert only(examine(configuration, FixedClock(NOW)), "my-servicenow").findings == (
        "the table sys_journal_field may not be read: notes cannot be used",
    )


def test_pool_key_and_time_stamping_are_tested(tmp_path: Path) -> None:
    path = estate(tmp_path / "estate")
    with path.open("a", encoding="utf-8") as file:
        file.write('evidence: {time_stamping: {url: "http://127.0.0.1:9/", ca_file: none.pem}}\n')
    (tmp_path / "estate/keys/isolated-01").chmod(0o644)
    (tmp_path / "estate/keys/custodian").write_text("no key", encoding="utf-8")
    examined = examine(configuration_of(path), FixedClock(NOW))
    assert "can be read by others" in only(examined, "isolated-01").findings[0]
    assert "cannot be used" in next(item for item in examined if item.part == "key").findings[0]
    assert "none.pem" in only(examined, "127.0.0.1").findings[0]
    assert all(item.last_success == "" for item in examined)


def test_a_damaged_memory_is_written_anew(tmp_path: Path) -> None:
    configuration = configuration_of(estate(tmp_path / "estate"))
    configuration.state_folder.mkdir()
    (configuration.state_folder / "doctor.json").write_text("[", encoding="utf-8")
    examine(configuration, FixedClock(NOW))
    told = json.loads((configuration.state_folder / "doctor.json").read_text(encoding="utf-8"))
    assert "key/custodian@snaphold" in told
