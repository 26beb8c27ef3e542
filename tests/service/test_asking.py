"""A SOAR asks people over HTTP: who asks cannot answer, two must when two are needed, and the answers are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snaphold.action import catalogue
from snaphold.service.tokens import create_token
from support.ledgers import actor
from support.service_lab import ServiceLab, serving

ROLES = [
    {"name": "soar", "members": ["ana"], "may": ["approval.*", "authority.*", "token.*"]},
    {"name": "managers", "members": ["ana", "ben", "cleo"], "may": ["report.*"]},
]
QUESTION: dict[str, Any] = {"question": "Back up now?", "asked_of": "group/managers", "within": "15m", "approvals": 2}


def give_token(lab: ServiceLab, person: str) -> str:
    """Return a token of a person that may answer approvals."""
    runtime = lab.runtime
    own = type(runtime)(runtime.configuration, runtime.ledger, runtime.clock, actor(runtime.configuration, person))
    return create_token(own, person, may_approve=True)[1]


def test_a_quorum_of_others_approves_over_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch, actions=catalogue(), roles=ROLES) as lab:
        headers = {"Idempotency-Key": "INC-1/ransomware.gate/-/1"}
        asked = lab.act("approval.ask", headers=headers, **QUESTION).document
        again = lab.act("approval.ask", headers=headers, **QUESTION).document
        assert asked["approval"] == again["approval"]
        assert asked["may_answer"] == ["ben", "cleo"]
        path = f"/v1/approvals/{asked['approval']}"
        said = {"decision": "approved", "reason": "seen"}
        assert lab.request("POST", path, said, token=give_token(lab, "ana")).status == 403
        seen: list[str] = []
        for person in ("ben", "cleo"):
            assert lab.request("POST", path, said, token=give_token(lab, person)).status == 200
            seen.append(lab.act("approval.status", approval=asked["approval"]).document["decision"])
        assert seen == ["waiting", "approved"]
        listed = lab.request("GET", "/v1/approvals?incident=INC-1").document["approvals"]
        assert [(vote["by"], vote["reason"]) for vote in listed[0]["votes"]] == [("ben", "seen"), ("cleo", "seen")]
        assert [event for event, _ in lab.events("approval.decide")] == ["refused", "approval", "approval"]
