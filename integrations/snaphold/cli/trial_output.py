"""`snaphold playbook test`: runs playbooks offline on their cases, prints traces, differences and coverage."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaphold.cli.output import Writer, table
from snaphold.config import Configuration
from snaphold.errors import EXIT_DONE, EXIT_FAILED, InputError
from snaphold.playbook.case import CASES, case_files, load_case
from snaphold.playbook.coverage import Coverage
from snaphold.playbook.lint import load_checked
from snaphold.playbook.load import playbook_folders
from snaphold.playbook.trial import Trial, expected_calls, run_trial, total_coverage


@dataclass(frozen=True)
class Tested:
    """One playbook with the trials of its cases."""

    playbook: str
    trials: tuple[Trial, ...]
    coverage: Coverage


def run_test(arguments: argparse.Namespace, configuration: Configuration | None, writer: Writer) -> int:
    """Run the cases and return the exit code. Raises CaseError, PlaybookError, InputError (exit code 2)."""
    if arguments.case and len(arguments.playbooks) > 1:
        raise InputError("a case is of one playbook", f"{len(arguments.playbooks)} playbooks were named", "name one with --case")
    tested = [_test(name, arguments.case, configuration) for name in arguments.playbooks]
    required: int | None = arguments.require_coverage
    low = [found for found in tested if required is not None and found.coverage.percent < required]
    writer.document(
        {"playbooks": [_document(found) for found in tested], "required_coverage": required},
        "\n\n".join([*(_text(found, writer, whole=bool(arguments.case)) for found in tested), _tally(tested, low, required)]),
    )
    missed = any(not trial.passed for found in tested for trial in found.trials)
    return EXIT_FAILED if missed or low else EXIT_DONE


def _test(name: str, given: Sequence[Path], configuration: Configuration | None) -> Tested:
    loaded, parts = load_checked(name, configuration)
    playbook = loaded.playbook.name
    files = list(given) or case_files(playbook, playbook_folders(configuration, loaded.path))
    if not files:
        raise InputError(
            f"{playbook} has no cases",
            f"looked for {CASES}/{playbook}/*.yaml beside the playbook and in the other folders of playbooks",
            "write one, or name it with --case; docs/how-to/write-a-playbook.md shows how",
        )
    trials = tuple(run_trial(loaded, parts, load_case(path)) for path in files)
    return Tested(playbook, trials, total_coverage(loaded, trials))


def _text(tested: Tested, writer: Writer, *, whole: bool) -> str:
    rows = [(trial.case, "passed" if trial.passed else "missed", *_ending(trial, writer)) for trial in tested.trials]
    sections = [tested.playbook + "\n" + table(("case", "verdict", "outcome", "reason", "handlers"), rows)]
    for trial in tested.trials:
        if whole or not trial.passed:
            sections.append(_trace(trial, writer))
    sections.append(_coverage(tested.coverage))
    return "\n\n".join(sections)


def _ending(trial: Trial, writer: Writer) -> tuple[str, str, str]:
    return writer.mark(trial.status.value), trial.reason.value or "-", ", ".join(trial.handlers) or "-"


def _trace(trial: Trial, writer: Writer) -> str:
    rows = [
        (line.step, line.what, line.item or "-", writer.mark(line.outcome), f"{line.seconds:g}", line.detail or "-")
        for line in trial.lines
    ]
    lines = [f"case {trial.case}", table(("step", "what", "item", "outcome", "seconds", "detail"), rows)]
    if trial.why:
        lines.append(f"ended early: {trial.why}")
    return "\n".join([*lines, *(f"MISSED {difference}" for difference in trial.differences)])


def _coverage(coverage: Coverage) -> str:
    head = f"{len(coverage.taken)} of {coverage.total} branches taken ({coverage.percent} %)"
    return "\n".join([head, *(f"  not taken: {branch}" for branch in coverage.missing)])


def _tally(tested: Sequence[Tested], low: Sequence[Tested], required: int | None) -> str:
    trials = [trial for found in tested for trial in found.trials]
    passed = sum(trial.passed for trial in trials)
    text = f"{passed} of {len(trials)} cases passed"
    if low:
        names = ", ".join(f"{found.playbook} ({found.coverage.percent} %)" for found in low)
        text += f"; coverage below {required} %: {names}"
    return text


def _document(tested: Tested) -> dict[str, Any]:
    coverage = tested.coverage
    return {
        "playbook": tested.playbook,
        "cases": [_trial_document(trial) for trial in tested.trials],
        "coverage": {
            "percent": coverage.percent,
            "taken": [str(branch) for branch in coverage.taken],
            "missing": [str(branch) for branch in coverage.missing],
        },
    }


def _trial_document(trial: Trial) -> dict[str, Any]:
    return {
        "case": trial.case,
        "passed": trial.passed,
        "differences": list(trial.differences),
        "outcome": trial.status.value,
        "reason": trial.reason.value,
        "why": trial.why,
        "handlers": list(trial.handlers),
        "steps": [line.model_dump(mode="json") for line in trial.lines],
        "calls": [
            {
                "step": call.path,
                "item": call.item,
                "action": call.action,
                "with": dict(call.given),
                "outcome": call.answer.outcome,
            }
            for call in expected_calls(trial.calls)
        ],
    }
