"""The built app's files: the schema of api.yaml, every trap of its loader, determinism, and what the class says."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import venv
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft202012Validator

import shuffle_apps
import shuffle_document
import shuffle_wheel
from snaphold import __version__
from snaphold.action import catalogue
from snaphold.soar.shuffle_names import METHODS, method_name
from snaphold.soar.shuffle_step import RESERVED
from support.needs import need_shared
from xsoar_pack import zip_bytes

pytestmark = pytest.mark.slow

FILES = shuffle_apps.app_files()
API_TEXT = FILES[f"{shuffle_apps.FOLDER}/api.yaml"].decode()
API: dict[str, Any] = yaml.safe_load(API_TEXT)
CODE = FILES[f"{shuffle_apps.FOLDER}/src/app.py"].decode()


def walk(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return every scalar with its path."""
    if isinstance(value, dict):
        return [pair for key, item in cast("dict[str, Any]", value).items() for pair in walk(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [pair for item in cast("list[Any]", value) for pair in walk(item, f"{path}[]")]
    return [(path, value)]


def test_api_yaml_fits_the_schema_of_the_loader() -> None:
    schema = json.loads(need_shared("tools/shuffle/app.schema.json").read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(API)] == []


def test_what_the_loader_demands_is_not_empty() -> None:
    assert all(API[key] for key in ("name", "description", "app_version"))
    assert API["contact_info"]["name"]


def test_flags_are_booleans_and_all_else_is_text_in_quotes() -> None:
    """A string for a boolean, a number for a text, or nothing at all makes the loader skip the app or change a value."""
    flags = {"required", "multiline", "auth_not_required"}
    for path, value in walk(API):
        assert isinstance(value, bool if path.rpartition(".")[2] in flags else str), path
    for line in API_TEXT.splitlines():
        value = line.partition(": ")[2]
        assert not value or value[0] in '"[{' or value in ("true", "false"), line


def test_lists_are_lists_and_objects_are_objects() -> None:
    for key in ("tags", "categories", "actions"):
        assert isinstance(API[key], list)
    for action in API["actions"]:
        assert isinstance(action["parameters"], list)
        assert isinstance(action["returns"], dict)
        for one in action["parameters"]:
            assert isinstance(one["schema"], dict)
            assert isinstance(one.get("options", []), list)


def test_there_is_no_tab_and_no_key_twice() -> None:
    assert "\t" not in API_TEXT

    class Strict(yaml.SafeLoader):
        """Refuses a key that stands twice."""

    def pairs(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Any]:
        keys = [cast("str", loader.construct_object(key)) for key, _ in node.value]  # pyright: ignore[reportUnknownMemberType]
        assert len(keys) == len(set(keys))
        return dict(zip(keys, (loader.construct_object(value, deep=True) for _, value in node.value), strict=True))  # pyright: ignore[reportUnknownMemberType]

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, pairs)
    yaml.load(API_TEXT, Loader=Strict)  # noqa: S506  it is a SafeLoader


def test_the_version_stays_text_and_names_the_folder() -> None:
    assert API["app_version"] == __version__
    assert f'"app_version": "{__version__}"' in API_TEXT
    assert shuffle_apps.FOLDER.endswith(f"/snaphold/{__version__}")


def test_a_version_such_as_1_10_would_stay_as_it_is() -> None:
    assert yaml.safe_load(shuffle_document.yaml_text({"app_version": "1.10"})) == {"app_version": "1.10"}


def test_the_pictures_are_png_data() -> None:
    for key in ("small_image", "large_image"):
        assert API[key].startswith("data:image/png;base64,iVBOR")


def test_every_action_and_every_method_of_the_class_agree() -> None:
    tree = ast.parse(CODE)
    (made,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {node.name: node for node in made.body if isinstance(node, ast.FunctionDef) and node.name != "__init__"}
    assert set(methods) == {action["name"] for action in API["actions"]}
    assert set(methods) == {method_name(name) for name in catalogue()} | {method.name for method in METHODS}
    access = {one["name"] for one in API["authentication"]["parameters"]}
    for action in API["actions"]:
        given = {argument.arg for argument in methods[action["name"]].args.args} - {"self"}
        named = {one["name"] for one in action["parameters"]}
        assert given == named | access, action["name"]
        assert not named & access, "the backend adds these itself"
        assert len(methods[action["name"]].args.defaults) == len(given), "a missing argument must not raise in the SDK"


def test_every_action_has_a_parameter_and_none_is_called_body() -> None:
    for action in API["actions"]:
        names = [one["name"] for one in action["parameters"]]
        assert names
        assert "body" not in names
        assert len(names) == len(set(names))
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in [action["name"], *names])


def test_every_parameter_has_an_example_and_no_option_is_taken_apart() -> None:
    for action in API["actions"]:
        for one in action["parameters"]:
            assert one["example"], f"{action['name']}.{one['name']}"
            assert all("||" not in option for option in one.get("options", []))


def test_what_needs_no_service_asks_for_no_authentication() -> None:
    free = {action["name"] for action in API["actions"] if action.get("auth_not_required")}
    assert free == {method.name for method in METHODS if not method.needs_service}


def test_no_output_has_a_name_that_the_answer_itself_uses() -> None:
    for entry in catalogue().values():
        assert not RESERVED & set(entry.result.model_fields)


def test_the_class_guards_itself_before_it_is_defined() -> None:
    assert CODE.index("refuse_templates(sdk)\n") < CODE.index("class Snaphold")
    assert "sys.exit" not in CODE
    assert "print(" not in CODE


def test_requirements_name_the_pinned_sdk_and_our_wheel_stands_beside_them() -> None:
    text = FILES[f"{shuffle_apps.FOLDER}/requirements.txt"].decode()
    assert text.split() == ["shuffle-sdk==0.0.41", f"snaphold=={__version__}"]
    assert f"{shuffle_apps.FOLDER}/wheels/{shuffle_wheel.NAME}" in FILES
    docker = FILES[f"{shuffle_apps.FOLDER}/Dockerfile"].decode()
    assert "--find-links /wheels" in docker
    assert "COPY wheels /wheels" in docker


def test_the_core_asks_for_no_requests_that_the_sdk_forbids() -> None:
    """shuffle-sdk pins requests 2.32.3; a floor of 2.32.4 could never be installed."""
    (line,) = [one for one in shuffle_wheel.requirements() if one.startswith("requests")]
    major, minor, patch = ([int(part) for part in line.partition(">=")[2].strip().split(".")] + [0, 0])[:3]
    assert (major, minor, patch) <= (2, 32, 3)


def test_two_builds_give_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        options = ["--build", str(tmp_path / name), "--dist", str(tmp_path / f"{name}-dist")]
        assert shuffle_apps.main(options) == 0
    packed = [next((tmp_path / f"{name}-dist").iterdir()).read_bytes() for name in ("one", "two")]
    assert packed[0] == packed[1]
    assert "sha256" in capsys.readouterr().out
    assert {entry.date_time for entry in zipfile.ZipFile(BytesIO(packed[0])).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_zip_holds_the_app_and_every_workflow() -> None:
    names = set(zipfile.ZipFile(BytesIO(zip_bytes({**FILES, **shuffle_apps.workflow_files()}))).namelist())
    assert {f"{shuffle_apps.FOLDER}/{name}" for name in ("api.yaml", "Dockerfile", "src/app.py", "requirements.txt")} <= names
    assert "workflows/ransomware-response.json" in names


@pytest.mark.slow
def test_pip_installs_the_wheel_and_the_app_can_be_imported_from_it(tmp_path: Path) -> None:
    path = tmp_path / shuffle_wheel.NAME
    path.write_bytes(shuffle_wheel.wheel_bytes())
    venv.create(tmp_path / "venv", with_pip=True, system_site_packages=False)
    python = tmp_path / "venv" / "bin" / "python"
    run = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(path)]
    assert subprocess.run(run, capture_output=True, timeout=280, check=False).returncode == 0
    shown = subprocess.run(
        [str(python), "-m", "pip", "show", "-f", "snaphold"], capture_output=True, text=True, timeout=240, check=True
    ).stdout
    assert f"Version: {__version__}" in shown
    assert "snaphold/soar/shuffle.py" in shown
    assert "snaphold/playbooks/ransomware-response.yaml" in shown
    assert sys.version_info >= (3, 10)
