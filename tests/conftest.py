"""Fixtures for all tests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from snaphold import action, secrets
from snaphold.clock import FixedClock
from snaphold.http_guard import forget_everything
from support.golden import Golden
from support.postgres import Postgres, run_postgres
from support.quick_retries import patient
from support.seaweed import Seaweed, run_seaweed

# A deadline for each example would be an absolute time in a test; in CI the examples are the same every time.
settings.register_profile("snaphold", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("snaphold"), derandomize=True, print_blob=True)
TESTS = Path(__file__).parent
SERVED = (
    "browser/", "conformance/", "platforms/", "providers/", "service/", "simulators/", "webhooks/", "soar/test_client.py",
    "soar/test_products.py", "soar/test_vendor", "soar/test_xsoar_follow.py",
    "test_case_loop.py", "test_cassettes.py", "test_http", "cli/commands/test_db.py", "cli/commands/test_worker.py",
    "engine/test_tenures.py", "engine/test_worker.py", "ledger/test_postgresql.py", "ledger/test_upgrade.py",
)  # fmt: skip
"""Folders and files whose tests start servers."""
settings.load_profile("ci" if os.environ.get("CI") == "true" else "snaphold")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--regenerate`."""
    parser.addoption(
        "--regenerate", action="store_true", help="write generated files again instead of comparing (look at the difference)"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what speaks to a server, so that the unit suite stays below a minute."""
    for item in items:
        if str(item.path.relative_to(TESTS)).startswith(SERVED):
            item.add_marker(pytest.mark.served)


@pytest.fixture(autouse=True)
def _secrets_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after each test which secrets it resolved: a password of one would be hidden in the output of the next."""
    monkeypatch.setattr(secrets, "_known", set[str](secrets._known))


@pytest.fixture(autouse=True)
def _hosts_of_one_test() -> None:
    """Forget before each test which hosts failed and which budgets are used up: another test may have had the same port."""
    forget_everything()


@pytest.fixture(autouse=True)
def _patient_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no call run into a limit that only guards against a hang."""
    patient(monkeypatch)


@pytest.fixture(autouse=True)
def _log_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the package's log back after each test: inside XSOAR and in the service it goes elsewhere, for good."""
    logger = logging.getLogger("snaphold")
    for name in ("handlers", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))


@pytest.fixture(autouse=True)
def _catalogue_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the catalogue back after each test: laboratories that also run in processes of their own exchange it for good."""
    monkeypatch.setattr(action, "catalogue", action.catalogue)


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands at a fixed time."""
    return FixedClock(datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Generated files that are committed."""
    return Golden(regenerate=bool(request.config.getoption("--regenerate")))


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real S3 store with Object Lock; started by the first test that asks for it."""
    with run_seaweed(tmp_path_factory.mktemp("seaweed")) as store:
        yield store


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL; started by the first test that asks for it."""
    with run_postgres() as server:
        yield server
