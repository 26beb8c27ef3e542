"""`snaphold approvals list|show|approve|deny`: answers the questions of runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from snaphold.cli.options import add_config_option, add_runtime_options, runtime_of, sentence
from snaphold.cli.output import Writer, details, table
from snaphold.clock import format_time
from snaphold.errors import EXIT_DONE

if TYPE_CHECKING:
    from snaphold.config import Configuration
    from snaphold.domain.authority import Approval
    from snaphold.ledger.ledger import Ledger


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `list`, `show`, `approve` and `deny`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands", required=True)
    listing = _add(subparsers, "list", "list the open requests; with --all every request")
    listing.add_argument("--all", action="store_true", help="also those that were answered or have expired")
    listing.add_argument("--incident", metavar="ID", help="only the requests of this incident")
    show = _add(subparsers, "show", "show a request, its answers, and who may answer")
    answers = [
        _add(subparsers, "approve", "approve a request, with the reason"),
        _add(subparsers, "deny", "deny a request, with the reason; one denial ends it"),
    ]
    for child in (show, *answers):
        child.add_argument("approval", metavar="APPROVAL", help="the request's id")
    for child in answers:
        child.add_argument("--reason", required=True, metavar="TEXT", help="why; stands in the audit trail for good")
        add_runtime_options(child)
    for child in (listing, show):
        add_config_option(child)


def _add(subparsers: Any, name: str, text: str) -> argparse.ArgumentParser:
    return subparsers.add_parser(name, help=text, description=sentence(text))


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run the subcommand and return 0; a refused answer is an error with its own code."""
    if arguments.part in ("approve", "deny"):
        return _decide(arguments, writer)
    from snaphold.cli.register import open_register

    configuration, ledger = open_register(arguments.config)
    if arguments.part == "list":
        return _list(configuration, ledger, arguments, writer)
    return _show(configuration, ledger, arguments.approval, writer)


def _list(configuration: Configuration, ledger: Ledger | None, arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.domain.authority import Approval, ApprovalState

    found = ledger.records(Approval, arguments.incident) if ledger is not None else []
    shown = [one for one in found if arguments.all or one.state is ApprovalState.WAITING]
    rows = [
        (one.id, writer.mark(one.state.value), one.incident, one.escalated_to or one.asked_of,
         f"{_approved(one)}/{one.needed}", format_time(one.expires_at), one.ask)
        for one in shown
    ]  # fmt: skip
    headings = ("approval", "state", "incident", "asked of", "votes", "until", "question")
    writer.document([_document(configuration, one) for one in shown], table(headings, rows))
    return EXIT_DONE


def _approved(approval: Approval) -> int:
    from snaphold.engine.approvals import approvers

    return len(approvers(approval))


def _document(configuration: Configuration, approval: Approval) -> dict[str, Any]:
    from snaphold.engine.approvals import may_decide

    return {**approval.model_dump(mode="json"), "people": list(may_decide(configuration, approval))}


def _show(configuration: Configuration, ledger: Ledger | None, id: str, writer: Writer) -> int:
    from snaphold.engine.approvals import find_approval, may_decide
    from snaphold.errors import InputError

    if ledger is None:
        raise InputError(f"there is no approval request {id!r}", "nothing was ever run with this configuration")
    one = find_approval(ledger, id)
    votes = [f"{vote.decision.value} by {vote.name} at {format_time(vote.at)}: {vote.reason}" for vote in one.votes]
    fields = [
        ("approval", one.id), ("state", writer.mark(one.state.value)), ("question", one.ask), ("incident", one.incident),
        ("run", one.run), ("step", one.step), ("requested by", one.requested_by), ("asked of", one.asked_of),
        ("escalated to", one.escalated_to), ("may answer", ", ".join(may_decide(configuration, one))),
        ("needed", str(one.needed)), ("until", format_time(one.expires_at)), ("answers", "\n".join(votes) or "none"),
    ]  # fmt: skip
    writer.document(_document(configuration, one), details([(name, value) for name, value in fields if value]))
    return EXIT_DONE


def _decide(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.domain.authority import Decision
    from snaphold.engine.approvals import decide
    from snaphold.engine.driver import wake_run

    runtime = runtime_of(arguments)
    decision = Decision.APPROVED if arguments.part == "approve" else Decision.DENIED
    answered = decide(
        runtime.configuration, runtime.ledger, arguments.approval, runtime.actor, decision, arguments.reason, runtime.clock.now()
    )
    driven = wake_run(runtime, answered.run)
    text = f"{answered.id} is {writer.mark(answered.state.value)} ({_approved(answered)} of {answered.needed} approved)"
    if not driven and answered.run:
        text += f"\nno process drives the run: snaphold runs resume {answered.run}"
    writer.document(_document(runtime.configuration, answered), text)
    return EXIT_DONE
