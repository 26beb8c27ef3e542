"""The pinned plan of a run, wherever runs are kept."""

from __future__ import annotations

from snaphold.engine.plan import Plan, check_plan, plan_from, read_plan
from snaphold.engine.run import Run
from snaphold.engine.tenures import stored_plan
from snaphold.ledger.entry import digest
from snaphold.runtime import Runtime


def plan_of(runtime: Runtime, run: Run) -> Plan:
    """Return the plan that the run was started with. Raises LedgerError when it was changed or is missing."""
    stored = stored_plan(runtime.ledger, run.id)
    if stored is None:
        return read_plan(runtime.configuration, run)
    check_plan(run, digest(stored), "the database")
    return plan_from(stored)
