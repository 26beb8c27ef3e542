"""The pinned plan of a run, wherever runs are kept."""

from __future__ import annotations

from snaphold.engine.plan import Plan, read_plan
from snaphold.engine.run import Run
from snaphold.runtime import Runtime


def plan_of(runtime: Runtime, run: Run) -> Plan:
    """Return the plan that the run was started with. Raises LedgerError when it was changed or is missing."""
    return read_plan(runtime.configuration, run)
