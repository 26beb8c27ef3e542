"""The XSOAR pack as it is built now, once for each test process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import xsoar_pack
from support.needs import missing
from support.xsoar_play import SHIM

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / ".venv-sdk"
IMAGE_PYTHONS = ("3.10", "3.11", "3.12")


@cache
def tree() -> Mapping[str, bytes]:
    """Return the content tree."""
    return xsoar_pack.build_tree()


@cache
def unified() -> Mapping[str, bytes]:
    """Return the files of the zip."""
    return xsoar_pack.unify(tree())


@cache
def integration() -> Mapping[str, Any]:
    """Return the unified integration."""
    return xsoar_pack._read(unified()["Integrations/integration-Snaphold.yml"])


@cache
def playbooks() -> Mapping[str, Mapping[str, Any]]:
    """Return the compiled playbooks by file name."""
    return {path: xsoar_pack._read(content) for path, content in unified().items() if path.startswith("Playbooks/")}


def write_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def sdk_program(name: str) -> str:
    """Return a program of the SDK's own environment."""
    path = SDK / "bin" / name
    if not path.exists():
        missing(f"{path} does not exist; `make .venv-sdk/.dev` makes it")
    return str(path)


def image_python(version: str) -> str:
    """Return an interpreter with the packages of the image and nothing else; this one when it is of that version."""
    path = ROOT / f".venv-image-{version}" / "bin" / "python"
    if path.exists():
        return str(path)
    if f"{sys.version_info[0]}.{sys.version_info[1]}" != version:
        missing(f"{path} does not exist; `make test` makes it where Python {version} is found")
    return sys.executable


def run_script(python: str, folder: Path, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Run the unified script for each request, in one process, and return what each gave to the war room."""
    script = folder / "script.py"
    script.write_text(integration()["script"]["script"], encoding="utf-8")
    done = subprocess.run(
        [python, "-I", str(SHIM / "run_script.py"), str(script)],
        input=json.dumps(list(requests)),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=folder,
    )
    assert done.stderr == "", done.stderr[-3000:]
    assert done.returncode == 0
    return json.loads(done.stdout)
