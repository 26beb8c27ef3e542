"""Every shipped playbook has cases that pass and take every branch, and the sample configuration has whom they name."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from snaphold.config import Configuration, select_playbook
from snaphold.config_sample import sample_text
from snaphold.documents import load_document, parse_document
from snaphold.domain.incident import Incident
from snaphold.playbook.lint import lint_file
from snaphold.playbook.load import PARTS, playbook_files
from snaphold.playbook.step import ApproveStep, CallStep, DoStep
from snaphold.playbook.trial import total_coverage
from snaphold.playbook.walk import every_step
from snaphold.resources import folder
from snaphold.targets.playbooks import Shipped, contacts_of, roles_of
from support.incident_context import NOW
from support.shipped_cases import shipped_with_cases, trials_of

EVERY = shipped_with_cases()
NAMES = [one.playbook.name for one in EVERY]
WHOLE = [one.playbook.name for one in EVERY if one.loaded.path.parent.name != PARTS]
CASES = [(one.playbook.name, case.path) for one in EVERY for case in one.cases]
SCENARIOS = {
    "ransomware-response",
    "destructive-deletion",
    "database-corruption",
    "insider-data-theft",
    "cloud-account-compromise",
    "infrastructure-outage",
    "legal-hold-only",
    "backup-system-compromised",
}
NAMED_PARTS = {"snapshot-primary", "snapshot-alternate", "seal-evidence", "escalate", "cover-change", "close-incident"}


def one_of(name: str) -> Shipped:
    return next(one for one in EVERY if one.playbook.name == name)


def sample() -> Configuration:
    return Configuration.model_validate(parse_document(sample_text(), "snaphold.yaml").data)


def test_every_scenario_and_every_part_is_shipped() -> None:
    assert set(WHOLE) == SCENARIOS
    assert set(NAMES) - set(WHOLE) == NAMED_PARTS | {"snapshot-asset"}


def test_every_part_is_used() -> None:
    called = {step.call for one in EVERY for step in every_step(one.playbook) if isinstance(step, CallStep)}
    assert set(NAMES) - set(WHOLE) <= called


@pytest.mark.parametrize("name", NAMES)
def test_every_case_comes_out_as_it_expects(name: str) -> None:
    assert [(trial.case, trial.differences) for trial in trials_of(name) if not trial.passed] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_cases_take_every_branch(name: str) -> None:
    coverage = total_coverage(one_of(name).loaded, trials_of(name))
    assert [str(branch) for branch in coverage.missing] == []
    assert coverage.percent == 100
    assert trials_of(name)


@pytest.mark.parametrize("path", [path for _, path in CASES], ids=[f"{name}-{path.stem}" for name, path in CASES])
def test_a_case_is_valid_for_the_schema(path: Path) -> None:
    schema = load_document(folder("schemas") / "case.schema.json").data
    jsonschema.Draft202012Validator(schema).validate(load_document(path).data)


def test_every_case_belongs_to_a_playbook() -> None:
    cases = folder("playbooks") / "cases"
    assert {path.name for path in cases.iterdir()} == set(NAMES)


def test_ids_of_playbooks_are_their_own() -> None:
    ids = [one.playbook.metadata.id for one in EVERY]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_configuration_has_every_role_and_contact_that_is_named(name: str) -> None:
    configuration = sample()
    playbook = one_of(name).playbook
    assert roles_of(playbook) <= {role.name for role in configuration.roles}
    assert contacts_of(playbook) <= {contact.role for contact in configuration.contacts}
    assert [str(problem) for problem in lint_file(one_of(name).loaded.path, configuration)] == []


def test_the_quorum_of_every_tier_can_be_met_in_the_sample() -> None:
    configuration = sample()
    most = max(tier.approvals for tier in configuration.tiers)
    members = {role.name: role.members for role in configuration.roles}
    for one in EVERY:
        for step in every_step(one.playbook):
            if isinstance(step, ApproveStep) and step.approve.quorum != 1:
                groups = [step.approve.asked_of, *([step.approve.escalate.to] if step.approve.escalate else [])]
                for group in groups:
                    assert len(set(members[group.partition("/")[2]]) - {"ana"}) >= most, f"{one.playbook.name} {step.id}"


def test_the_severity_map_of_the_sample_selects_every_scenario() -> None:
    configuration = sample()
    chosen = {
        select_playbook(
            configuration,
            Incident(
                id="INC-1", title="x", severity=rule.severity, category=rule.category or "other", declared_at=NOW, assets=("a",)
            ),
        ).playbook
        for rule in configuration.severities
    }
    assert chosen == SCENARIOS


@pytest.mark.parametrize("name", WHOLE)
def test_every_wait_has_a_deadline_and_every_failure_leaves_a_report(name: str) -> None:
    playbook = one_of(name).playbook
    last = playbook.metadata.on_error
    assert last is not None
    for handler in {last, *(h for h in playbook.handlers if h in ("leave_report", "refused", "take_over"))}:
        assert any(isinstance(step, DoStep) and step.do == "report.summary" for step in playbook.handlers[handler]), handler
    for step in every_step(playbook):
        if isinstance(step, ApproveStep):
            assert step.on_denied != "stop"
            assert step.on_timeout == last
            assert step.approve.escalate is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_case_that_ends_early_in_a_scenario_never_loses_the_report(name: str) -> None:
    if name not in WHOLE:
        return
    for trial in trials_of(name):
        assert trial.calls[-1].action in ("report.summary", "escalation.notify"), trial.case
        assert any(call.action == "report.summary" for call in trial.calls), trial.case


def test_a_denied_or_unanswered_gate_never_lets_a_backup_start() -> None:
    seen = 0
    for name in WHOLE:
        for trial in trials_of(name):
            if trial.reason.value in ("denied", "timed_out"):
                seen += 1
                assert not any(call.action == "backup.start" for call in trial.calls), f"{name} {trial.case}"
    assert seen >= 2 * len(WHOLE)


def test_the_playbook_for_a_compromised_backup_system_never_touches_the_primary_storage() -> None:
    for trial in trials_of("backup-system-compromised"):
        for call in trial.calls:
            assert call.action != "backup.check_health", trial.case
            if call.action in ("backup.start", "backup.check_capacity"):
                assert call.given["storage"] == "alternate", trial.case


def test_cases_are_not_taken_for_playbooks() -> None:
    assert {path.stem for path in playbook_files(folder("playbooks"))} == set(NAMES)
