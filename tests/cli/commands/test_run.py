"""`snaphold run`, `runs` and `approvals`, as people and scripts use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snaphold.cli.main import main
from snaphold.identity import current_login
from support.run_lab import HEAD

CONFIGURATION = """\
organisation: {name: Example Ltd}
tiers:
  - {id: T0, level: 0, impact: No orders can be taken, rto: 1h, rpo: 15m}
  - {id: T2, level: 2, impact: Slower work, rto: 3d, rpo: 1d}
assets:
  - {id: orders-db, kind: database, tier: T0, owner: team-orders}
  - {id: files-01, kind: file-share, tier: T2, owner: team-files}
severities:
  - {severity: 1, playbook: look}
  - {severity: 1, category: ransomware, playbook: gated}
people:
  - {id: ana, name: Ana Ruiz, logins: [LOGIN]}
  - {id: ben, name: Ben Okoro, logins: [LOGIN]}
  - {id: eve, name: Eve Nobody, logins: [LOGIN]}
roles:
  - {name: soc, members: [ana, ben], may: ["triage.*"]}
  - {name: managers, members: [ana, ben]}
playbooks: books
"""
INCIDENT = {
    "id": "INC-1", "title": "Ransomware", "severity": 1, "category": "ransomware",
    "declared_at": "2026-11-22T18:00:00Z", "assets": ["orders-db", "files-01"],
}  # fmt: skip
LOOK = """inputs:
  assets: {type: list, required: true}
steps:
  - {id: classify, title: Classify them, do: triage.classify_assets, with: {assets: $inputs.assets}, out: {top_tier: string}}
"""
PROMOTE = """  - id: promote
    do: triage.promote_asset
    with: {asset: files-01, tier: T0, justification: "Holds the orders of today", lasts: 7d}
"""
GATE = """  - id: gate
    approve: {ask: "Promote files-01 beside $classify.top_tier?", from: group/managers, within: 10m}
"""


@pytest.fixture(autouse=True)
def _estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)
    Path("snaphold.yaml").write_text(CONFIGURATION.replace("LOGIN", current_login()))
    Path("incident.json").write_text(json.dumps(INCIDENT))
    Path("books").mkdir()
    for name, body in {
        "look": LOOK,
        "gated": LOOK + GATE + PROMOTE,
        "stopped": LOOK + '  - {id: end, stop: "Enough."}\n',
    }.items():
        Path(f"books/{name}.yaml").write_text(HEAD.format(name=name, more="") + body)


def _run(*words: str, person: str = "ana") -> int:
    return main([*words, "--as", person])


def _start(playbook: str, *words: str) -> int:
    return _run("run", playbook, "--incident", "incident.json", *words)


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_people_see_a_line_for_each_step_and_a_closing_tally(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("look") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("look 1.0.0 (CHG1) for INC-1, requested by ana")
    outcome, seconds, *rest = lines[1].split()
    assert (outcome, rest) == ("succeeded", ["s", "classify", "Classify", "them"])
    assert float(seconds) >= 0
    assert lines[2].startswith("done: 1 succeeded in ")


def test_programs_get_json_lines_with_a_message_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("look", "--json", "--input", "assets=files-01") == 0
    run, step, summary = _lines(capsys.readouterr().out)
    assert [line["message_type"] for line in (run, step, summary)] == ["run", "step", "summary"]
    assert (run["digest"], step["outcome"], summary["status"]) == (summary["digest"], "succeeded", "done")
    assert (summary["tally"], summary["exit_code"], summary["change_record"]) == ({"succeeded": 1}, 0, "CHG1")


def test_severity_and_category_choose_the_playbook(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("auto", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("dry run of gated 1.0.0")


def test_a_dry_run_shows_what_would_be_done_and_records_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("gated", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "would run triage.promote_asset with asset=files-01" in shown
    assert "1 of group/managers (ben)" in shown
    assert main(["runs", "list"]) == 0
    assert capsys.readouterr().out == "(none)\n"


def test_a_run_waits_for_another_person_and_goes_on_after_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("gated", "--no-wait") == 5
    capsys.readouterr()
    assert main(["approvals", "list", "--json"]) == 0
    (approval,) = json.loads(capsys.readouterr().out)
    assert (approval["ask"], approval["people"]) == ("Promote files-01 beside T0?", ["ben"])
    answer = ("approvals", "approve", approval["id"], "--reason", "It holds today's orders")
    assert _run(*answer, person="ana") == 4, "the requester"
    assert _run(*answer, person="eve") == 4, "not asked"
    assert "the requester of a run never approves it" in capsys.readouterr().err
    assert _run(*answer, person="ben") == 0
    assert f"snaphold runs resume {approval['run']}" in capsys.readouterr().out
    assert _run("runs", "resume", approval["run"]) == 0
    shown = capsys.readouterr().out
    assert "classify (done before)" in shown
    assert "approved by Ben Okoro: It holds today's orders" in shown
    assert main(["approvals", "show", approval["id"]]) == 0
    assert "approved by Ben Okoro" in capsys.readouterr().out
    assert _run("runs", "resume", approval["run"]) == 0, "an ended run only tells its end"


def test_a_denied_run_stops_with_the_code_for_not_authorised(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("gated", "--no-wait") == 5
    main(["approvals", "list", "--json"])
    (approval,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert _run("approvals", "deny", approval["id"], "--reason", "Not now", person="ben") == 0
    assert _run("runs", "resume", approval["run"]) == 4
    assert "promote" not in [line.split()[3] for line in capsys.readouterr().out.splitlines() if " s  " in line]


def test_a_cancelled_run_stays_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("gated", "--no-wait", "--json") == 5
    id = _lines(capsys.readouterr().out)[0]["run"]
    assert _run("runs", "cancel", id, person="ben") == 0
    assert _run("runs", "resume", id) == 1
    assert main(["runs", "show", id]) == 0
    assert "cancelled by ben" in capsys.readouterr().out
    assert _run("runs", "cancel", id) == 2


def test_the_same_run_again_says_that_it_exists_and_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("look") == 0
    assert _start("look") == 2
    told = capsys.readouterr().err
    assert "this run exists already" in told
    assert "--generation 2" in told
    assert _start("look", "--generation", "2") == 0


def test_a_stopped_run_fails_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("stopped") == 1
    assert "why: end: Enough." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--input", "assets"], "is not NAME=VALUE"),
        (["--input", "assets=a", "--input", "assets=b"], "given twice"),
        (["--input", "asets=a"], 'did you mean "assets"'),
        (["--generation", "0"], "a generation is 1 or more"),
    ],
)
def test_bad_arguments_are_told_and_nothing_is_recorded(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _start("look", *words) == 2
    assert told in capsys.readouterr().err
    main(["runs", "list"])
    assert capsys.readouterr().out == "(none)\n"


@pytest.mark.parametrize("words", [["runs", "show", "RUN-x"], ["approvals", "show", "APR-x"]])
def test_an_unknown_id_is_bad_input(words: list[str]) -> None:
    assert main(words) == 2
