"""Cancelling and resuming runs over the API: who may, what is recorded, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.engine.run import Run, RunStatus
from snaphold.errors import SnapholdError
from support.ledgers import NOW, note
from support.service_lab import ServiceLab

WHY = {"X-Snaphold-Justification": "It was a false alarm"}
RUN = Run(
    id="RUN-INC-1-0a1b2c3d", incident="INC-1", playbook="p", version="1.0.0", digest="0" * 64, requested_by="ana", started_at=NOW
)


def put(lab: ServiceLab, run: Run = RUN) -> None:
    lab.runtime.ledger.append(note(), [run])


def test_the_requester_cancels_a_run_that_nobody_drives_at_once(lab: ServiceLab) -> None:
    put(lab)
    reply = lab.request("POST", f"/v1/runs/{RUN.id}/cancel", headers=WHY)
    assert (reply.status, reply.document["status"], reply.document["cancel_requested"]) == (200, "cancelled", "ana")
    (asked,) = [one for one in lab.runtime.ledger.entries() if one.action == "run.ask_cancel"]
    assert (asked.actor, asked.justification, asked.run) == ("ana", "It was a false alarm", RUN.id)
    again = lab.request("POST", f"/v1/runs/{RUN.id}/cancel", headers=WHY)
    assert (again.status, "ended already" in again.document["detail"]) == (422, True)


@pytest.mark.parametrize("deed", ["cancel", "resume"])
def test_another_person_needs_a_role_for_it(lab: ServiceLab, deed: str) -> None:
    put(lab)
    refused = lab.request("POST", f"/v1/runs/{RUN.id}/{deed}", headers=WHY, token="ben")
    assert (refused.status, f"run.{deed}" in refused.document["why"]) == (403, True)
    assert ("refused", f"run.{deed}") in lab.events()
    stored = lab.runtime.ledger.record(Run, RUN.id)
    assert stored is not None
    assert stored.status is RunStatus.RUNNING


@pytest.mark.parametrize("deed", ["cancel", "resume"])
def test_what_is_missing_is_told(lab: ServiceLab, deed: str) -> None:
    put(lab)
    assert lab.request("POST", f"/v1/runs/{RUN.id}/{deed}").status == 400
    assert lab.request("POST", f"/v1/runs/RUN-none/{deed}", headers=WHY).status == 404
    assert lab.request("POST", f"/v1/runs/{RUN.id}/{deed}", headers=WHY, token=None).status == 401


def test_an_ended_run_is_returned_and_not_taken_up(lab: ServiceLab) -> None:
    put(lab, RUN.model_copy(update={"status": RunStatus.DONE, "ended_at": NOW}))
    reply = lab.request("POST", f"/v1/runs/{RUN.id}/resume", headers=WHY)
    assert (reply.status, reply.document["status"]) == (200, "done")
    assert lab.events("run.ask_resume") == []


def test_what_keeps_a_run_from_going_on_is_told(lab: ServiceLab, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lab)

    def broken(_runtime: object, _config: Path, run: Run) -> Run:
        raise SnapholdError(f"{run.id} could not begin", "its plan was changed")

    monkeypatch.setattr("snaphold.service.run_control.resume_driver", broken)
    reply = lab.request("POST", f"/v1/runs/{RUN.id}/resume", headers=WHY)
    assert (reply.status, reply.document["why"]) == (424, "its plan was changed")
