"""What the service does by itself: what is due goes back, also after a kill, and extra backups are taken once an interval."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import snaphold.case_loop
import snaphold.schedules.extra
from snaphold.action import Effect
from snaphold.domain.outcome import Outcome
from snaphold.errors import ProviderError
from snaphold.runtime import Runtime
from snaphold.service.inbox import Inbox
from snaphold.service.keeper import Keeper
from snaphold.webhooks.settings import Webhook
from support.schedule_kill import FORMER
from support.schedule_lab import REGULAR, ScheduleLab


def keeper(lab: ScheduleLab) -> Keeper:
    return Keeper(lab.runtime, Inbox(lab.runtime))


@pytest.mark.parametrize("kind", ["remembers", "forgets"])
def test_a_demand_that_ended_while_nothing_ran_is_restored(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = ScheduleLab(tmp_path, kind).install(monkeypatch)
    lab.tighten(lasts="4h")
    keeper(lab).look()
    assert lab.book.every() == 900
    lab.clock.advance(5 * 3600)
    keeper(lab).look()
    assert (lab.book.every(), lab.record.settled, lab.record.demands) == (REGULAR, True, ())
    entries = len(lab.ledger.entries())
    keeper(lab).look()
    assert len(lab.ledger.entries()) == entries


def test_a_product_that_refuses_is_asked_less_and_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = ScheduleLab(tmp_path).install(monkeypatch)
    lab.tighten(lasts="1h")
    lab.clock.advance(3600)
    lab.faults += [ProviderError("it refuses")] * 100
    watching = keeper(lab)
    for _ in range(720):
        watching.look()
        lab.clock.advance(5)
    assert 3 <= 100 - len(lab.faults) <= 8
    lab.faults.clear()
    lab.clock.advance(3600)
    watching.look()
    assert lab.book.every() == REGULAR


def test_a_person_who_is_gone_is_told_and_does_not_fill_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = ScheduleLab(tmp_path).install(monkeypatch)
    lab.tighten(lasts="1h")
    lab.clock.advance(3600)
    people = tuple(one for one in lab.configuration.people if one.id != "ana")
    watching = keeper(lab)
    watching.runtime = type(lab.runtime)(
        lab.configuration.model_copy(update={"people": people}), lab.ledger, lab.clock, lab.runtime.actor
    )
    entries = len(lab.ledger.entries())
    for _ in range(50):
        watching.look()
        lab.clock.advance(5)
    assert (lab.book.every(), len(lab.ledger.entries())) == (900, entries)
    assert lab.reconcile()["restored"] == ["files-01"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMER)
def test_whenever_the_process_is_killed_the_former_schedule_comes_back(tmp_path: Path, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "support.schedule_kill", str(tmp_path), kind, "tighten", "restore"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    killed = int(done.stdout)
    assert killed >= 12
    for boundary in range(1, killed + 1):
        with pytest.MonkeyPatch.context() as patch:
            lab = ScheduleLab(tmp_path / str(boundary), kind).install(patch)
            lab.clock.advance(5 * 3600)
            keeper(lab).look()
            assert lab.book.every() == FORMER[kind], f"killed at boundary {boundary}"
            lab.ledger.close()


class Backups:
    """Stands where backups are executed: what was started under which key, and which jobs are at work."""

    def __init__(self, lab: ScheduleLab, patch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.started: list[str] = []
        self.running = False
        self.fault: Exception | None = None
        patch.setattr(snaphold.schedules.extra, "execute", self.execute)

    def execute(self, name: str, given: dict[str, Any], context: Any) -> Any:
        from snaphold.action import find_action

        entry = find_action(name)
        assert (entry.effect is Effect.READS) == (context.key == "")
        if name == "backup.status":
            state = "running" if self.running else "done"
            return entry.result(
                outcome=Outcome.SUCCEEDED, state=state, backup_outcome="" if self.running else "succeeded",
                restore_point="", bytes_done=0, bytes_total=0,
            )  # fmt: skip
        if self.fault is not None:
            raise self.fault
        assert (context.actor.id, context.actor.uses_grants) == ("ana", False)
        self.started.append(context.key)
        return entry.result(outcome=Outcome.SUCCEEDED, asset=given["asset"], pool=given["pool"], job=f"JOB-{len(self.started)}")


def test_an_engine_without_a_scheduler_gets_one_backup_for_each_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = ScheduleLab(tmp_path, "has-none").install(monkeypatch)
    backups = Backups(lab, monkeypatch)
    lab.tighten("15m", lasts="1h")
    first, second = keeper(lab), keeper(lab)
    for _ in range(80):
        first.look()
        second.look()
        lab.clock.advance(60)
    assert len(backups.started) == len(set(backups.started)) == 4
    assert all(key.startswith("INC-1/schedule.extra.product-01.") for key in backups.started)
    assert (lab.record.wanted, lab.record.job, lab.record.slot) == (None, "", None)


def test_a_backup_that_takes_longer_than_its_interval_is_not_joined_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = ScheduleLab(tmp_path, "has-none").install(monkeypatch)
    backups = Backups(lab, monkeypatch)
    backups.running = True
    lab.tighten("15m")
    for _ in range(40):
        keeper(lab).look()
        lab.clock.advance(60)
    assert len(backups.started) == 1
    backups.running = False
    keeper(lab).look()
    keeper(lab).look()
    assert len(backups.started) == 2


def test_an_extra_backup_that_fails_is_told_and_the_next_interval_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = ScheduleLab(tmp_path, "has-none").install(monkeypatch)
    backups = Backups(lab, monkeypatch)
    backups.fault = ProviderError("the pool is full")
    lab.tighten("15m")
    for _ in range(5):
        keeper(lab).look()
    assert (lab.record.fault, lab.record.job) == ("the pool is full", "")
    backups.fault = None
    lab.clock.advance(900)
    keeper(lab).look()
    assert (len(backups.started), lab.record.fault) == (1, "")


def test_cases_that_are_owed_a_look_get_it_in_the_name_of_the_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = ScheduleLab(tmp_path).install(monkeypatch)
    asked: list[str] = []

    def catch_up(runtime: Runtime, **_: Any) -> None:
        asked.append(runtime.actor.login)

    monkeypatch.setattr(snaphold.case_loop, "catch_up", catch_up)
    keeper(lab).look()
    assert asked == []
    hook = {"name": "itsm-in", "kind": "servicenow", "secrets": ["env:NOTHING"], "person": "ana", "integration": "itsm"}
    hooks = (Webhook.model_validate(hook),)
    watching = keeper(lab)
    watching.runtime = replace(lab.runtime, configuration=lab.configuration.model_copy(update={"webhooks": hooks}))
    for _ in range(30):
        watching.look()
        lab.clock.advance(5)
    assert asked == ["webhook itsm-in"] * 3


def test_cases_are_followed_in_the_name_of_a_person_also_where_no_webhook_tells_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = ScheduleLab(tmp_path).install(monkeypatch)
    asked: list[tuple[str, str, bool]] = []

    def catch_up(runtime: Runtime, **_: Any) -> None:
        asked.append((runtime.actor.id, runtime.actor.login, runtime.actor.uses_grants))

    monkeypatch.setattr(snaphold.case_loop, "catch_up", catch_up)
    watching = keeper(lab)
    settings = lab.configuration.service.model_copy(update={"follows_cases_as": "ana"})
    watching.runtime = replace(lab.runtime, configuration=lab.configuration.model_copy(update={"service": settings}))
    watching.look()
    watching.look()
    assert asked == [("ana", "service", False)]
