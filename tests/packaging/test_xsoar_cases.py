"""Every case of every shipped playbook goes on XSOAR as it goes in the local runner: the same calls, the same ending."""

from __future__ import annotations

import pytest

from snaphold.engine.run import Reason
from snaphold.playbook.case import LoadedCase
from snaphold.playbook.trial import Trial
from snaphold.targets.playbooks import Shipped
from support.shipped_cases import shipped_with_cases, trials_of
from support.xsoar_play import as_text
from support.xsoar_replay import replay

pytestmark = pytest.mark.slow
CASES = [
    pytest.param(one, case, trial, id=f"{one.playbook.name}-{case.name}")
    for one in shipped_with_cases()
    for case, trial in zip(one.cases, trials_of(one.playbook.name), strict=True)
]
GOES_ON = {("ransomware-response", "start-unknown")}
"""After a turn that failed XSOAR still runs the turns that are left; the loss report says so."""


@pytest.mark.parametrize(("one", "case", "trial"), CASES)
def test_a_case_goes_on_xsoar_as_in_the_runner(one: Shipped, case: LoadedCase, trial: Trial) -> None:
    script, calls, ending, commands = replay(one.loaded, one.parts, trial, case.case.inputs)
    if (one.playbook.name, case.name) in GOES_ON:
        assert script.missed == ["backup.start was called as number 6"]
        return
    assert script.missed == [], commands.texts
    incident = case.case.incident.to_incident().id
    told = [
        (action, {name: value.replace("XSOAR-1", incident) for name, value in given.items()}) for action, given in as_text(calls)
    ]
    assert told == as_text([(call.action, dict(call.given)) for call in script.calls])
    assert (ending == "done") is (trial.reason is Reason.NONE), commands.texts
