"""A compiled workflow, the app's own code and a real Snaphold service with a real backup engine, end to end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from snaphold.playbook.load import PARTS, load_parts, load_playbook
from snaphold.resources import folder as shipped
from snaphold.soar.client import ServiceClient
from snaphold.targets.shuffle import RUN, compile_shuffle
from snaphold.targets.shuffle_parts import workflow_id
from support.needs import need_program
from support.service_process import Serving
from support.shuffle_walker import Walker, Watch
from support.small_estate import build, snaphold


class SlowWatch(Watch):
    """Really waits a little, so that the job of the service gets its time."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(0.5)


@pytest.mark.slow
def test_a_backup_through_shuffle_is_made_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    need_program("restic")
    estate = build(tmp_path)
    token = json.loads(snaphold(estate, "token", "create", "--person", "ana", "--json").out)["token"]
    loaded = load_playbook(shipped("playbooks") / PARTS / "snapshot-asset.yaml")
    made = [json.loads(content) for content in compile_shuffle(loaded, load_parts(loaded)).files.values()]
    incident = json.loads((estate / "incident.json").read_text())
    serving = Serving(estate)
    ends: list[dict[str, Any]] = []
    points: list[str] = []
    try:
        for run in ("RUN-1", "RUN-2"):
            client = ServiceClient(serving.url, token)
            walker = Walker({document["id"]: document for document in made}, client, watch=SlowWatch())
            argument = {"run": run, "incident": incident, "inputs": {"asset": "files-01"}}
            walker.run(workflow_id(loaded.playbook.metadata.id, RUN), argument)
            ends.append(walker.ended(run))
            polled = json.loads(walker.store.values[f"snaphold.{run}.step.start-poll"])
            points.append(polled["answer"]["restore_point"])
            assert token not in json.dumps(walker.store.values)
    finally:
        assert serving.end()[0] == 0
    assert [end["outcome"] for end in ends] == ["succeeded", "succeeded"], ends
    assert points[0].startswith("RP-files-01-")
    assert points[0] == points[1], "the second run finds what the first one made"
