"""How far a run is, by the audit trail: which step is at work, which ended how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from snaphold.clock import parse_time
from snaphold.domain.authority import Approval, ApprovalState
from snaphold.engine.run import Run
from snaphold.ledger.entry import Event

RUNNING = "running"
_KEY_PARTS = 4
_RANK = {
    "succeeded": 0,
    "approved": 0,
    "partial": 1,
    "unknown": 3,
    "failed": 4,
    "denied": 4,
    "expired": 4,
    RUNNING: 5,
    "waiting": 5,
}


@dataclass(frozen=True)
class StepProgress:
    """One use of one step. `path` is the path of step ids below the playbook that runs."""

    path: str
    action: str
    subject: str
    outcome: str
    began_at: datetime
    ended_at: datetime | None


def read_progress(entries: Iterable[Mapping[str, Any]], *, whole: bool = True) -> list[StepProgress]:
    """Return the steps of a run in the order in which they began; a step that asks again and again stands once.

    Unless `whole`, entries are missing in between: a step of which only the end is there is left out.
    """
    found: dict[tuple[str, str, str], StepProgress] = {}
    for entry in entries:
        event, parts = entry["event"], entry["key"].split("/")
        if len(parts) != _KEY_PARTS or event not in (Event.INTENT.value, Event.TAKEN_OVER.value, Event.OUTCOME.value):
            continue
        named, _, item = parts[1].partition("[")
        path, at = named.partition(".")[2], parse_time(entry["at"])
        subject = parts[2] if parts[2] != "-" else item.rstrip("]").rpartition("+")[2]
        place = (path, entry["action"], subject)
        before = found.get(place)
        if event == Event.OUTCOME.value and before is None and not whole:
            continue
        if event == Event.OUTCOME.value:
            began = before.began_at if before else at
            found[place] = StepProgress(path, entry["action"], subject, entry["outcome"], began, at)
        elif before is None or before.outcome != RUNNING:
            began = before.began_at if before else at
            found[place] = StepProgress(path, entry["action"], subject, RUNNING, began, None)
    return list(found.values())


def states_of_nodes(
    progress: Iterable[StepProgress], run: Run, approvals: Iterable[Approval], calls: frozenset[str], nodes: frozenset[str]
) -> dict[str, str]:
    """Return the state of each node of the playbook's picture that was reached; of several uses the gravest counts.

    What happens inside a called playbook shows at the node of the call.
    """
    states: dict[str, str] = {}

    def mark(path: str, state: str) -> None:
        parts = path.split(".")
        part = next((one for one in parts if one in calls), parts[-1])
        if part in nodes and _RANK.get(state, 2) >= _RANK.get(states.get(part, ""), -1):
            states[part] = state

    for step in progress:
        state = "unknown" if step.outcome == RUNNING and run.has_ended else step.outcome
        mark(step.path, state)
    for approval in approvals:
        waiting = approval.state is ApprovalState.WAITING
        if not (waiting and run.has_ended):
            mark(approval.step, approval.state.value)
    # Of an ended run the lines say it all; while it runs, there are none.
    for line in run.steps:
        mark(line.step, line.outcome)
    return states
