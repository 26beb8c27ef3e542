"""Approvers and roles are looked up in the configuration, when there is one."""

from __future__ import annotations

from typing import Any

import pytest

from snaphold.config import Configuration
from support.playbooks import lint_trial

FACTS: dict[str, Any] = {
    "organisation": {"name": "Example"},
    "tiers": [{"id": "T0", "level": 0, "impact": "All.", "rto": "1h", "rpo": "1h"}],
    "people": [{"id": "ana", "name": "Ana"}, {"id": "ben", "name": "Ben"}],
    "roles": [
        {"name": "managers", "members": ["ana", "ben"]},
        {"name": "nobody", "members": []},
        {"name": "backup-emergency", "may": ["backup.*"]},
    ],
}
CONFIGURATION = Configuration.model_validate(FACTS)
GATE = """
steps:
  - id: gate
    approve: {{ask: Now, from: {of}, within: 15m, quorum: {quorum}, grants: {{role: {role}, for: 1h}}}}
"""


def lint_gate(of: str = "group/managers", quorum: int = 2, role: str = "backup-emergency") -> list[str]:
    problems = lint_trial(GATE.format(of=of, quorum=quorum, role=role), CONFIGURATION)
    return [f"{problem.message} ({problem.hint})" if problem.hint else problem.message for problem in problems]


def test_a_gate_that_the_configuration_can_answer_is_clean() -> None:
    assert lint_gate() == []
    assert lint_gate("individual/ana", quorum=1) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": "group/manager"}, "there is no group 'manager' (did you mean \"managers\"?)"),
        ({"of": "group/nobody", "quorum": 1}, "the group 'nobody' has 0 members, and 1 must approve"),
        ({"quorum": 3}, "the group 'managers' has 2 members, and 3 must approve"),
        ({"of": "individual/cleo", "quorum": 1}, "there is no individual 'cleo' (add it to snaphold.yaml)"),
        ({"role": "backup-emergencies"}, "there is no role 'backup-emergencies' (did you mean \"backup-emergency\"?)"),
    ],
)
def test_a_gate_that_nobody_could_answer_is_an_error(change: dict[str, Any], message: str) -> None:
    assert lint_gate(**change) == [message]


def test_a_grant_that_is_longer_than_the_configuration_allows_is_an_error() -> None:
    body = GATE.format(of="group/managers", quorum=1, role="backup-emergency").replace("for: 1h", "for: 9h")
    assert [problem.message for problem in lint_trial(body, CONFIGURATION)] == [
        "a grant of 9h is longer than authority.longest_grant, 8h"
    ]


def test_without_a_configuration_names_are_not_looked_up() -> None:
    assert lint_trial(GATE.format(of="group/anybody", quorum=9, role="any")) == []


def test_a_grant_before_it_lets_something_destroy() -> None:
    body = GATE.format(of="group/managers", quorum=1, role="backup-emergency")
    assert lint_trial(body + "  - {id: wipe, do: backup.delete, with: {restore_point: RP-1}}\n", CONFIGURATION) == []


def test_a_gate_that_fails_open_does_not_let_anything_destroy() -> None:
    body = GATE.format(of="group/managers", quorum=1, role="backup-emergency") + "    on_timeout: continue\n"
    problems = lint_trial(body + "  - {id: wipe, do: backup.delete, with: {restore_point: RP-1}}\n", CONFIGURATION)
    assert [problem.severity for problem in problems] == ["error", "error"]


def test_what_stands_after_the_branch_of_a_gate_comes_after_the_gate() -> None:
    body = (
        "steps:\n  - {id: a, do: evidence.verify, with: {evidence: EV-1}, out: {status: string}}\n"
        '  - id: b\n    if: $a.status == "failed"\n    then:\n'
        "      - id: gate\n        approve: {ask: Now, from: group/managers, within: 15m}\n        on_denied: continue\n"
        "  - {id: c, do: report.summary}\n"
    )
    assert [problem.message for problem in lint_trial(body)] == ["the gate fails open, and 'c' after it changes something"]
