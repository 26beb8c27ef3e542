"""`snaphold playbook`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snaphold.cli.commands import playbook as command
from snaphold.cli.main import main
from snaphold.playbook.schema import schema_text
from support.playbooks import HEAD, known_actions


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder, against the catalogue for tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)
    monkeypatch.setattr("snaphold.playbook.lint.catalogue", known_actions)
    monkeypatch.setattr(command, "catalogue", known_actions)


def write(name: str, body: str) -> str:
    Path(name).write_text(HEAD.replace("name: trial", f"name: {Path(name).stem}") + body)
    return name


def test_the_shipped_playbook_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "lint", "ransomware-response"]) == 0
    assert capsys.readouterr().out == "8 playbooks checked: 0 errors, 0 warnings\n"


def test_all_problems_stand_in_one_table_and_the_exit_code_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    one = write("one.yaml", "steps:\n  - {id: a, do: report.sumary}\n")
    two = write("two.yaml", "steps:\n  - {id: a, do: report.summary}\n  - {id: a, stop: Enough.}\n")
    assert main(["playbook", "lint", one, two]) == 2
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "PLACE SEVERITY PROBLEM HINT",
        "one.yaml:9:17 error there is no action 'report.sumary' did you mean \"report.summary\"?",
        "two.yaml:10:10 error the id 'a' stands twice first at two.yaml:9:10",
        "",
        "2 playbooks checked: 2 errors, 0 warnings",
    ]


def test_warnings_alone_give_3(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("warn.yaml", "inputs:\n  size: {type: integer, default: 1}\nsteps:\n  - {id: a, do: report.summary}\n")
    assert main(["playbook", "lint", path, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "files": [path],
        "errors": 0,
        "warnings": 1,
        "problems": [
            {
                "path": path,
                "line": 9,
                "column": 3,
                "severity": "warning",
                "field": "",
                "message": "nothing uses the input 'size'",
                "hint": "",
            }
        ],
    }


def test_a_file_that_is_no_playbook_is_a_problem_not_a_crash(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.yaml").write_text("steps: [\n")
    assert main(["playbook", "lint", "broken.yaml"]) == 2
    assert "broken.yaml:2:1" in capsys.readouterr().out


def test_a_playbook_that_is_not_there_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "lint", "ransomware-respons"]) == 2
    assert 'did you mean "ransomware-response"?' in capsys.readouterr().err


def test_show_tells_steps_gates_deadlines_and_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "show", "ransomware-response"]) == 0
    out = capsys.readouterr().out
    for text in (
        "change record",
        "sha256",
        'if $capacity.route == "none"',
        "ask group/incident-managers within 15m: Back up $order.ordered",
        "then ask group/ciso-oncall within 10m",
        "an approval grants backup-emergency for 2h",
        "when nobody answers: take_over, then stop",
        "for each of $order.waves, 1 at a time",
        "any other failure: take_over, then stop",
        "evidence.seal",
    ):
        assert text in out


def test_show_gives_programs_the_playbook_its_digest_and_its_gates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "show", "ransomware-response", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["gates"][0]["waits"] == "25m"
    assert document["gates"][0]["quorum"] == "$authority.approvals"
    assert {"seal-evidence", "snapshot-asset", "snapshot-primary"} <= {part["name"] for part in document["parts"]}
    assert document["playbook"]["digest"] == document["digest"]
    effects = {action["action"]: action["effect"] for action in document["actions"]}
    assert effects["backup.start"] == "writes"
    assert effects["backup.status"] == "reads"


def test_list_names_version_and_change_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "list", "--json"]) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["playbooks"]}
    assert {"ransomware-response", "snapshot-primary", "snapshot-asset"} <= set(found)
    assert found["snapshot-primary"]["version"] == "1.1.0"


def test_schema_prints_the_shipped_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playbook", "schema"]) == 0
    assert capsys.readouterr().out == schema_text()
