"""The built packs against `snaphold serve` as it is run, with a real backup engine: a contract between what is shipped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shuffle_apps import app_files
from support.needs import need_program
from support.service_process import Serving
from support.shuffle_app import App
from support.small_estate import INCIDENT, build, snaphold
from support.xsoar_builds import IMAGE_PYTHONS, image_python, run_script

pytestmark = pytest.mark.slow
LONGEST_SECONDS = 240.0
WHY = "Ransomware, INC-1"
WAR_ROOM = {
    "id": "7", "name": INCIDENT["title"], "severity": 4, "type": "Ransomware", "created": INCIDENT["declared_at"],
    "CustomFields": {"snapholdassets": "files-01", "snapholdincident": INCIDENT["id"]},
}  # fmt: skip


@dataclass
class Live:
    """A service that is served by the command, and ana's token for it."""

    url: str
    token: str
    folder: Path

    def jobs(self) -> list[str]:
        """Return the backup jobs that were really started."""
        return sorted(path.name for path in (self.folder / "state/jobs").iterdir())


@pytest.fixture
def live(tmp_path: Path) -> Generator[Live]:
    """`snaphold serve` with a file share and restic."""
    need_program("restic")
    folder = tmp_path / "estate"
    folder.mkdir()
    build(folder)
    made = snaphold(folder, "token", "create", "--person", "ana", "--json")
    assert made.code == 0, made.err
    serving = Serving(folder)
    try:
        yield Live(serving.url, json.loads(made.out)["token"], folder)
    finally:
        code, _, said = serving.end()
        assert (code, "Traceback" in said) == (0, False), said


def until_done(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    deadline = time.monotonic() + LONGEST_SECONDS
    while (found := ask())["state"] == "running":
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


@pytest.mark.parametrize("version", IMAGE_PYTHONS[-1:])
def test_the_xsoar_integration_makes_a_backup_once_and_reads_its_end(live: Live, version: str, tmp_path: Path) -> None:
    python = image_python(version)

    def ask(command: str, given: dict[str, str], token: str = live.token) -> dict[str, Any]:
        params = {"url": live.url, "credentials": {"password": token}, "insecure": False, "proxy": False}
        (answer,) = run_script(
            python, tmp_path, [{"command": command, "args": given, "params": params, "incident": WAR_ROOM}]
        )  # fmt: skip
        (entry,) = answer["entries"]
        return entry if isinstance(entry, dict) else {"Contents": entry, "Type": 1}

    assert ask("test-module", {})["Contents"] == "ok"
    classified = ask("snaphold-triage-classify-assets", {"step": "demo.classify"})
    assert (classified["Type"], classified["Contents"]["top_tier"]) == (1, "T0"), classified
    start = {"asset": "files-01", "step": "demo.start", "justification": WHY}
    first, second = (ask("snaphold-backup-start", start) for _ in range(2))
    assert (first["Type"], first["Contents"]) == (1, second["Contents"]), first
    assert live.jobs() == [first["Contents"]["job"]]
    where = {"asset": "files-01", "pool": first["Contents"]["pool"], "job": first["Contents"]["job"], "step": "demo.status"}
    done = until_done(lambda: ask("snaphold-backup-status", where)["Contents"])
    assert (done["state"], done["outcome"]) == ("done", "succeeded"), done
    assert done["restore_point"].startswith("RP-files-01-")
    unknown = ask("snaphold-backup-start", {**start, "asset": "nothing-of-ours", "step": "demo.other"})
    assert (unknown["Type"], "nothing-of-ours" in json.dumps(unknown)) == (4, True)
    refused = ask("snaphold-backup-start", start, "snh_" + "A" * 43)
    assert (refused["Type"], "token" in json.dumps(refused)) == (4, True)
    check_trail(live)


def test_the_shuffle_app_makes_a_backup_once_and_reads_its_end(live: Live, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    with App(folder, app_files()) as app:

        def ask(method: str, given: dict[str, str], token: str = live.token) -> dict[str, Any]:
            ran = app.run(method, {"url": live.url, "token": token, **given})
            assert ran.status == "SUCCESS", ran.written
            assert token not in ran.text + ran.written
            return ran.result

        tell(live)
        control = {"snaphold_incident": "INC-1", "snaphold_step": "by_hand", "snaphold_justification": WHY}
        classified = ask("triage_classify_assets", control)
        assert (classified["success"], classified["top_tier"]) == (True, "T0"), classified
        first, second = (ask("backup_start", {**control, "asset": "files-01"}) for _ in range(2))
        assert (first["success"], first) == (True, second), first
        assert live.jobs() == [first["job"]]
        where = {**control, "asset": "files-01", "pool": first["pool"], "job": first["job"]}
        done = until_done(lambda: ask("backup_status", where))
        assert (done["state"], done["outcome"]) == ("done", "succeeded"), done
        unknown = ask("backup_start", {**control, "asset": "nothing-of-ours", "snaphold_step": "other"})
        assert (unknown["success"], "nothing-of-ours" in json.dumps(unknown)) == (False, True)
        refused = ask("backup_start", {**control, "asset": "files-01"}, "snh_" + "A" * 43)
        assert refused["success"] is False
    check_trail(live)


def tell(live: Live) -> None:
    """Tell the service of the incident, as whatever declares it does."""
    from snaphold.soar.client import ServiceClient

    ServiceClient(live.url, live.token).call("triage.classify_assets", {}, incident=INCIDENT)


def check_trail(live: Live) -> None:
    """The trail holds the start with its outcome and the refused token, and is whole."""
    listed = snaphold(live.folder, "audit", "list", "--json")
    assert listed.code == 0, listed.err
    for action in ("backup.start", "service.authenticate"):
        assert f'"{action}"' in listed.out
    assert snaphold(live.folder, "audit", "verify").code in (0, 3)
