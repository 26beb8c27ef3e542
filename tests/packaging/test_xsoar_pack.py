"""The pack's tree and zip: reproducible, whole, and free of the traps that the SDK does not see."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import xsoar_pack
from snaphold import __version__
from snaphold.action import Effect, catalogue
from snaphold.soar import xsoar_names as names
from snaphold.soar.xsoar_fields import FIELDS, SHOWN
from support.xsoar_builds import ROOT, integration, playbooks, tree, unified
from xsoar_embed import literal, package_sources
from xsoar_image import HEIGHT, LARGEST_BYTES, WIDTH, image

pytestmark = pytest.mark.slow


def test_every_action_has_a_command_and_those_that_write_are_marked() -> None:
    commands = {command["name"]: command for command in integration()["script"]["commands"]}
    for name, entry in catalogue().items():
        command = commands[names.command_name(name)]
        assert command.get("execution", False) is (entry.effect is not Effect.READS)
        assert set(entry.request.model_fields) <= {argument["name"] for argument in command["arguments"]}
        assert {output["contextPath"].rpartition(".")[2] for output in command["outputs"]} == set(entry.result.model_fields)


def test_commands_and_arguments_are_distinct_and_described() -> None:
    commands = integration()["script"]["commands"]
    assert len({command["name"] for command in commands}) == len(commands)
    for command in commands:
        arguments = command.get("arguments", [])
        assert len({argument["name"] for argument in arguments}) == len(arguments), command["name"]
        described = [*arguments, *command.get("outputs", [])]
        assert all(one["description"].endswith(".") for one in described), command["name"]
        assert all(output["contextPath"].startswith("Snaphold.") for output in command.get("outputs", []))


def test_polling_commands_declare_what_polling_adds_and_hide_it_without_a_default() -> None:
    for command in integration()["script"]["commands"]:
        arguments = {argument["name"]: argument for argument in command.get("arguments", [])}
        assert command.get("polling", False) is (command["name"] in names.commands())
        if command.get("polling"):
            assert arguments["hide_polling_output"]["hidden"] is True
            assert "defaultValue" not in arguments["hide_polling_output"]
            assert {"interval_in_seconds", "timeout_in_seconds", "job_id", "began"} <= set(arguments)


def test_the_token_is_a_credential_without_a_user_name() -> None:
    parameters = {parameter["name"]: parameter for parameter in integration()["configuration"]}
    assert parameters["credentials"]["type"] == 9
    assert parameters["credentials"]["hiddenusername"] is True
    assert parameters["url"]["defaultvalue"].startswith("https://")


def test_fields_are_prefixed_and_those_that_playbooks_show_exist() -> None:
    titles = {field.title for field in FIELDS}
    assert all(
        field.cli_name.startswith("snaphold") and field.cli_name.isalnum() and field.cli_name.islower() for field in FIELDS
    )
    assert set(SHOWN.values()) <= titles
    for (action, output), _ in SHOWN.items():
        assert output in catalogue()[action].result.model_fields


def test_the_self_check_looks_for_every_item_of_the_pack() -> None:
    listed = json.loads(unified()["metadata.json"])["contentItems"]
    found = [dict(item) for item in playbooks().values()]
    checked = xsoar_pack.expected_items(__version__, found)["items"]
    kinds = {"incidentfield": "incident field", "incidenttype": "incident type", "layoutscontainer": "layout"}
    for kind, items in listed.items():
        assert {item["id"] for item in items} == set(checked[kinds.get(kind, kind)]), kind


def test_layout_and_type_name_what_the_pack_holds() -> None:
    layout = json.loads(unified()["Layouts/layoutscontainer-Snaphold_Request.json"])
    kind = json.loads(unified()["IncidentTypes/incidenttype-Snaphold_Request.json"])
    shown = {item["fieldId"] for section in layout["detailsV2"]["tabs"][0]["sections"] for item in section["items"]}
    assert shown == {field.cli_name for field in FIELDS}
    assert kind["layout"] == layout["id"]
    playbooks = {
        yaml.safe_load(content)["id"] for path, content in unified().items() if path.startswith("Playbooks/playbook-Snaphold_-_R")
    }
    assert kind["playbookId"] in playbooks
    widgets = [place["widget"]["name"] for place in json.loads(unified()["Dashboards/dashboard-Snaphold.json"])["layout"]]
    assert widgets == ["Mean time to backup", "Success rate", "Open holds"]


def test_the_list_holds_the_tier_table() -> None:
    data = json.loads(json.loads(unified()["Lists/list-SnapholdTiers.json"])["data"])
    assert [tier["level"] for tier in data] == [0, 1, 2]


def test_the_image_is_a_small_png_of_the_size_that_the_sdk_wants() -> None:
    content = image()
    assert struct.unpack(">II", content[16:24]) == (WIDTH, HEIGHT) == (120, 50)
    assert len(content) <= LARGEST_BYTES


def test_the_zip_is_sorted_of_1980_and_holds_no_test() -> None:
    content = xsoar_pack.zip_bytes(unified())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {(entry.date_time, entry.external_attr, entry.create_system) for entry in entries} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644 << 16, 3)
    }
    assert not [entry.filename for entry in entries if "test" in entry.filename.lower() or entry.filename.endswith("_README.md")]


def test_yaml_without_libyaml_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(yaml.SafeDumper):
        """The dumper of a Python without libyaml."""

    Slow.add_representer(str, xsoar_pack._text)
    path = "Packs/Snaphold/Integrations/Snaphold/Snaphold.yml"
    monkeypatch.setattr(xsoar_pack, "_Dumper", Slow)
    item = yaml.safe_load(tree()[path])
    assert xsoar_pack._yaml(item).encode() == tree()[path]


def test_two_builds_in_two_processes_are_the_same_to_the_byte(tmp_path: Path) -> None:
    found: list[str] = []
    for name, seed in (("one", "1"), ("two", "2")):
        words = [
            sys.executable,
            str(ROOT / "packaging/xsoar_pack.py"),
            "--build",
            str(tmp_path / name),
            "--dist",
            str(tmp_path / name / "d"),
        ]
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONHASHSEED": seed,
            "TZ": f"UTC{seed}",
            "PYTHONPATH": str(ROOT / "integrations"),
        }
        (tmp_path / name).mkdir()
        words[3] = str(tmp_path / name / "b")
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
        found.append(digest((tmp_path / name / "d" / f"Snaphold-xsoar-{__version__}.zip").read_bytes()))
        assert "modules of the package inside" in done.stdout
    assert found == [digest(xsoar_pack.zip_bytes(unified()))] * 2


def digest(content: bytes) -> str:
    """Return what tells two contents apart: pytest would explain for minutes how two archives differ."""
    return hashlib.sha256(content).hexdigest()


def test_the_embedded_package_is_readable_and_only_what_is_needed() -> None:
    sources = package_sources()
    assert "snaphold/soar/xsoar.py" in sources
    left_out = ("snaphold/cli/", "snaphold/service/", "snaphold/engine/", "snaphold/demo/")
    # The settings of the service are a part of the configuration, and so of every action's context.
    settings = {"snaphold/service/__init__.py", "snaphold/service/settings.py"}
    assert not [path for path in sources if path.startswith(left_out) and path not in settings]
    text = "\n".join(sources.values())
    for heavy in ("sqlalchemy", "dbos", "jsonschema"):
        assert f"\nimport {heavy}" not in text
        assert f"\nfrom {heavy}" not in text
    for source in (*sources.values(), "a'''b\n", "no end", "back\\slash\n"):
        assert eval(literal(source)) == source  # noqa: S307


def test_each_version_after_the_first_has_release_notes() -> None:
    assert "Packs/Snaphold/ReleaseNotes/2_0_0.md" in xsoar_pack.build_tree("2.0.0")
    assert not [path for path in xsoar_pack.build_tree("1.0.0") if "ReleaseNotes" in path]
