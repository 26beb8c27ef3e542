"""`snaphold token create|list|revoke`: the API tokens of the service."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from snaphold.cli.options import add_config_option, add_runtime_options, runtime_of, sentence
from snaphold.cli.output import Writer, details, table
from snaphold.clock import SystemClock, format_time, parse_duration
from snaphold.errors import EXIT_DONE

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from snaphold.service.records import ApiToken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `create`, `list` and `revoke`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands", required=True)
    create = _add(subparsers, "create", "make a token and show it this one time")
    create.add_argument("--person", required=True, metavar="PERSON", help="in whose name it acts: a person of the configuration")
    create.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="ROLE",
        help="a role that it has; may repeat (default: all of theirs)",
    )
    create.add_argument("--expires", type=_duration, metavar="DURATION", help="how long it lasts (default 90d, at most 366d)")
    create.add_argument("--note", default="", metavar="TEXT", help="where it is used, for the list")
    create.add_argument("--may-approve", action="store_true", help="let it answer approvals in the person's name")
    create.add_argument("--may-use-grants", action="store_true", help="let emergency grants of the person count for it")
    add_runtime_options(create)
    listing = _add(subparsers, "list", "list the tokens, the newest last")
    add_config_option(listing)
    revoke = _add(subparsers, "revoke", "revoke a token at once")
    revoke.add_argument("token", metavar="TOKEN", help="the token's id, TOK-...")
    add_runtime_options(revoke)


def _add(subparsers: Any, name: str, text: str) -> argparse.ArgumentParser:
    return subparsers.add_parser(name, help=text, description=sentence(text))


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Run the subcommand; return 0."""
    if arguments.part == "create":
        return _create(arguments, writer)
    if arguments.part == "revoke":
        return _revoke(arguments, writer)
    return _list(arguments, writer)


def _create(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.service.tokens import DEFAULT_LIFE, create_token

    record, token = create_token(
        runtime_of(arguments),
        arguments.person,
        roles=arguments.role,
        lasts=arguments.expires or DEFAULT_LIFE,
        note=arguments.note,
        may_approve=arguments.may_approve,
        may_use_grants=arguments.may_use_grants,
    )
    writer.note(f"{record.id} acts as {record.person} ({', '.join(record.roles)}) until {format_time(record.expires_at)}")
    writer.note("this is the only time that the token is shown")
    writer.reveal({**_document(record, record.created_at), "token": token}, token)
    return EXIT_DONE


def _revoke(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.service.tokens import revoke_token

    record = revoke_token(runtime_of(arguments), arguments.token)
    shown = [("token", record.id), ("person", record.person), ("state", "revoked"), ("revoked by", record.revoked_by)]
    writer.document(_document(record, SystemClock().now()), details(shown))
    return EXIT_DONE


def _list(arguments: argparse.Namespace, writer: Writer) -> int:
    from snaphold.cli.register import open_register
    from snaphold.service.records import ApiToken

    _, ledger = open_register(arguments.config)
    tokens = ledger.records(ApiToken) if ledger is not None else []
    now = SystemClock().now()
    rows = [
        (one.id, one.person, ", ".join(one.roles), _state(one, now), format_time(one.expires_at),
         format_time(one.last_used_at) if one.last_used_at else "never", one.note)
        for one in tokens
    ]  # fmt: skip
    headings = ("token", "person", "roles", "state", "expires", "last used", "note")
    writer.document([_document(one, now) for one in tokens], table(headings, rows))
    return EXIT_DONE


def _document(token: ApiToken, now: datetime) -> dict[str, Any]:
    return {**token.model_dump(mode="json", exclude={"sha256", "incident"}), "state": _state(token, now)}


def _state(token: ApiToken, now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if now >= token.expires_at else "valid"
