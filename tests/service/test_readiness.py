"""`/readyz`: false when the database is gone or the disk is full, without telling strangers more than that."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from snaphold.clock import SystemClock
from snaphold.errors import LedgerError
from snaphold.ledger import open_ledger
from snaphold.runtime import Runtime
from snaphold.service import readiness
from snaphold.service.readiness import LEAST_FREE_BYTES, Readiness
from support.ledgers import actor, configure
from support.postgres import run_postgres
from support.service_lab import ServiceLab
from support.waiting import PATIENCE_SECONDS


def test_a_service_that_can_work_is_ready_and_leaves_no_probe(lab: ServiceLab) -> None:
    reply = lab.request("GET", "/readyz", token=None)
    assert (reply.status, reply.document["status"]) == (200, "ready")
    folder = lab.runtime.configuration.state_folder
    assert not [path for path in folder.iterdir() if "readiness" in path.name]


@pytest.mark.parametrize("free", [0, LEAST_FREE_BYTES - 1])
def test_a_full_disk_is_not_ready_and_says_so_without_a_path(lab: ServiceLab, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    def usage(_folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=free)

    monkeypatch.setattr(readiness.shutil, "disk_usage", usage)
    reply = lab.request("GET", "/readyz", token=None)
    assert (reply.status, reply.document["why"]) == (503, "the disk is full or fails")
    assert str(lab.runtime.configuration.base) not in reply.body.decode()
    assert lab.request("GET", "/healthz", token=None).status == 200, "it lives, so nothing should restart it"


def test_a_disk_that_refuses_a_write_is_not_ready(lab: ServiceLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(readiness, "_write_probe", refuse)
    assert lab.request("GET", "/readyz", token=None).status == 503


def test_a_ledger_that_cannot_be_read_is_not_ready(lab: ServiceLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_connection: object) -> None:
        raise LedgerError("the ledger cannot be used", "it is damaged")

    monkeypatch.setattr(readiness, "head_of", refuse)
    assert lab.request("GET", "/readyz", token=None).document["why"] == "the database cannot be used"


def test_a_database_that_is_gone_is_not_ready_and_ready_again_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LONGEST_LOOK_SECONDS", PATIENCE_SECONDS)
    with run_postgres() as server:
        monkeypatch.setenv("SNAPHOLD_TEST_DATABASE", server.url(server.create(server.prepared)))
        configuration = configure(tmp_path, sign=False, database="env:SNAPHOLD_TEST_DATABASE")
        runtime = Runtime(configuration, open_ledger(configuration, SystemClock()), SystemClock(), actor(configuration))
        looks = Readiness(runtime)
        assert looks.faults() == []
        server.stop(signal.SIGQUIT)
        assert looks.faults() == ["the database cannot be used"]
        server.start()
        assert looks.faults() == []
        runtime.ledger.close()
