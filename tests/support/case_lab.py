"""An estate whose case is in a simulated platform that echoes: each note of ours comes back as messages about changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from snaphold.case_loop import LoopAnswer, on_status
from snaphold.platforms.base import CaseStatus
from snaphold.runtime import Runtime
from support.kept_estate import KeptEstate, make_kept_estate
from support.ledgers import actor
from support.platform_rigs import PagerDutyRig, Rig, ServiceNowRig

_WRITES = ("POST", "PATCH", "PUT")
_STATES = {CaseStatus.OPEN: ("triggered", "1"), CaseStatus.RESOLVED: ("resolved", "6")}


@dataclass
class CaseLab:
    """The estate, its platform, and the incident's case in it. `told` counts the messages that were delivered."""

    estate: KeptEstate
    rig: Rig
    reference: str
    told: int = 0
    _echoed: set[str] = field(default_factory=set[str])

    @property
    def runtime(self) -> Runtime:
        """What the process that listens has."""
        estate = self.estate
        return Runtime(estate.configuration, estate.ledger, estate.clock, actor(estate.configuration))

    def synchronise(self, **given: Any) -> Any:
        """Look at the case by hand, as `snaphold do case.synchronise` does."""
        return self.estate.use("case.synchronise", {"reference": self.reference, **given})

    def set_status(self, status: CaseStatus) -> None:
        """Change the case in its platform, as a person there would."""
        pagerduty, servicenow = _STATES[status]
        if isinstance(self.rig, PagerDutyRig):
            self.rig.simulator.incidents[self.reference].status = pagerduty
        else:
            rows = cast("ServiceNowRig", self.rig).simulator.tables
            rows.find("incident", "number", self.reference)["state"] = servicenow

    def tell(self, status: CaseStatus, text: str = "") -> LoopAnswer:
        """Deliver one message of the platform."""
        self.told += 1
        return on_status(self.runtime, "INC-1", self.rig.integration.name, status, reference=self.reference, text=text)

    def notes(self) -> list[str]:
        """Return the notes that the case really has."""
        return self.rig.notes(self.reference)

    def echo(self, status: CaseStatus, *, times: int, strip_marks: bool = False) -> list[LoopAnswer]:
        """Deliver each new note of the case as messages: one with its text, and others that only say that it changed."""
        answers: list[LoopAnswer] = []
        for text in [text for text in self.notes() if text not in self._echoed]:
            self._echoed.add(text)
            shown = text.rpartition("\n")[0] if strip_marks else text
            answers += [self.tell(status, shown), *(self.tell(status) for _ in range(times))]
        return answers

    def writes(self) -> int:
        """Return how many calls changed something in the platform, sign-ins left out."""
        calls = [exchange.call for exchange in self.rig.server.exchanges]
        return sum(call.method in _WRITES and "oauth" not in call.path for call in calls)

    def looks(self) -> int:
        """Return how often the loop looked at the case."""
        return sum(entry.action == "case.look" for entry in self.estate.ledger.entries("INC-1"))


def make_case_lab(rig: Rig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CaseLab:
    """Return an estate that follows an open incident of the rig's platform."""
    estate = make_kept_estate(folder, monkeypatch, integrations=[rig.integration.model_dump()])
    return CaseLab(estate, rig, rig.open_incident())
