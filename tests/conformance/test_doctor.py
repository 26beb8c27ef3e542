"""`snaphold doctor` on every kind of integration: fit, and the faults that a configuration can have, without a change."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.doctor import Examined, examine
from snaphold.http_guard import forget_everything
from snaphold.platforms.registry import platform_names
from snaphold.providers.registry import product_names
from support.platform_rigs import RIGS
from support.quick_retries import no_pauses
from support.vendor_rigs import rig_of

STARTS_A_PROGRAM = frozenset({"vsphere"})
KINDS = [*product_names(), *platform_names()]
ANSWERS_NOBODY = "https://127.0.0.1:9"


@dataclass
class System:
    """A system behind its simulator, as the configuration has it."""

    configuration: Configuration
    started: Callable[[], int]

    def found(self, **changes: Any) -> dict[str, Examined]:
        """Return what doctor finds of integrations and pools when each integration is changed so."""
        forget_everything()
        changed = [item.model_copy(update=changes) for item in self.configuration.integrations]
        configuration = self.configuration.model_copy(update={"integrations": tuple(changed)}).placed_at(self.configuration.base)
        return {item.part: item for item in examine(configuration, SystemClock()) if item.part in ("integration", "pool")}


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.slow if kind in STARTS_A_PROGRAM else ()) for kind in KINDS])
def system(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[System]:
    no_pauses(monkeypatch)
    if request.param in RIGS:
        platform = RIGS[request.param](tmp_path)
        yield System(platform.configuration.placed_at(tmp_path), lambda: 0)
        platform.close()
    else:
        product = rig_of(request.param)(tmp_path)
        yield System(product.configuration, product.started)
        product.close()


def test_a_fit_system_says_who_we_are_and_who_answers_for_it(system: System) -> None:
    found = system.found(owner="backup-team", contact="backup@example.org", review_by="2099-01-31")
    assert found["integration"].findings == ()
    assert found["integration"].detail.startswith("signed in as ")
    assert (found["integration"].owner, found["integration"].contact) == ("backup-team", "backup@example.org")
    assert found["integration"].review_by == "2099-01-31"
    assert all(item.last_success for item in found.values())
    if "pool" in found:
        assert found["pool"].detail
        assert found["pool"].findings == ()
    assert system.started() == 0


def test_a_system_that_does_not_answer_is_told_and_its_pool_not_asked(system: System) -> None:
    found = system.found(url=ANSWERS_NOBODY)
    assert found["integration"].findings
    assert "127.0.0.1" in found["integration"].findings[0]
    if "pool" in found:
        assert found["pool"].findings[0].startswith("not tested: ")
    assert not any(item.last_success for item in found.values())


def test_a_secret_that_is_not_set_is_named(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNAPHOLD_NOT_SET", raising=False)
    names = system.configuration.integrations[0].credentials
    found = system.found(credentials=dict.fromkeys(names, "env:SNAPHOLD_NOT_SET"))
    assert "SNAPHOLD_NOT_SET" in found["integration"].findings[0]
