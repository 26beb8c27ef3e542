"""Fixtures for all tests."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from snaphold.clock import FixedClock


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands at a fixed time."""
    return FixedClock(datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc))
