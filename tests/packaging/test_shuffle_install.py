"""The installer against a backend that gives new ids, answers 401 without a reason, and sometimes loses things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shuffle_install import main
from shuffle_workflows import links_of, own_id
from snaphold import __version__
from snaphold.playbook.load import load_parts, load_playbook
from snaphold.resources import folder
from snaphold.targets.shuffle import compile_shuffle
from support.needs import need_shared
from support.shuffle_backend import KEY, Backend, backend

pytestmark = pytest.mark.slow

SECRET = "webhook-secret-of-the-test"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ransomware-response and all that it calls."""
    place = tmp_path_factory.mktemp("workflows")
    loaded = load_playbook(folder("playbooks") / "ransomware-response.yaml")
    parts = load_parts(loaded)
    for one in [loaded, *parts.values()]:
        for name, content in compile_shuffle(one, parts).files.items():
            (place / name).write_bytes(content)
    return place


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("SHUFFLE_KEY", KEY)
    monkeypatch.setenv("HOOK_SECRET", SECRET)


def run(compiled: Path, server: Backend, *more: str) -> int:
    options = ["--url", server.url, "--api-key", "env:SHUFFLE_KEY", "--webhook-secret", "env:HOOK_SECRET"]
    return main([str(compiled), *options, *more])


def app() -> list[dict[str, Any]]:
    return [{"name": "Snaphold", "app_version": __version__}]


def writes(server: Backend) -> int:
    return len([call for call in server.calls if call[0] != "GET"])


def test_everything_lands_with_links_to_the_new_ids(compiled: Path) -> None:
    with backend(apps=app()) as server:
        assert run(compiled, server, "--authentication-id", "auth-1", "--environment", "onprem") == 0
        stored = server.workflows
    assert len(stored) == len(list(compiled.glob("*.json")))
    for id, document in stored.items():
        assert document["id"] == id
        assert own_id(document) != id
        assert set(links_of(document)) <= set(stored)
        assert {node["environment"] for node in [*document["actions"], *document["triggers"]]} <= {"onprem"}
        for action in document["actions"]:
            assert ("authentication_id" in action) is ("_" in action["name"] and not is_helper(action["name"]))


def is_helper(name: str) -> bool:
    from snaphold.soar.shuffle_names import METHODS

    return name in {method.name for method in METHODS if not method.needs_service}


def test_what_is_written_fits_the_schema_of_shuffle(compiled: Path) -> None:
    schema = json.loads(need_shared("tools/shuffle/wf.schema.json").read_text())
    check = Draft202012Validator(schema)
    with backend(apps=app(), fits=check.is_valid) as server:
        assert run(compiled, server) == 0


def test_the_webhook_has_its_url_and_a_secret_and_is_started(compiled: Path) -> None:
    with backend(apps=app()) as server:
        assert run(compiled, server) == 0
        (hook,) = server.hooks
        triggers = [t for document in server.workflows.values() for t in document["triggers"] if t["trigger_type"] == "WEBHOOK"]
        (trigger,) = triggers  # the parts are started by their caller only
        values = [(one["name"], one["value"]) for one in trigger["parameters"]]
        assert values[:3] == [
            ("url", f"{server.url}/api/v1/hooks/webhook_{trigger['id']}"),
            ("tmp", f"webhook_{trigger['id']}"),
            ("auth_headers", f"X-Snaphold-Webhook: {SECRET}"),
        ]
    assert hook["workflow"] in server.workflows
    assert hook["auth"] == f"X-Snaphold-Webhook: {SECRET}"


def test_a_webhook_without_a_secret_is_not_started(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with backend(apps=app()) as server:
        assert main([str(compiled), "--url", server.url, "--api-key", "env:SHUFFLE_KEY"]) == 3
        assert server.hooks == []
    assert "webhook is not started" in capsys.readouterr().err


def test_a_second_installation_writes_no_workflow(compiled: Path) -> None:
    with backend(apps=app()) as server:
        assert run(compiled, server) == 0
        server.calls.clear()
        assert run(compiled, server) == 0
        assert [path for method, path in server.calls if method == "PUT"] == []
        assert [path for method, path in server.calls if method == "POST"] == ["/api/v1/hooks/new"]


def test_an_installation_that_broke_is_taken_up_without_doubles(compiled: Path) -> None:
    with backend(apps=app(), break_after=4) as server:
        assert run(compiled, server) == 1
        server.break_after = 10_000
        assert run(compiled, server) == 0
        assert len(server.workflows) == len(list(compiled.glob("*.json")))


def test_what_was_changed_by_hand_is_kept_until_it_is_to_be_overwritten(
    compiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with backend(apps=app()) as server:
        assert run(compiled, server) == 0
        changed = next(d for d in server.workflows.values() if d["name"].endswith("tell the approvers"))
        changed["actions"].append({"id": "mail", "label": "mail", "name": "send", "app_name": "email", "parameters": []})
        assert run(compiled, server) == 3
        assert "changed by hand" in capsys.readouterr().err
        assert len(changed["actions"]) == 3
        assert run(compiled, server, "--overwrite") == 0
        now = server.workflows[changed["id"]]
        assert len(now["actions"]) == 2


@pytest.mark.parametrize("lost", ["branches", "actions", "triggers"])
def test_what_the_server_loses_is_named(compiled: Path, capsys: pytest.CaptureFixture[str], lost: str) -> None:
    def spoil(document: dict[str, Any]) -> None:
        document[lost] = document[lost][1:]

    with backend(apps=app(), spoil=spoil) as server:
        assert run(compiled, server) == 3
    assert "is missing" in capsys.readouterr().err


def test_a_changed_condition_is_named(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def spoil(document: dict[str, Any]) -> None:
        for branch in document["branches"][-1:]:
            branch["conditions"] = []

    with backend(apps=app(), spoil=spoil) as server:
        assert run(compiled, server) == 3
    assert "differs" in capsys.readouterr().err


def test_a_server_without_the_app_is_a_difference(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with backend(apps=[{"name": "Snaphold", "app_version": "0.0.1"}]) as server:
        assert run(compiled, server) == 3
    assert f"the app Snaphold {__version__} is not installed" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with backend(apps=app()) as server:
        assert run(compiled, server, "--dry-run") == 0
        assert writes(server) == 0
    assert "would make Snaphold ransomware-response" in capsys.readouterr().out


def test_a_wrong_key_is_told_and_never_shown(
    compiled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUFFLE_KEY", "another-key-0123456789")
    with backend() as server:
        assert run(compiled, server) == 4
    told = capsys.readouterr()
    assert "refuses" in told.err
    assert "another-key-0123456789" not in told.err + told.out


def test_json_that_the_server_cannot_read_is_told_as_a_possible_cause(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def is_empty(document: Any) -> bool:
        return "actions" not in document

    with backend(fits=is_empty) as server:
        assert run(compiled, server) == 4
    assert "could not read the JSON" in capsys.readouterr().err


def test_a_missing_part_stops_everything_before_it_begins(
    compiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.json").write_bytes((compiled / "ransomware-response.json").read_bytes())
    with backend() as server:
        assert run(tmp_path, server) == 2
        assert server.calls == []
    assert "needs a workflow that is not in" in capsys.readouterr().err


def test_two_files_of_one_id_are_refused(compiled: Path, tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_bytes((compiled / "snapshot-asset.json").read_bytes())
    with backend() as server:
        assert run(tmp_path, server) == 2


def test_two_copies_on_the_server_are_refused(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with backend(apps=app()) as server:
        assert run(compiled, server) == 0
        twin = next(iter(server.workflows.values()))
        server.workflows["twin"] = {**twin, "id": "twin"}
        assert run(compiled, server) == 2
    assert "more than one copy" in capsys.readouterr().err


def test_a_folder_without_workflows_is_refused(tmp_path: Path) -> None:
    with backend() as server:
        assert run(tmp_path, server) == 2
