"""`snaphold worker`: a process of its own that ends in order; what the service starts is left to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from snaphold.cli.main import main
from snaphold.clock import SystemClock
from snaphold.config import load_configuration
from snaphold.engine.run import Run, is_driven
from snaphold.engine.shared_runs import register_run
from snaphold.engine.workers import list_workers
from snaphold.ledger import open_ledger
from snaphold.runtime import Runtime
from snaphold.service.run_process import start_driver
from snaphold.service.server import open_service_runtime
from snaphold.service.tokens import actor_of_run, create_token, recognise, revoke_token
from support.ledgers import actor, configure
from support.postgres import PASSWORD, Postgres
from support.run_lab import plan_of

LONGEST_SECONDS = 240.0
BODY = "steps:\n  - {id: a, do: triage.order_by_dependency, with: {assets: [orders-db]}}\n"


@pytest.fixture
def config(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file with a database of its own."""
    monkeypatch.setenv("SNAPHOLD_DATABASE", postgres.url(postgres.create(postgres.prepared)))
    document = configure(tmp_path, database="env:SNAPHOLD_DATABASE").model_dump(mode="json", exclude_defaults=True)
    path = tmp_path / "snaphold.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def open_runtime(config: Path) -> Runtime:
    configuration, clock = load_configuration(config), SystemClock()
    return Runtime(configuration, open_ledger(configuration, clock), clock, actor(configuration))


@pytest.mark.slow
def test_what_the_service_starts_a_worker_drives_and_sigterm_ends_it_in_order(config: Path) -> None:
    runtime = open_runtime(config)
    run = start_driver(runtime, create_token(runtime, "ana")[0].id, plan_of(BODY))
    assert not is_driven(runtime.configuration, runtime.ledger, run.id), "the service itself drives nothing"
    command = [sys.executable, "-m", "snaphold", "worker", "--config", str(config), "--at-once", "2", "--lease", "60s", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        working = json.loads(process.stdout.readline())
        deadline = time.monotonic() + LONGEST_SECONDS
        while not runtime.ledger.records(Run)[0].has_ended:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["busy"] is False
    assert [(line.id, line.at_once, line.state) for line in list_workers(runtime.ledger)] == [(working["worker"], 2, "stopped")]
    ended = runtime.ledger.records(Run)[0]
    assert (ended.status.value, ended.requested_by, ended.why) == ("done", "ana", "")
    assert PASSWORD not in out + err


@pytest.mark.parametrize(("words", "why"), [(("--lease", "1s"), "too short"), (("--lease", "x"), "--lease"),
                                            (("--at-once", "0"), "--at-once 0")])  # fmt: skip
def test_what_cannot_work_is_refused(config: Path, words: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--config", str(config), *words]) == 2
    assert why in capsys.readouterr().err


def test_a_worker_without_a_shared_database_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = configure(tmp_path, sign=False).model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "snaphold.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    assert main(["worker", "--config", str(tmp_path / "snaphold.yaml")]) == 2
    assert "a database that others share" in capsys.readouterr().err


def test_the_service_can_be_given_another_database(config: Path) -> None:
    runtime = open_service_runtime(config, "env:SNAPHOLD_DATABASE")
    assert runtime.ledger.store.place.startswith("postgresql+psycopg://snaphold:***@127.0.0.1")


def test_a_run_goes_on_with_the_roles_of_the_token_that_began_it(config: Path) -> None:
    runtime = open_runtime(config)
    record, token = create_token(runtime, "ana", roles=("analyst",))
    begun, _ = recognise(runtime.configuration, runtime.ledger, token, runtime.clock.now())
    run = start_driver(runtime, record.id, plan_of(BODY))
    revoke_token(runtime, record.id)
    assert actor_of_run(runtime.configuration, runtime.ledger, run) == begun


def test_grants_of_a_webhooks_person_do_not_count_for_its_runs(config: Path) -> None:
    runtime = open_runtime(config)
    run = register_run(replace(runtime, actor=runtime.actor.model_copy(update={"login": "webhook alerts"})), plan_of(BODY))
    assert actor_of_run(runtime.configuration, runtime.ledger, run).uses_grants is False
    mine = run.model_copy(update={"login": "ana"})
    assert actor_of_run(runtime.configuration, runtime.ledger, mine).uses_grants is True
