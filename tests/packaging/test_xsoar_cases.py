"""Every case of every shipped playbook goes on XSOAR as it goes in the local runner: the same calls, the same ending."""

from __future__ import annotations

import pytest

from snaphold.engine.run import Reason
from snaphold.playbook.case import LoadedCase
from snaphold.playbook.load import playbook_files
from snaphold.playbook.trial import Trial
from snaphold.targets.playbooks import Shipped
from support.shipped_cases import shipped_with_cases, trials_of
from support.xsoar_builds import ROOT
from support.xsoar_play import as_text
from support.xsoar_replay import replay

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [path.stem for path in playbook_files(ROOT / "playbooks")])
def test_each_case_goes_on_xsoar_as_in_the_runner(name: str) -> None:
    one = next(shipped for shipped in shipped_with_cases() if shipped.playbook.name == name)
    assert one.cases
    for case, trial in zip(one.cases, trials_of(name), strict=True):
        compare(one, case, trial)


def compare(one: Shipped, case: LoadedCase, trial: Trial) -> None:
    """Play one case and hold it against its trial."""
    script, calls, ending, commands = replay(one.loaded, one.parts, trial, case.case.inputs)
    assert script.missed == [], f"{case.name}: {commands.texts}"
    incident = case.case.incident.to_incident().id
    told = [
        (action, {name: value.replace("XSOAR-1", incident) for name, value in given.items()}) for action, given in as_text(calls)
    ]
    assert told == as_text([(call.action, dict(call.given)) for call in script.calls]), case.name
    assert (ending == "done") is (trial.reason is Reason.NONE), f"{case.name}: {commands.texts}"
