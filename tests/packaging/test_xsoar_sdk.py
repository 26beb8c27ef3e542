"""The pack before demisto-sdk itself, without a network: validation, strict models, the SDK's own zip, an upload."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import xsoar_pack
from support.needs import need_shared
from support.ports import reserve_port
from support.xsoar_builds import SDK, sdk_program, tree, unified, write_tree

pytestmark = pytest.mark.slow
SETTINGS = ("user.email=a@example.org", "user.name=a", "gc.auto=0", "maintenance.auto=false")
OURS_ONLY = {"detaileddescription", "display"}
"""The SDK adds that nobody supports a community pack."""


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A content root inside a git repository, as the SDK wants it."""
    root = tmp_path_factory.mktemp("repository")
    folder = write_tree(root / "packaging" / "xsoar", tree())
    commit_all(root)
    return folder


def commit_all(root: Path) -> None:
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Content"]):
        # git tidies up in the background, which would be in the way of whoever copies the folder.
        own = [part for setting in SETTINGS for part in ("-c", setting)]
        subprocess.run(["git", *own, *words], cwd=root, check=True)


def sdk(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{SDK / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "DEMISTO_SDK_IGNORE_CONTENT_WARNING": "true",
        "DEMISTO_SDK_CONTENT_PATH": str(folder),
        **more,
    }
    return subprocess.run(
        [sdk_program("demisto-sdk"), *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )


@pytest.mark.parametrize("configuration", ["offline2.toml", "offline.toml"])
def test_the_sdk_validates_the_pack(content: Path, configuration: str) -> None:
    settings = need_shared(f"tools/xsoar/{configuration}")
    done = sdk(content, "validate", "-i", "Packs/Snaphold", "--config-path", str(settings))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All validations passed" in done.stdout + done.stderr


def test_a_fault_that_the_sdk_knows_is_found(content: Path, tmp_path: Path) -> None:
    broken = tmp_path / "packaging" / "xsoar"
    shutil.copytree(content.parents[1] / ".git", tmp_path / ".git")
    shutil.copytree(content, broken)
    path = next((broken / "Packs/Snaphold/Playbooks").glob("*Ransomware*.yml"))
    path.write_text(path.read_text().replace("starttaskid: '0'", "starttaskid: '99'"))
    settings = need_shared("tools/xsoar/offline2.toml")
    done = sdk(broken, "validate", "-i", "Packs/Snaphold", "--config-path", str(settings))
    assert done.returncode == 1
    assert "PB103" in done.stdout + done.stderr


def test_the_strict_models_accept_every_file(content: Path) -> None:
    script = need_shared("tools/xsoar/strict.py")
    done = subprocess.run(
        [sdk_program("python"), str(script), "Packs"], cwd=content, capture_output=True, text=True, timeout=550, check=False
    )
    assert done.returncode == 0, done.stdout
    skipped = {line.split()[1].rstrip(":") for line in done.stdout.splitlines() if line.startswith("skip")}
    assert {Path(name).name for name in skipped} == {"dashboard-Snaphold.json", "list-SnapholdTiers_data.json"}


@pytest.fixture(scope="module")
def prepared(content: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """The files of the SDK's own zip."""
    out = tmp_path_factory.mktemp("prepared")
    done = sdk(content, "prepare-content", "-i", "Packs/Snaphold", "-o", str(out), "-mp", "xsoar")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(out / "Snaphold.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """The files of the zip that `zip-packs` makes; it works only where the content root is that of the repository.

    Its metadata.json names no items, unlike that of `prepare-content`, which ours is compared with.
    """
    root, out = tmp_path_factory.mktemp("content"), tmp_path_factory.mktemp("zipped")
    write_tree(root, tree())
    commit_all(root)
    done = sdk(root, "zip-packs", "-i", "Packs/Snaphold", "-o", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(out / "uploadable_packs" / "Snaphold.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture(params=["prepared", "zipped"])
def theirs(request: pytest.FixtureRequest) -> Mapping[str, bytes]:
    """The files of the zips that two commands of the SDK make."""
    return request.getfixturevalue(request.param)


def test_the_sdks_zips_hold_the_same_items(theirs: Mapping[str, bytes]) -> None:
    assert sorted(theirs) == sorted(unified())


def test_the_sdks_zips_have_the_same_content(theirs: Mapping[str, bytes]) -> None:
    for name, content in theirs.items():
        ours = unified()[name]
        if name == "metadata.json":
            continue
        if name.endswith(".json"):
            assert json.loads(ours) == json.loads(content), name
        elif name.endswith(".yml"):
            assert without(yaml.safe_load(ours)) == without(yaml.safe_load(content)), name
        else:
            assert ours == content, name


def without(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item without what the SDK adds, and its code without empty lines at the head."""
    kept = {key: value for key, value in item.items() if key not in OURS_ONLY}
    if isinstance(kept.get("script"), dict):
        kept["script"]["script"] = "".join(kept["script"]["script"].split())
    return kept


def test_the_sdks_zip_describes_the_same_items(prepared: Mapping[str, bytes]) -> None:
    theirs, ours = json.loads(prepared["metadata.json"]), json.loads(unified()["metadata.json"])
    for key in set(ours) - {"commit", "updated", "contentItems", "tags"}:  # the SDK tags a young pack as new
        assert ours[key] == theirs[key], key
    assert listed(ours) == listed(theirs)


def listed(metadata: Mapping[str, Any]) -> dict[str, set[tuple[str, str]]]:
    return {
        kind: {(item["id"], item["name"].partition(" (")[0]) for item in items}
        for kind, items in metadata["contentItems"].items()
    }


def wait_for_port(port: int) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


@pytest.mark.parametrize("version", ["6.14.0", "8.7.0"])
def test_the_zip_can_be_uploaded(content: Path, tmp_path: Path, version: str) -> None:
    fake = need_shared("tools/xsoar/fakesrv.py")
    archive = tmp_path / "Snaphold.zip"
    archive.write_bytes(xsoar_pack.zip_bytes(unified()))
    (tmp_path / "saved").mkdir()
    port = str(reserve_port())
    server = subprocess.Popen(
        [sys.executable, str(fake), "--port", port, "--version", version, "--save", str(tmp_path / "saved")],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_port(int(port))
        more = {"DEMISTO_BASE_URL": f"http://127.0.0.1:{port}", "DEMISTO_API_KEY": "test"}
        more |= {"XSIAM_AUTH_ID": "1"} if version.startswith("8") else {}
        done = sdk(content, "upload", "-i", str(archive), "--override-existing", **more)
    finally:
        server.terminate()
        server.wait(240)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(io.BytesIO((tmp_path / "saved" / "Snaphold.zip").read_bytes())) as saved:
        assert sorted(saved.namelist()) == sorted(unified())
