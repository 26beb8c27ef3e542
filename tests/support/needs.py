"""Tools that a test needs. Missing on a laptop: the test is skipped and says why. Missing in CI: it fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


def need_program(name: str) -> str:
    """Return the path of a program."""
    found = shutil.which(name)
    if found is None:
        _missing(f"the program {name} is not installed")
    return str(found)


def need_shared(relative: str) -> Path:
    """Return a path below the shared folder that stands beside the checkout."""
    path = SHARED / relative
    if not path.exists():
        _missing(f"{path} does not exist; it stands beside the checkout where the project is developed")
    return path


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
