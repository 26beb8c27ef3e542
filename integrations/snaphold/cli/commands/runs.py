"""`snaphold runs list|show|cancel|resume`: what ran, where it stands, and taking it up again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from snaphold.cli.commands.run import add_no_wait_option, drive
from snaphold.cli.options import add_config_option, add_runtime_options, runtime_of, sentence
from snaphold.cli.output import Writer, details, table
from snaphold.clock import format_time
from snaphold.errors import EXIT_DONE

if TYPE_CHECKING:
    from snaphold.config import Configuration
    from snaphold.engine.run import Run, StepLine
    from snaphold.ledger.ledger import Ledger


LONGEST_CELL = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `list`, `show`, `cancel` and `resume`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands", required=True)
    listing = _add(subparsers, "list", "list the runs, the newest last")
    listing.add_argument("--incident", metavar="ID", help="only the runs of this incident")
    show = _add(subparsers, "show", "show a run: its steps, and what it waits for")
    cancel = _add(subparsers, "cancel", "have a run stop before its next action, for good")
    resume = _add(subparsers, "resume", "take up a run that was interrupted or that stood at an approval")
    add_no_wait_option(resume)
    for child in (show, cancel, resume):
        child.add_argument("run", metavar="RUN", help="the run's id")
    for child in (listing, show):
        add_config_option(child)
    for child in (cancel, resume):
        add_runtime_options(child)


def _add(subparsers: Any, name: str, text: str) -> argparse.ArgumentParser:
    return subparsers.add_parser(name, help=text, description=sentence(text))


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run the subcommand. `resume` returns the exit code of the run, the others 0."""
    if arguments.part == "resume":
        return _resume(arguments, writer)
    if arguments.part == "cancel":
        return _cancel(arguments, writer)
    from snaphold.cli.register import open_register

    configuration, ledger = open_register(arguments.config)
    if arguments.part == "list":
        return _list(configuration, ledger, arguments.incident, writer)
    return _show(configuration, ledger, arguments.run, writer)


def _list(configuration: Configuration, ledger: Ledger | None, incident: str | None, writer: Writer) -> int:
    from snaphold.engine.run import Run

    runs = ledger.records(Run, incident) if ledger is not None else []
    rows = [
        (run.id, writer.mark(run.status.value), _driven(configuration, ledger, run), f"{run.playbook} {run.version}",
         run.incident, format_time(run.started_at), run.requested_by)
        for run in runs
    ]  # fmt: skip
    documents = [{**run.model_dump(mode="json"), "driven": _driven(configuration, ledger, run) == "yes"} for run in runs]
    writer.document(documents, table(("run", "status", "driven", "playbook", "incident", "started", "requested by"), rows))
    return EXIT_DONE


def _driven(configuration: Configuration, ledger: Ledger | None, run: Run) -> str:
    from snaphold.engine.run import is_driven

    if run.has_ended or ledger is None:
        return "-"
    return "yes" if is_driven(configuration, ledger, run.id) else "no"


def _show(configuration: Configuration, ledger: Ledger | None, id: str, writer: Writer) -> int:
    from snaphold.domain.authority import Approval, ApprovalState
    from snaphold.engine.run import find_run
    from snaphold.errors import InputError

    if ledger is None:
        raise InputError(f"there is no run {id!r}", "nothing was ever run with this configuration")
    run = find_run(ledger, id)
    approvals = [one for one in ledger.records(Approval, run.incident) if one.run == id]
    driven = _driven(configuration, ledger, run)
    shown = [
        ("run", run.id), ("status", writer.mark(run.status.value)), ("why", run.why), ("driven now", driven),
        ("playbook", f"{run.playbook} {run.version} ({run.change_record})"), ("digest", run.digest),
        ("incident", run.incident), ("generation", str(run.generation)), ("requested by", run.requested_by),
        ("justification", run.justification), ("started", format_time(run.started_at)),
        ("ended", format_time(run.ended_at) if run.ended_at else ""), ("cancelled by", run.cancel_requested),
    ]  # fmt: skip
    text = details([(name, value) for name, value in shown if value])
    if run.steps:
        rows = [(line.step, line.item, writer.mark(line.outcome), f"{line.seconds:.1f}", _brief(line)) for line in run.steps]
        text += "\n\n" + table(("step", "item", "outcome", "seconds", "detail"), rows)
    waiting = [one for one in approvals if one.state is ApprovalState.WAITING and not run.has_ended]
    for one in waiting:
        text += f"\n\nwaits for {one.escalated_to or one.asked_of} until {format_time(one.expires_at)}: {one.ask}"
        text += f"\n  snaphold approvals approve {one.id} --reason TEXT"
    if driven == "no" and configuration.database:
        text += "\n\nno worker drives it now; one takes it as soon as it has something to do"
    elif driven == "no" and _is_shared(ledger, id):
        text += "\n\nnobody drives it now; the service takes it as soon as it has something to do"
        text += f"\nwithout a service (snaphold serve): snaphold runs resume {run.id}"
    elif driven == "no":
        text += f"\n\nno process drives it: snaphold runs resume {run.id}"
    document = {
        **run.model_dump(mode="json"), "driven": driven == "yes",
        "approvals": [one.model_dump(mode="json") for one in approvals],
    }  # fmt: skip
    writer.document(document, text)
    return EXIT_DONE


def _is_shared(ledger: Ledger, run: str) -> bool:
    from snaphold.engine.tenures import is_shared
    from snaphold.ledger.database import DatabaseLedger

    return isinstance(ledger, DatabaseLedger) and is_shared(ledger, run)


def _brief(line: StepLine) -> str:
    """Return what a line says, cut: a step on thousands of assets may have thousands of findings (--json has all)."""
    text = line.detail or "; ".join(line.findings)
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}... ({len(line.findings)} findings)"


def _cancel(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.engine.driver import cancel_run
    from snaphold.engine.run import RunStatus

    run = cancel_run(runtime_of(arguments), arguments.run)
    ended = run.status is RunStatus.CANCELLED
    text = f"{run.id} is cancelled" if ended else f"{run.id} stops before its next action; a job that it started goes on"
    writer.document(run.model_dump(mode="json"), text)
    return EXIT_DONE


def _resume(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.cli.run_output import RunPrinter
    from snaphold.engine.driver import resume_run

    runtime = runtime_of(arguments)
    printer = RunPrinter(writer)
    id = arguments.run
    return drive(lambda: resume_run(runtime, id, listener=printer, stay_at_gates=not arguments.no_wait), id, writer)
