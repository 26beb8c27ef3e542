"""A service for each test."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from support.service_lab import ServiceLab, serving


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ServiceLab]:
    """A service with toy actions that answers with a job after 0.3 s."""
    with serving(tmp_path, monkeypatch, longest_wait=1.5) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServiceLab]:
    """One service for all requests of a module that change nothing."""
    with pytest.MonkeyPatch.context() as patch, serving(tmp_path_factory.mktemp("shared"), patch) as found:
        yield found
