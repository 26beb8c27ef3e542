"""Cassettes: as the simulators answer now, played without them, and without a secret."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml

from snaphold.config import Configuration
from snaphold.platforms.registry import open_platform
from snaphold.simulators.registry import simulators
from support.cassette_scenes import PLAYED_SECRET, SCENES, results_path, set_played_credentials
from support.cassettes import FOLDER, HIDDEN, clean_body, path_of, secrets_in
from support.golden import Golden
from support.incident_context import make_context
from support.quick_retries import no_pauses

_PUBLIC = frozenset({"username", "from"})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    no_pauses(monkeypatch)


def known_secrets() -> set[str]:
    made = [kind().credentials() for kind in simulators().values()]
    return {secret for given in made for name, secret in given.items() if name not in _PUBLIC} | {PLAYED_SECRET}


def test_every_simulator_has_a_cassette() -> None:
    assert set(SCENES) == set(simulators())
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(
        f"{name}.{end}" for name in SCENES for end in ("json", "yaml")
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SCENES))
def test_a_cassette_is_up_to_date(name: str, tmp_path: Path, golden: Golden) -> None:
    scene = SCENES[name](name)
    scene.record(tmp_path)
    golden.check(f"tests/cassettes/{name}.yaml", scene.recorder.text)
    golden.check(f"tests/cassettes/{name}.json", scene.shown())


@pytest.mark.parametrize("name", sorted(SCENES))
def test_an_adapter_does_the_same_from_a_cassette(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = SCENES[name](name)
    cassette = scene.play(tmp_path, monkeypatch)
    assert cassette.all_played
    assert scene.shown() == results_path(name).read_text(encoding="utf-8")


def test_a_cassette_plays_with_vcrpy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import vcr

    kept = json.loads(results_path("pagerduty").read_text(encoding="utf-8"))
    configuration = Configuration.model_validate(kept["configuration"])
    integration = configuration.integrations[0]
    set_played_credentials(configuration, monkeypatch)
    play: Any = vcr.use_cassette
    with play(str(path_of("pagerduty")), record_mode="none", match_on=("method", "scheme", "host", "path")):
        case = open_platform(integration, configuration).read_incident(kept["reference"])
    assert case.title == "Ransomware on the file server"


@pytest.mark.parametrize("name", ["pagerduty", "servicenow"])
def test_an_action_as_a_soar_calls_it_runs_from_a_cassette(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from snaphold.actions.incident import ReadIncident, read

    scene = SCENES[name](name)
    kept = json.loads(results_path(name).read_text(encoding="utf-8"))
    configuration = Configuration.model_validate(kept["configuration"]).placed_at(tmp_path)
    set_played_credentials(configuration, monkeypatch)
    with scene.recorder.playing():
        answer = read(ReadIncident(reference=kept["reference"]), make_context(configuration=configuration))
    assert (answer.title, answer.status) == ("Ransomware on the file server", "open")


@pytest.mark.parametrize("name", sorted(SCENES))
def test_no_cassette_holds_a_secret(name: str) -> None:
    assert secrets_in(path_of(name).read_text(encoding="utf-8"), known_secrets()) == []
    told = results_path(name).read_text(encoding="utf-8")
    assert [secret for secret in known_secrets() if secret in told] == []


def seeded(**changes: Any) -> str:
    """Return a cassette of one call, into which something was put that must not be there."""
    request = {"method": "POST", "uri": "https://vendor.example.org/x", "body": "", "headers": {}}
    response = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": changes.pop("answer", "{}")}}
    return yaml.safe_dump({"version": 1, "interactions": [{"request": {**request, **changes}, "response": response}]})


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"Authorization": ["Bearer 0123456789abcdef"]}},
        {"headers": {"Authtoken": ["QSDK 0123456789abcdef"]}},
        {"headers": {"Cookie": ["session=1"]}},
        {"uri": "https://vendor.example.org/x?api_key=0123456789"},
        {"uri": "https://ana:open-sesame@vendor.example.org/x"},
        {"body": "grant_type=password&username=ana&password=open-sesame"},
        {"body": '{"outer": [{"routing_key": "0123456789"}]}'},
        {"answer": '{"access_token": "0123456789"}'},
        {"answer": '{"note": "-----BEGIN OPENSSH PRIVATE KEY-----"}'},
        {"answer": '{"note": "AKIAIOSFODNN7EXAMPLE"}'},
        {"answer": '{"note": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJlMTIz"}'},
        {"answer": '{"note": "a-known-secret"}'},
        {"answer": json.dumps({"note": b64encode(b"a-known-secret").decode()})},
    ],
    ids=str,
)
def test_a_secret_that_was_put_into_a_cassette_is_found(changes: dict[str, Any]) -> None:
    assert secrets_in(seeded(), ["a-known-secret"]) == []
    assert secrets_in(seeded(**changes), ["a-known-secret"])


def test_what_is_cleaned_keeps_all_but_secrets_and_times() -> None:
    assert clean_body(b'{"token": "abc", "at": "2026-01-02T03:04:05.678Z", "n": [1]}') == (
        f'{{"at": "2026-11-22T18:00:00Z", "n": [1], "token": "{HIDDEN}"}}'
    )
    assert clean_body("username=ana&password=open") == f"username=ana&password={HIDDEN}"
    assert clean_body("plain text, 1799999999") == "plain text, 1795370400"
    assert clean_body(None) == ""
