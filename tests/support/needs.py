"""Tools that a test needs. Missing on a laptop: the test is skipped and says why. Missing in CI: it fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


def need_program(name: str) -> str:
    """Return the path of a program."""
    found = shutil.which(name)
    if found is None:
        missing(f"the program {name} is not installed")
    return str(found)


def need_shared(relative: str) -> Path:
    """Return a path below the shared folder that stands beside the checkout."""
    path = SHARED / relative
    if not path.exists():
        missing(f"{path} does not exist; it stands beside the checkout where the project is developed")
    return path


def missing(reason: str) -> NoReturn:
    """Skip the test for this reason; where CI=true, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
