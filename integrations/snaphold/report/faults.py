"""What did not succeed: collected from every part of the incident, shown before anything else."""

from __future__ import annotations

from collections.abc import Iterator

from snaphold.domain.outcome import Outcome
from snaphold.report.excerpt import rest, shown
from snaphold.report.facts import ReportFacts
from snaphold.report.markup import Html, bullets, element

_WHERE = "the result of report.summary and the audit trail (snaphold audit list) have all of them"


def faults_of(report: ReportFacts) -> list[str]:
    """Return one sentence for each thing that failed, is incomplete, is unknown or was refused; each only once."""
    found = [*_faults_of_points(report), *_faults_of_evidence(report), *report.entries.faults, *_faults_of_runs(report)]
    found += _open_changes(report)
    return list(dict.fromkeys(found))


def findings_of(report: ReportFacts) -> list[str]:
    """Return what people should know although it did not fail, each sentence only once."""
    return list(dict.fromkeys([*report.order_findings, *report.entries.findings]))


def _faults_of_points(report: ReportFacts) -> Iterator[str]:
    covered = {point.asset for point in report.restore_points}
    for asset in report.incident.assets:
        if asset not in covered:
            yield f"{asset} has no restore point."
    for point in report.restore_points:
        if point.outcome is not Outcome.SUCCEEDED:
            yield f"The backup of {point.asset} ({point.id}) is {point.outcome.value}."
        if point.verified_at is None:
            yield f"The restore point {point.id} of {point.asset} is not verified."


def _faults_of_evidence(report: ReportFacts) -> Iterator[str]:
    if report.restore_points and not report.evidence:
        yield "No evidence was sealed."
    for record in report.evidence:
        if not record.timestamped:
            yield f"The evidence package {record.id} is not time-stamped: no time-stamping authority is configured."


def _faults_of_runs(report: ReportFacts) -> Iterator[str]:
    for run in report.runs:
        if run.has_ended and run.status.value != "done":
            yield f"The run {run.id} of {run.playbook} ended {run.status.value}" + (f": {run.why}" if run.why else "")


def _open_changes(report: ReportFacts) -> Iterator[str]:
    for change in report.changes:
        if change.is_open:
            yield f"The emergency change {change.number} of {change.integration} is not closed."


def banner(report: ReportFacts) -> Html:
    """Return the first thing that a reader sees: what did not succeed, or that everything did."""
    faults, findings = faults_of(report), findings_of(report)
    content: list[Html] = []
    if faults:
        content.append(_box("warn", "What did not succeed, or is not finished", faults))
    else:
        words = element("p", "Every recorded step succeeded and every restore point is verified.")
        content.append(element("div", element("h2", "Nothing is open"), words, class_="banner good"))
    if findings:
        summary = element("summary", f"Findings to know: {len(findings)}")
        content.append(element("details", summary, bullets(shown(findings)), *rest(len(findings), _WHERE)))
    return element("div", *content, id="open")


def _box(kind: str, heading: str, sentences: list[str]) -> Html:
    return element(
        "div", element("h2", heading), bullets(shown(sentences)), *rest(len(sentences), _WHERE), class_=f"banner {kind}"
    )
