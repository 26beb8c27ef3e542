"""`snaphold run PLAYBOOK|auto --incident FILE`: runs a playbook for an incident."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from typing import TYPE_CHECKING

from snaphold.cli.options import (
    add_dry_run_option,
    add_incident_option,
    add_justification_option,
    add_runtime_options,
    runtime_of,
)
from snaphold.cli.output import Writer
from snaphold.errors import EXIT_DONE, EXIT_FAILED, EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_NOT_AUTHORISED, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from snaphold.engine.plan import Plan
    from snaphold.engine.run import Run
    from snaphold.runtime import Runtime

AUTO = "auto"
_GRACE_SECONDS = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    parser.add_argument("playbook", metavar="PLAYBOOK", help="a name, a file, or auto: severity and category decide")
    add_incident_option(parser)
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="an input of the playbook; may repeat")
    parser.add_argument(
        "--generation", type=int, default=1, metavar="N", help="2 or more: a deliberate second run of what was run before"
    )
    add_justification_option(parser)
    add_no_wait_option(parser)
    add_dry_run_option(parser)
    add_runtime_options(parser)


def add_no_wait_option(parser: argparse.ArgumentParser) -> None:
    """Add `--no-wait`, read as `arguments.no_wait` (a boolean)."""
    parser.add_argument("--no-wait", action="store_true", help="leave the run when it stands at an approval (exit code 5)")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run the playbook. Returns 0 done, 1 failed, 3 partial, 4 denied, 5 left at an approval, 6 timed out, 130 left."""
    from snaphold.config import select_playbook
    from snaphold.engine.driver import start_run
    from snaphold.engine.plan import make_plan
    from snaphold.playbook.lint import load_checked
    from snaphold.runtime import load_incident

    given = _inputs(arguments.input)
    if arguments.generation < 1:
        raise InputError("a generation is 1 or more", f"it is {arguments.generation}")
    incident = load_incident(arguments.incident)
    runtime = runtime_of(arguments)
    name = select_playbook(runtime.configuration, incident).playbook if arguments.playbook == AUTO else arguments.playbook
    loaded, parts = load_checked(name, runtime.configuration)
    plan = make_plan(loaded, parts, given, incident, generation=arguments.generation, justification=arguments.justification)
    _announce(plan, runtime, writer, dry_run=arguments.dry_run)
    if arguments.dry_run:
        return _rehearse(runtime, plan, writer)
    from snaphold.cli.run_output import RunPrinter

    printer = RunPrinter(writer)
    return drive(lambda: start_run(runtime, plan, listener=printer, stay_at_gates=not arguments.no_wait), plan.run, writer)


def drive(start: Callable[[], Run], id: str, writer: Writer) -> int:
    """Drive a run with `start`, write its summary and return its exit code; 130 when somebody interrupted it."""
    from snaphold.cli.run_output import write_summary

    try:
        run = start()
    except KeyboardInterrupt:
        writer.note(f"{id} was left; nothing is lost: snaphold runs resume {id}")
        _leave_threads_behind()
        return EXIT_INTERRUPTED
    write_summary(run, writer)
    return run.exit_code


def _leave_threads_behind() -> None:
    """End the process now when an action is still at work and nobody wants to wait. The run survives that."""
    others = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for thread in others:
        thread.join(_GRACE_SECONDS)
    if any(thread.is_alive() for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_INTERRUPTED)


def _inputs(texts: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise InputError(f"--input {text!r} is not NAME=VALUE")
        if name in given:
            raise InputError(f"the input {name!r} is given twice")
        given[name] = value
    return given


def _announce(plan: Plan, runtime: Runtime, writer: Writer, *, dry_run: bool) -> None:
    root = plan.root.metadata
    fields = {
        "run": plan.run, "playbook": plan.playbook, "version": root.version, "digest": plan.root.digest,
        "change_record": root.change_record, "incident": plan.incident.id, "requested_by": runtime.actor.id,
        "generation": plan.generation, "dry_run": dry_run,
    }  # fmt: skip
    title = "dry run of " if dry_run else f"{plan.run}: "
    text = f"{title}{plan.playbook} {root.version} ({root.change_record}) for {plan.incident.id}, requested by {runtime.actor.id}"
    writer.event("run", fields, text)


def _rehearse(runtime: Runtime, plan: Plan, writer: Writer) -> int:
    from snaphold.cli.run_output import RunPrinter, tally
    from snaphold.engine.dry_run import rehearse
    from snaphold.engine.frame import judge
    from snaphold.engine.run import Reason, RunStatus

    result = rehearse(runtime, plan, RunPrinter(writer, dry_run=True))
    status = judge(result)
    counted = tally(result.lines)
    fields = {"status": status.value, "reason": result.reason.value, "why": result.why, "tally": counted, "dry_run": True}
    told = ", ".join(f"{count} {outcome}" for outcome, count in counted.items())
    text = f"dry run: it would end {writer.mark(status.value)} ({told}); nothing was done and nothing was recorded"
    writer.event("summary", fields, text + (f"\n  why: {result.why}" if result.why else ""))
    if result.reason is Reason.NOT_AUTHORISED:
        return EXIT_NOT_AUTHORISED
    return {RunStatus.DONE: EXIT_DONE, RunStatus.PARTIAL: EXIT_FINDINGS}.get(status, EXIT_FAILED)
