"""Builds Snaphold's own wheel in memory, the same bytes on every machine; the Shuffle app carries it in `wheels/`."""

from __future__ import annotations

import base64
import configparser
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from snaphold import __version__
from xsoar_pack import zip_bytes

ROOT = Path(__file__).resolve().parents[1]
NAME = f"snaphold-{__version__}-py3-none-any.whl"
_DATA = (".py", ".yaml", ".json", ".css", ".typed", ".html")
_BESIDE = {"playbooks": "snaphold/playbooks", "schemas": "snaphold/schemas"}


def wheel_bytes() -> bytes:
    """Return the wheel: every module and data file of the package, with the metadata of setup.cfg."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    files = dict(_package_files())
    info = f"snaphold-{__version__}.dist-info"
    files[f"{info}/METADATA"] = _metadata(settings).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: snaphold\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    scripts = settings["options.entry_points"]["console_scripts"].strip()
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}\n".encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD").encode()
    return zip_bytes(files)


def requirements() -> list[str]:
    """Return what setup.cfg says that the core needs."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    return settings["options"]["install_requires"].split("\n")[1:]


def _package_files() -> Iterator[tuple[str, bytes]]:
    for top, inside in ((ROOT / "integrations" / "snaphold", "snaphold"), *((ROOT / a, b) for a, b in _BESIDE.items())):
        for path in sorted(top.rglob("*")):
            if path.is_file() and path.suffix in _DATA and "__pycache__" not in path.parts:
                yield f"{inside}/{path.relative_to(top).as_posix()}", path.read_bytes()


def _metadata(settings: configparser.ConfigParser) -> str:
    told = settings["metadata"]
    lines = ["Metadata-Version: 2.1", "Name: snaphold", f"Version: {__version__}", f"Summary: {told['description']}"]
    lines += [f"License: {told['license']}", f"Requires-Python: {settings['options']['python_requires']}"]
    lines += [f"Requires-Dist: {line.replace(' ', '')}" for line in requirements()]
    return "\n".join(lines) + "\n"


def _record(files: Mapping[str, bytes], own: str) -> str:
    rows: list[str] = []
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}")
    return "\n".join([*rows, f"{own},,"]) + "\n"
