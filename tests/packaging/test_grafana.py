"""The board and the alert rules name only metrics that the service really has, and Prometheus accepts the rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.golden import ROOT
from support.needs import need_program
from support.service_lab import ServiceLab, serving

FOLDER = ROOT / "packaging/grafana"
RULES = FOLDER / "alert-rules.yaml"
_METRIC = re.compile(r"snaphold_[a-z_]+")
CASES = """
rule_files: [RULES]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'snaphold_sla_clocks{clock="protect", tier="T0", state="overdue"}', values: '0 1 1 1'}
      - {series: 'snaphold_backups_total{outcome="failed"}', values: '0 0 1 1'}
      - {series: 'snaphold_backups_total{outcome="succeeded"}', values: '0 5 9 9'}
      - {series: 'up{job="snaphold"}', values: '1 1 1 1'}
    alert_rule_test:
      - {eval_time: 0m, alertname: SnapholdBackupClockOverdue, exp_alerts: []}
      - eval_time: 3m
        alertname: SnapholdBackupClockOverdue
        exp_alerts:
          - exp_labels: {severity: critical, clock: protect, tier: T0}
            exp_annotations:
              summary: 1 protect clocks of tier T0 are overdue
              action: snaphold runs list, then snaphold runs show RUN; call the backup team
      - {eval_time: 1m, alertname: SnapholdBackupFailed, exp_alerts: []}
      - eval_time: 3m
        alertname: SnapholdBackupFailed
        exp_alerts:
          - exp_labels: {severity: critical, outcome: failed}
            exp_annotations:
              summary: An incident backup ended as failed
              action: snaphold report executive shows which; an unknown one is looked up, never started again blindly
      - {eval_time: 3m, alertname: SnapholdDown, exp_alerts: []}
"""


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    return json.loads((FOLDER / "snaphold-dashboard.json").read_text(encoding="utf-8"))


def expressions(board: dict[str, Any]) -> list[str]:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]] + [rule["expr"] for rule in rules]


def test_every_metric_that_is_shown_exists(board: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch) as lab:
        there = families(lab)
    for expression in expressions(board):
        for name in _METRIC.findall(expression):
            assert re.sub(r"_(bucket|count|sum|total)$", "", name) in there, name


def families(lab: ServiceLab) -> set[str]:
    lab.act()
    from prometheus_client.parser import text_string_to_metric_families

    return {family.name for family in text_string_to_metric_families(lab.request("GET", "/metrics").body.decode())}


def test_panels_do_not_overlap_and_have_names_of_their_own(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert (
        len({panel["id"] for panel in board["panels"]})
        == len({panel["title"] for panel in board["panels"]})
        == len(board["panels"])
    )


def test_prometheus_accepts_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    promtool = need_program("promtool")
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True, capture_output=True)
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES.replace("RULES", str(RULES)), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", str(cases)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
