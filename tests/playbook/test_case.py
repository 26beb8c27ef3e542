"""Cases are read strictly: every fault has its place and the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.action import catalogue
from snaphold.playbook.case import CaseError, case_files, load_case
from snaphold.playbook.load import load_parts
from snaphold.playbook.trial import run_trial
from support.playbooks import shipped

GOOD = """apiVersion: snaphold/v1
kind: PlaybookCase
metadata: {name: one, playbook: ransomware-response}
expect: {outcome: done}
approvals: {approve: approved}
"""


def faults(folder: Path, text: str) -> list[str]:
    """Return what is wrong with a case of ransomware-response."""
    path = folder / "one.yaml"
    path.write_text(text)
    loaded = shipped("ransomware-response")
    try:
        run_trial(loaded, load_parts(loaded), load_case(path), catalogue())
    except CaseError as error:
        return [str(problem).removeprefix(f"{path}:") for problem in error.problems]
    return []


def test_a_small_case_is_right(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("kind: PlaybookCase", "kind: Playbook", "2:7: kind: Input should be 'PlaybookCase' (did you mean \"PlaybookCase\"?)"),
        ("name: one", "name: two", "3:18: the name must be that of the file, 'one'"),
        ("playbook: ransomware-response", "playbook: escalate", "3:33: the case is of escalate, not of ransomware-response"),
        ("expect: {outcome: done}", "expects: {outcome: done}", "4:1: expects: unknown key 'expects' (did you mean \"expect\"?)"),
        ("outcome: done", "outcome: succeeded", "4:19: expect.outcome: Input should be 'done', 'partial', 'failed' or 'unknown'"),
        ("{approve: approved}", "{aprove: approved}", "5:13: there is no gate 'aprove' (did you mean \"approve\"?)"),
        ("{approve: approved}", "{capacity: approved}", "5:13: there is no gate 'capacity'"),
        (
            "{approve: approved}",
            "{approve: yess}",
            "5:22: approvals.approve: Input should be 'approved', 'denied' or 'timeout'",
        ),
        (
            "{outcome: done}",
            "{outcome: done, handlers: [take_ovr]}",
            "4:36: there is no handler 'take_ovr' (did you mean \"take_over\"?)",
        ),
        (
            "{outcome: done}",
            "{outcome: done, never: [backup.strt]}",
            "4:33: there is no action 'backup.strt' (did you mean \"backup.start\"?)",
        ),
        (
            "{outcome: done}",
            "{outcome: done, actions: [{do: backup.start, step: strat}]}",
            "4:60: there is no step 'strat' (did you mean \"start\"?)",
        ),
        (
            "{outcome: done}",
            "{outcome: done, actions: [{do: backup.start, with: {aset: x}}]}",
            "4:61: backup.start has no input 'aset' (did you mean \"asset\"?)",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    found = faults(tmp_path, GOOD.replace(old, new))
    assert [text for text in found if "is missing" not in text] == [fault]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{backup.strt: {}}", "there is no action and no step 'backup.strt' (did you mean \"backup.start\"?)"),
        ("{back_up.nothing: {}}", "there is no action and no step 'back_up.nothing'"),
        ("{verify/poll: {}}", "there is no action and no step 'verify/poll'"),
        ("{backup.start: {jobb: x}}", "backup.start cannot give this jobb: unknown key 'jobb'"),
        ("{backup.status: {state: finished}}", "backup.status cannot give this state"),
        ("{backup.check_capacity: [{}, {fits: maybe}]}", "backup.check_capacity cannot give this fits"),
        ("{start: {fails: refused, job: x}}", "a call that fails has no result"),
        ("{start: {fails: refused, outcome: partial}}", "a call that fails is not partial"),
        ("{start: {outcome: timed_out}}", "this outcome needs `fails` with the reason"),
        ("{start: {repeatable: true}}", "this repeatable needs `fails` with the reason"),
        ("{start: []}", "results.start: must not be empty"),
        ("{start: {takes: 1}}", "results.start.takes"),
    ],
)
def test_a_result_that_the_action_could_not_give_is_refused(tmp_path: Path, line: str, fault: str) -> None:
    (found,) = faults(tmp_path, f"{GOOD}results: {line}\n")
    place, _, message = found.partition(" ")
    assert place.startswith("6:")
    assert message.startswith(fault)


def test_cases_are_looked_for_in_the_first_folder_that_has_any(tmp_path: Path) -> None:
    for folder, name in (("own", "mine"), ("shipped", "theirs")):
        (tmp_path / folder / "cases/trial").mkdir(parents=True)
        (tmp_path / folder / f"cases/trial/{name}.yaml").touch()
    folders = [tmp_path / "empty", tmp_path / "own", tmp_path / "shipped"]
    assert [path.stem for path in case_files("trial", folders)] == ["mine"]
    assert case_files("other", folders) == []
