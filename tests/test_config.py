from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from snaphold.config import Configuration, find_configuration, load_configuration, select_playbook
from snaphold.domain.incident import Incident
from snaphold.errors import ConfigurationError, InputError
from support.incident_context import make_configuration, make_context

INVALID = Path(__file__).parent / "data/configuration/invalid"
EXAMPLES = sorted(path.stem for path in INVALID.glob("*.yaml"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_mistake_is_told_as_expected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(INVALID)
    with pytest.raises(InputError) as caught:
        load_configuration(Path(f"{name}.yaml"))
    assert f"{caught.value}\n" == Path(f"{name}.txt").read_text(encoding="utf-8")
    assert caught.value.exit_code == 2


def test_every_expected_message_has_its_example() -> None:
    assert sorted(path.stem for path in INVALID.glob("*.txt")) == EXAMPLES
    assert len(EXAMPLES) > 50


def test_an_inline_secret_is_never_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(INVALID / "inline-secret.yaml")
    assert "hunter2" in (INVALID / "inline-secret.yaml").read_text(encoding="utf-8")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.problems)


def test_several_faults_are_all_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "snaphold.yaml"
    path.write_text(
        "organisation: {name: X}\ntiers:\n  - {id: T0, level: 0, impact: a, rto: 1h, rpo: 1h}\n"
        "assets:\n  - {id: a, kind: server, owner: x, tier: T1}\n  - {id: a, kind: server, owner: x, tier: T2}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path)
    assert [problem.field for problem in caught.value.problems] == ["assets.1.id", "assets.0.tier", "assets.1.tier"]
    assert all(problem.location for problem in caught.value.problems)


def test_a_configuration_without_a_file_is_checked_too() -> None:
    with pytest.raises(ValueError, match=r"assets\.0\.tier: there is no tier 'T7'"):
        make_configuration(assets=[{"id": "a", "kind": "server", "owner": "x", "tier": "T7"}])


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "snaphold.yaml"
    path.parent.mkdir()
    path.write_text("organisation: {name: X}\ntiers:\n  - {id: T0, level: 0, impact: a, rto: 1h, rpo: 1h}\n")
    configuration = load_configuration(path)
    assert configuration.state_folder == tmp_path / "etc/state"
    assert configuration.path("/absolute") == Path("/absolute")


def test_the_file_is_looked_for_in_the_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)
    with pytest.raises(ConfigurationError, match="there is no configuration"):
        find_configuration(None)
    in_home = tmp_path / "home/.config/snaphold/snaphold.yaml"
    in_home.parent.mkdir(parents=True)
    in_home.touch()
    assert find_configuration(None) == in_home
    (tmp_path / "snaphold.yaml").touch()
    assert find_configuration(None) == Path("snaphold.yaml")
    monkeypatch.setenv("SNAPHOLD_CONFIG", "/elsewhere.yaml")
    assert find_configuration(None) == Path("/elsewhere.yaml")
    assert find_configuration(Path("given.yaml")) == Path("given.yaml")


RULES = [
    {"severity": 1, "playbook": "any"},
    {"severity": 1, "category": "ransomware", "playbook": "ransomware-response"},
    {"severity": 2, "category": "insider", "playbook": "insider"},
]


def incident(**changes: Any) -> Incident:
    return make_context().incident.model_copy(update=changes)


def test_the_rule_of_the_category_wins_over_the_general_one() -> None:
    configuration = make_configuration(severities=RULES)
    assert select_playbook(configuration, incident()).playbook == "ransomware-response"
    assert select_playbook(configuration, incident(category="intrusion")).playbook == "any"


def test_an_incident_without_a_rule_is_refused_and_says_which_rules_there_are() -> None:
    configuration = make_configuration(severities=RULES)
    with pytest.raises(InputError, match="severity 2") as caught:
        select_playbook(configuration, incident(severity=2))
    assert "rules of that severity are for: insider" in str(caught.value)
    with pytest.raises(InputError, match="severity 5"):
        select_playbook(configuration, incident(severity=5))


@pytest.mark.slow
def test_a_hundred_thousand_assets_load_in_reasonable_time(tmp_path: Path) -> None:
    path = tmp_path / "snaphold.yaml"
    assets = "".join(
        f"  - id: asset-{number}\n    kind: database\n    owner: team\n    tags: {{site: north}}\n" for number in range(100_000)
    )
    head = "organisation: {name: X}\ntiers:\n  - {id: T0, level: 0, impact: a, rto: 1h, rpo: 1h}\nassets:\n"
    path.write_text(head + assets)
    started = time.process_time()
    configuration: Configuration = load_configuration(path)
    assert len(configuration.assets) == 100_000
    assert time.process_time() - started < 60
