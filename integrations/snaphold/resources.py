"""Finds the data folders (playbooks, schemas), whether installed from a wheel or run from a checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def folder(name: str) -> Path:
    """Return the directory of shipped data called `name` (`playbooks` or `schemas`).

    A wheel carries it inside the package; a checkout keeps it at the top level.
    """
    inside = Path(str(files("snaphold"))) / name
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / name
