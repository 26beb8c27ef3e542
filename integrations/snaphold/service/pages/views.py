"""What each page shows, gathered from the registers and the audit trail. Plain data; the templates only lay it out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, Generic, TypeVar

from snaphold.doctor import STATE_FILE
from snaphold.domain.authority import Approval, ApprovalState, EvidenceRecord, Hold
from snaphold.domain.incident import IncidentRecord
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Retention
from snaphold.engine.approvals import may_decide
from snaphold.engine.run import Run, find_run
from snaphold.errors import InputError, SnapholdError
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.glance import count_records, edges_of_run, newest_of_run, records_about
from snaphold.ledger.ledger import Record
from snaphold.report.clocks import SlaClock
from snaphold.report.measures import Measures
from snaphold.runtime import Runtime
from snaphold.service.approvals import refusal_of
from snaphold.service.callers import Caller
from snaphold.service.pages.diagram import draw
from snaphold.service.pages.guarded import Guarded, guarded_by
from snaphold.service.pages.plans import plan_of
from snaphold.service.pages.progress import StepProgress, read_progress, states_of_nodes
from snaphold.service.problems import RequestError
from snaphold.targets.flow import NodeKind, build_flow

ROWS = 50
"""Rows of a page of a register."""
MOST_OF_ONE = 100
"""Records of one kind on the page of one incident."""
FIRST_ENTRIES, LAST_ENTRIES = 200, 800
"""Of a run with more entries in the audit trail the page shows the steps of these."""
LATE = ("missed", "overdue")
BOARD_DAYS = 30
Item = TypeVar("Item")


@dataclass(frozen=True)
class Excerpt(Generic[Item]):
    """What is shown of a list, and how many are not."""

    shown: list[Item]
    more: int


@dataclass(frozen=True)
class Sheet:
    """One page of a register: its records, where it stands, and how many there are in all."""

    records: list[Any]
    page: int
    total: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // ROWS))


def sheet_of(runtime: Runtime, model: Any, page: int) -> Sheet:
    """Return a page of a register, the newest first."""
    records, total = runtime.ledger.latest(model, ROWS, (page - 1) * ROWS)
    return Sheet(records, page, total)


def incidents_page(caller: Caller, page: int) -> dict[str, Any]:
    """Return the incidents and the newest runs."""
    runs, _ = caller.runtime.ledger.latest(Run, 10)
    return {"sheet": sheet_of(caller.runtime, IncidentRecord, page), "runs": runs, "waiting": len(_waiting(caller.runtime))}


def incident_page(caller: Caller, id: str, clocks: tuple[SlaClock, ...]) -> dict[str, Any]:
    """Return everything about an incident. Raises RequestError (404)."""
    ledger = caller.runtime.ledger
    record = ledger.record(IncidentRecord, id)
    if record is None:
        raise RequestError(404, f"there is no incident {id[:128]!r}", "nobody has told this service of it")
    return {
        "incident": record.declared,
        "most": MOST_OF_ONE,
        "clocks": _gravest([clock for clock in clocks if clock.incident == id]),
        "runs": ledger.records(Run, id),
        "points": _newest(ledger, RestorePoint, id),
        "evidence": _newest(ledger, EvidenceRecord, id),
        "holds": _newest(ledger, Hold, id, ("released_at", None)),
        "approvals": _newest(ledger, Approval, id),
    }


def _newest(
    ledger: DatabaseLedger, model: type[Record], incident: str, saying: tuple[str, str | None] | None = None
) -> Excerpt[Record]:
    """Return the newest records of an incident, oldest first, and how many are not among them."""
    found, more = ledger.page(model, incident, MOST_OF_ONE, None, saying)
    return Excerpt(found[::-1], count_records(ledger, model, incident, saying) - len(found) if more else 0)


def _gravest(clocks: list[SlaClock]) -> Excerpt[SlaClock]:
    """Return the clocks of an incident; of very many those that are late come first."""
    if len(clocks) > MOST_OF_ONE:
        clocks = sorted(clocks, key=lambda clock: clock.state.value not in LATE)
    return Excerpt(clocks[:MOST_OF_ONE], max(0, len(clocks) - MOST_OF_ONE))


def run_page(caller: Caller, id: str) -> dict[str, Any]:
    """Return a run with its steps so far and the picture of its playbook. Raises RequestError (404)."""
    runtime = caller.runtime
    try:
        run = find_run(runtime.ledger, id)
    except InputError as error:
        raise RequestError(404, error.what, error.why) from error
    edges = edges_of_run(runtime.ledger, id, FIRST_ENTRIES, LAST_ENTRIES)
    progress = read_progress(edges.entries, whole=edges.are_all)
    approvals = [one for one in runtime.ledger.records(Approval, run.incident) if one.run == id]
    picture, why = _picture(runtime, run, progress, approvals)
    left_out = edges.total - len(edges.entries)
    return {
        "run": run, "progress": progress, "approvals": approvals, "picture": picture, "no_picture": why, "entries": edges.total,
        "left_out": left_out,
    }  # fmt: skip


def _picture(runtime: Runtime, run: Run, progress: list[StepProgress], approvals: list[Approval]) -> tuple[str, str]:
    try:
        playbook = plan_of(runtime, run).root
    except SnapholdError as error:
        return "", f"{error.what}: {error.why}" if error.why else error.what
    flow = build_flow(playbook)
    calls = frozenset(node.id for node in flow.nodes if node.kind is NodeKind.CALL)
    states = states_of_nodes(progress, run, approvals, calls, frozenset(node.id for node in flow.nodes))
    return draw(flow, states, f"The playbook {run.playbook}; the states stand in the table of steps"), ""


def approvals_page(caller: Caller, page: int) -> dict[str, Any]:
    """Return the requests that wait, and all of them."""
    mine: list[Approval] = []
    others: list[Approval] = []
    for one in _waiting(caller.runtime):
        (mine if caller.actor.id in may_decide(caller.runtime.configuration, one) else others).append(one)
    return {"mine": mine, "others": others, "sheet": sheet_of(caller.runtime, Approval, page)}


def approval_page(caller: Caller, id: str) -> dict[str, Any]:
    """Return a request, what would happen after it, and why the visitor may not answer it. Raises RequestError (404)."""
    runtime = caller.runtime
    approval = runtime.ledger.record(Approval, id)
    if approval is None:
        raise RequestError(404, f"there is no approval request {id[:128]!r}")
    people = may_decide(runtime.configuration, approval)
    if approval.state is not ApprovalState.WAITING:
        barred = f"it is {approval.state.value} already"
    elif caller.actor.id not in people:
        own = caller.actor.id in (approval.requested_by, approval.requested_for)
        barred = "you asked for it yourself; somebody else must answer" if own else "you are not among those who are asked"
    elif caller.actor.id in {vote.by for vote in approval.votes}:
        barred = "you have answered already"
    else:
        barred = refusal_of(caller, approval)
    return {"approval": approval, "people": people, "barred": barred, "guarded": _guarded(runtime, approval)}


def _guarded(runtime: Runtime, approval: Approval) -> Guarded | None:
    run = runtime.ledger.record(Run, approval.run) if approval.run else None
    if run is None:
        return None
    try:
        return guarded_by(plan_of(runtime, run), approval.step)
    except SnapholdError:
        return None  # the plan cannot be read: the page says that it cannot tell


def restore_points_page(caller: Caller, page: int) -> dict[str, Any]:
    """Return restore points with their holds and what keeps them."""
    sheet = sheet_of(caller.runtime, RestorePoint, page)
    holds: dict[str, list[Hold]] = {}
    shown = [point.id for point in sheet.records]
    for hold in records_about(caller.runtime.ledger, Hold, "subject", shown, ("released_at", None)):
        holds.setdefault(hold.subject, []).append(hold)
    kept = caller.runtime.ledger.some(Retention, shown)
    return {"sheet": sheet, "holds": holds, "kept": kept}


def evidence_page(caller: Caller, page: int) -> dict[str, Any]:
    """Return evidence packages and their last verification."""
    return {"sheet": sheet_of(caller.runtime, EvidenceRecord, page)}


def integrations_page(caller: Caller) -> dict[str, Any]:
    """Return every integration and pool with who answers for it, when it was last fit, and whether its review is due."""
    configuration = caller.runtime.configuration
    try:
        successes: Any = json.loads((configuration.state_folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        successes = {}  # `snaphold doctor` was never run here
    today = caller.runtime.clock.now().date()
    parts = [("integration", item.name, item.kind, item) for item in configuration.integrations]
    rows = [
        {
            "part": part, "name": name, "kind": kind, "owner": item.owner, "contact": item.contact, "review_by": item.review_by,
            "overdue": bool(item.review_by) and date.fromisoformat(item.review_by) < today,
            "last_success": successes.get(f"{part}/{name}", ""),
        }
        for part, name, kind, item in [*parts, *(("pool", pool.name, pool.provider, pool) for pool in configuration.pools)]
    ]  # fmt: skip
    return {"rows": rows}


def board_page(measures: Measures, age: timedelta) -> dict[str, Any]:
    """Return the executive board: the measures of the last days, and how old they are."""
    late = sorted((one for one in measures.clocks if one.state.value in LATE), key=lambda one: -one.seconds)
    most = max((point.bytes for point in measures.growth), default=0) or 1
    points = [
        (index * 600 / max(1, len(measures.growth) - 1), 110 - 100 * point.bytes / most)
        for index, point in enumerate(measures.growth)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return {"measures": measures, "late": late[:ROWS], "line": line, "age": int(age.total_seconds())}


def board_period(now: datetime) -> tuple[datetime, datetime]:
    """Return the period of the board: today and the days before, whole days in UTC."""
    until = now.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return until - timedelta(days=BOARD_DAYS), until


def signature_of(caller: Caller, id: str) -> str:
    """Return a text that changes when anything about a run changes: each change of it is an entry of the audit trail."""
    return str(newest_of_run(caller.runtime.ledger, id))


def _waiting(runtime: Runtime) -> list[Approval]:
    return runtime.ledger.saying(Approval, "state", ApprovalState.WAITING.value)
