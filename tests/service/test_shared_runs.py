"""Runs over the API with PostgreSQL: a service and workers, each a process of its own, one of which is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from snaphold.identity import current_login
from support.postgres import Postgres
from support.service_process import Serving
from support.small_estate import INCIDENT, build, snaphold

pytestmark = pytest.mark.slow
VARIABLE = "SNAPHOLD_TEST_DATABASE"
LONGEST_SECONDS = 240.0
PLAYBOOK = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: asked
  id: playbook--33333333-3333-4333-8333-333333333333
  version: "1.0.0"
  change_record: CHG1
steps:
  - id: look
    title: Classify
    do: triage.classify_assets
  - id: gate
    title: Ask
    approve: {ask: "Go on?", from: group/managers, within: 3d}
  - id: again
    title: Order
    do: triage.order_by_dependency
"""
YES = {"decision": "approved", "reason": "Confirmed by telephone"}


@dataclass
class Site:
    """An estate, its service, and the workers that were launched for it."""

    folder: Path
    url: str
    database: str
    tokens: dict[str, dict[str, str]]
    execute: Callable[[str], list[tuple[Any, ...]]]
    workers: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    def launch(self) -> subprocess.Popen[str]:
        """Start a worker and return it once it works."""
        with (self.folder / "worker.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "snaphold", "worker", "--lease", "60s", "--json"],
                cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self.workers.append(process)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["message_type"] == "working"
        return process

    def post(self, path: str, person: str = "ana", body: Any = None) -> requests.Response:
        return requests.post(self.url + path, json=body, headers=self.tokens[person], timeout=LONGEST_SECONDS)

    def get(self, path: str) -> dict[str, Any]:
        return requests.get(self.url + path, headers=self.tokens["ana"], timeout=LONGEST_SECONDS).json()

    def start(self, generation: int) -> str:
        """Start a run and return its place."""
        body = {"playbook": "asked", "incident": INCIDENT, "generation": generation}
        reply = self.post("/v1/runs", body=body)
        assert reply.status_code == 202, reply.text
        return reply.headers["Location"]

    def until(self, place: str, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return a run once it is as wanted."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while not wanted(found := self.get(place)):
            assert time.monotonic() < deadline, (found, (self.folder / "worker.log").read_text())
            time.sleep(0.1)
        return found


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres) -> Generator[Site]:
    """A service on PostgreSQL without a worker."""
    name = postgres.create(postgres.prepared)
    monkeypatch.setenv(VARIABLE, postgres.url(name))
    folder = build(tmp_path)
    text = (folder / "snaphold.yaml").read_text()
    text = text.replace("roles:", f"  - {{id: ben, name: Ben Okoro, logins: [{current_login()}]}}\nroles:")
    text += f"  - {{name: managers, members: [ana, ben]}}\nplaybooks: playbooks\ndatabase: env:{VARIABLE}\n"
    (folder / "snaphold.yaml").write_text(text)
    (folder / "playbooks").mkdir()
    (folder / "playbooks/asked.yaml").write_text(PLAYBOOK)
    tokens: dict[str, dict[str, str]] = {}
    for person in ("ana", "ben"):
        words = ("token", "create", "--as", person, "--person", person, "--may-approve", "--json")
        made = snaphold(folder, *words, environment={VARIABLE: postgres.url(name)})
        assert made.code == 0, made.err
        tokens[person] = {"Authorization": f"Bearer {json.loads(made.out)['token']}", "X-Snaphold-Justification": "A test"}
    serving = Serving(folder)
    found = Site(folder, serving.url, name, tokens, lambda statement: postgres.execute(statement, name))
    try:
        yield found
    finally:
        for worker in found.workers:
            worker.terminate()
            worker.communicate(timeout=LONGEST_SECONDS)
        assert serving.end()[0] == 0


def test_a_run_is_resumed_over_the_api_and_taken_by_a_worker_and_outlives_its_death(site: Site) -> None:
    place = site.start(1)
    assert site.get(place)["driven"] is False
    site.execute("update snaphold.tenure set state = 'left'")  # as when a person drove it and let go of it
    first = site.launch()
    refused = site.post(f"{place}/resume", "ben")
    assert (refused.status_code, "run.resume" in refused.json()["why"]) == (403, True)
    resumed = site.post(f"{place}/resume")
    assert resumed.status_code == 202, resumed.text
    site.until(place, lambda run: run["status"] == "waiting")
    assert site.post(f"{place}/resume").status_code in (200, 202), "it changes nothing for a run that waits"
    first.kill()
    first.wait(LONGEST_SECONDS)
    site.execute("update snaphold.worker set alive_until = 0")  # its lease is long, so that no worker is lost on a busy machine
    (asked,) = site.get("/v1/approvals?state=waiting")["approvals"]
    assert site.post(f"/v1/approvals/{asked['id']}", "ana", YES).status_code == 403
    assert site.post(f"/v1/approvals/{asked['id']}", "ben", YES).status_code == 200
    site.launch()
    ended = site.until(place, lambda run: run["ended_at"])
    assert (ended["status"], [line["outcome"] for line in ended["steps"]]) == ("done", ["succeeded", "approved", "succeeded"])
    again = site.post(f"{place}/resume")
    assert (again.status_code, again.json()["status"]) == (200, "done")


def test_a_run_is_cancelled_over_the_api_whether_it_waits_or_nobody_has_taken_it(site: Site) -> None:
    untaken = site.start(1)
    cancelled = site.post(f"{untaken}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled"), cancelled.text
    waiting = site.start(2)
    site.launch()
    site.until(waiting, lambda run: run["status"] == "waiting")
    assert site.post(f"{waiting}/cancel", "ben").status_code == 403
    assert site.post(f"{waiting}/cancel").status_code in (200, 202)
    ended = site.until(waiting, lambda run: run["ended_at"])
    assert (ended["status"], ended["cancel_requested"]) == ("cancelled", "ana")
    for place in (untaken, waiting):
        again = site.post(f"{place}/resume")
        assert (again.status_code, again.json()["status"]) == (200, "cancelled"), "resuming revives nothing"
        assert site.post(f"{place}/cancel").status_code == 422
    last = site.start(3)  # the worker still works, and has taken neither of the others again
    site.until(last, lambda run: run["status"] == "waiting")
    assert site.get(untaken)["steps"] == []
    assert [run["status"] for run in site.get("/v1/runs?limit=2")["runs"]] == ["waiting", "cancelled"]
