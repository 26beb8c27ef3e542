"""The incident report."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pydantic import Field

from snaphold.action import Effect, Needs, Recovery, Request, Result, action
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.errors import StorageError

REPORT_NAME = "report.html"


class SummariseIncident(Request):
    """Input of report.summary: nothing but the incident itself."""


class SummarisedIncident(Result):
    """Where the report is, and what it says stands open."""

    report: str = Field(description="Path of the report.", examples=["/var/lib/snaphold/reports/INC-2026-0042/report.html"])
    steps: int = Field(ge=0, description="Steps of playbooks that had ended when it was written.", examples=[16])
    restore_points: int = Field(ge=0, description="Restore points in the report.", examples=[3])
    open_points: list[str] = Field(
        description="What did not succeed or is not finished; the report shows it first.",
        examples=[["The evidence package EV-1 is not time-stamped."]],
    )


@action(
    "report.summary",
    title="Write the incident report",
    effect=Effect.WRITES,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
)
def summary(request: SummariseIncident, context: Context) -> SummarisedIncident:
    """Write one HTML file on the incident: priorities, approvals, restore points, evidence, holds, audit trail."""
    from snaphold.report.collect import collect
    from snaphold.report.faults import faults_of
    from snaphold.report.page import render

    report = collect(context)
    path = context.configuration.state_folder / "reports" / context.incident.id / REPORT_NAME
    context.progress(f"writing {path}")
    write_report(render(report), path)
    return SummarisedIncident(
        outcome=Outcome.SUCCEEDED,
        findings=[],
        report=str(path),
        steps=sum(len(run.steps) for run in report.runs),
        restore_points=len(report.restore_points),
        open_points=faults_of(report),
    )


def write_report(page: str, path: Path) -> None:
    """Write the page beside its final name and rename it. Raises StorageError; an earlier report is then still whole."""
    import os

    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # what failed is told; a leftover that cannot be removed adds nothing to it
            partial.unlink(missing_ok=True)
        raise StorageError(f"the report {path} cannot be written", error.strerror, "free space, or check its folder") from error
