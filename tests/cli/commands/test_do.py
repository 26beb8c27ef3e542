"""`snaphold do`: one action by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snaphold.action import catalogue
from snaphold.cli.commands import do
from snaphold.cli.main import main
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.identity import current_login

CONFIGURATION = """\
organisation: {name: Example Ltd}
tiers:
  - {id: T0, level: 0, impact: No orders can be taken, rto: 1h, rpo: 15m}
  - {id: T2, level: 2, impact: Slower work, rto: 3d, rpo: 1d}
assets:
  - {id: orders-db, kind: database, tier: T0, owner: team-orders}
  - {id: files-01, kind: file-share, tier: T2, owner: team-files}
people:
  - {id: ana, name: Ana Ruiz, logins: [LOGIN]}
roles:
  - {name: soc, members: [ana], may: ["triage.*"]}
"""
INCIDENT = {
    "id": "INC-1",
    "title": "Ransomware",
    "severity": 1,
    "category": "ransomware",
    "declared_at": "2026-11-22T18:00:00Z",
    "assets": ["orders-db", "files-01"],
}
PROMOTE = ["do", "triage.promote_asset", "--incident", "incident.json", "--asset", "files-01", "--tier", "T0"]


@pytest.fixture(autouse=True)
def _estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)
    Path("snaphold.yaml").write_text(CONFIGURATION.replace("LOGIN", current_login()))
    Path("incident.json").write_text(json.dumps(INCIDENT))


def test_a_result_is_shown_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["do", "triage.classify_assets", "--incident", "incident.json"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "outcome    succeeded"
    assert "critical   true" in shown


def test_a_result_is_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["do", "triage.classify_assets", "--incident", "incident.json", "--assets", "files-01", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["action"] == "triage.classify_assets"
    assert result["outcome"] == "succeeded"
    assert result["dry_run"] is False
    assert result["assets"] == ["files-01"]


def test_what_writes_needs_a_justification(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PROMOTE, "--justification", "  "]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "  do: --justification TEXT"
    assert not Path("state").exists()


def test_wrong_input_is_told_before_anything_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PROMOTE, "--lasts", "soon", "--justification", "payroll"]) == 2
    shown = capsys.readouterr().err
    assert "lasts: 'soon' is not a duration" in shown
    assert not Path("state").exists()


def test_a_dry_run_changes_nothing_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PROMOTE, "--justification", "payroll", "--dry-run", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["dry_run"] is True
    assert "nothing was done" in shown.err
    assert main(["audit", "export"]) == 0
    assert "triage.promote_asset" not in capsys.readouterr().out


def test_the_justification_serves_the_input_and_the_audit_trail(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PROMOTE, "--justification", "payroll run"]) == 0
    capsys.readouterr()
    assert main(["audit", "export"]) == 0
    assert '"justification":"payroll run"' in capsys.readouterr().out.replace(": ", ":")


def test_the_same_deed_is_done_once_and_a_repetition_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*PROMOTE, "--justification", "payroll", "--json"]
    assert main(command) == 0
    first = capsys.readouterr()
    assert main(command) == 0
    second = capsys.readouterr()
    assert (first.err, second.out) == ("", first.out)
    assert second.err.startswith("already done at 20")
    assert "--generation N does it once more" in second.err


def test_a_repetition_of_what_failed_says_how_to_try_again(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*PROMOTE, "--lasts", "900d", "--justification", "payroll"]
    assert main(command) == 2
    assert "this failed" not in capsys.readouterr().err
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("this failed at 20")
    assert "--generation 2" in said


def test_a_repeated_read_is_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["do", "triage.classify_assets", "--incident", "incident.json"]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("outcome", "code"), [(Outcome.SUCCEEDED, 0), (Outcome.PARTIAL, 3), (Outcome.FAILED, 1), (Outcome.UNKNOWN, 1)]
)
def test_the_outcome_decides_the_exit_code(
    outcome: Outcome, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = catalogue()["triage.classify_assets"]

    def pretend(_name: str, _given: dict[str, object], _context: Context) -> object:
        return entry.example_result().model_copy(update={"outcome": outcome, "findings": ["one thing", "another"]})

    monkeypatch.setattr("snaphold.execute.execute", pretend)
    assert main(["do", "triage.classify_assets", "--incident", "incident.json"]) == code
    shown = capsys.readouterr()
    assert f"outcome    {outcome.value}" in shown.out
    assert "findings   one thing\n           another" in shown.out
    assert ("not known whether" in shown.err) == (outcome is Outcome.UNKNOWN)


def test_another_input_is_another_deed_where_no_key_field_tells() -> None:
    entry = next(entry for entry in catalogue().values() if not entry.key_fields and "assets" in entry.request.model_fields)
    assert do.step_of(entry, {"assets": ["a"]}) != do.step_of(entry, {"assets": ["b"]})
    assert do.step_of(entry, {"assets": ["a"]}) == do.step_of(entry, {"assets": "a"})


def test_every_action_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in catalogue():
        assert main(["do", name, "--help"]) == 0
        assert f"usage: snaphold do {name}" in capsys.readouterr().out
