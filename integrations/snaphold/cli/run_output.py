"""What people and programs see of a run: a line for each step, what it waits for, and a closing tally."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from snaphold.cli.output import Writer
from snaphold.engine.run import Run, RunStatus, StepLine
from snaphold.engine.steps import StepEvent

_INDENT = " " * 24


class RunPrinter:
    """Listens to a run and writes what happens. Branches run in threads, so lines are written one at a time."""

    def __init__(self, writer: Writer, *, dry_run: bool = False) -> None:
        self._writer = writer
        self._dry_run = dry_run
        self._lock = threading.Lock()

    def __call__(self, event: StepEvent) -> None:
        """Write one event."""
        with self._lock:
            if event.what == "ended" and event.line is not None:
                self._ended(event.line, before=event.before)
            elif event.what == "waiting":
                self._waiting(event)
            elif event.what == "leaving":
                self._writer.note("letting go of the run after the current step; once more to leave at once")
            elif event.what == "unsigned":
                self._writer.note(f"the audit trail is not signed: {event.detail['why']}")
            elif not event.before:
                self._writer.progress(_progress(event))

    def _ended(self, line: StepLine, *, before: bool) -> None:
        fields = {**line.model_dump(mode="json"), "before": before, "dry_run": self._dry_run}
        told = [detail for detail in (line.detail, *line.findings) if detail]
        text = "\n".join([self._headline(line, before=before), *(f"{_INDENT}{part}" for part in dict.fromkeys(told))])
        self._writer.event("step", fields, text)

    def _headline(self, line: StepLine, *, before: bool) -> str:
        outcome = f"{self._writer.mark(line.outcome)}{' ' * (10 - len(line.outcome))}"
        item = f" [{line.item}]" if line.item else ""
        note = " (done before)" if before else ""
        return f"  {outcome} {line.seconds:>7.1f} s  {line.step}{item}{note}  {line.title}".rstrip()

    def _waiting(self, event: StepEvent) -> None:
        detail = event.detail
        until = f" until {detail['expires_at']}" if "expires_at" in detail else ""
        people = ", ".join(detail.get("people", ()))
        asked = detail.get("escalated_to") or detail.get("asked_of", "")
        needed = f"{detail.get('needed', 1)} of {asked} ({people}){until}"
        lines = [
            f"  {self._writer.mark('waiting')}               {event.path}  {needed}",
            f"{_INDENT}{detail.get('ask', '')}",
        ]
        if "id" in detail:
            lines.append(f"{_INDENT}snaphold approvals approve {detail['id']} --reason TEXT   (or deny)")
        self._writer.event("waiting", {"step": event.path, **detail, "dry_run": self._dry_run}, "\n".join(lines))


def _progress(event: StepEvent) -> str:
    where = f"{event.path} [{event.item}]" if event.item else event.path
    if event.what == "retrying":
        return f"{where}: attempt {event.detail['attempt']} of {event.detail['of']} follows ({event.detail['why']})"
    if event.what == "polled":
        done, total = event.detail.get("bytes_done"), event.detail.get("bytes_total")
        share = f", {100 * done // total} %" if isinstance(done, int) and isinstance(total, int) and total else ""
        return f"{where}: {event.detail.get('state', 'asked')}{share}"
    return f"{where}: {event.title or event.what}"


def tally(lines: Sequence[StepLine]) -> dict[str, int]:
    """Return how many steps had each outcome."""
    return dict(Counter(line.outcome for line in lines))


def write_summary(run: Run, writer: Writer) -> None:
    """Write the last line of a run: how it ended or stands, the tally, and what to do next."""
    counted = tally(run.steps)
    end = run.ended_at or run.started_at
    seconds = round((end - run.started_at).total_seconds(), 3)
    fields: dict[str, Any] = {
        **run.model_dump(mode="json"), "tally": counted, "seconds": seconds, "exit_code": run.exit_code, "dry_run": False,
    }  # fmt: skip
    told = ", ".join(f"{count} {outcome}" for outcome, count in counted.items())
    text = f"{writer.mark(run.status.value)}: {told or 'no step has ended'}"
    if run.ended_at is not None:
        text += f" in {seconds:.1f} s"
    if run.why:
        text += f"\n  why: {run.why}"
    if run.status is RunStatus.WAITING:
        text = f"{writer.mark('waiting')}: {run.id} goes on with: snaphold runs resume {run.id}"
    elif run.status is RunStatus.RUNNING:
        text = f"{run.id} was left: snaphold runs resume {run.id}"
    writer.event("summary", fields, text)
