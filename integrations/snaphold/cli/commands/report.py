"""`snaphold report executive`: the measures of a period for those who decide, as a page, a table or JSON."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.cli.options import add_config_option, sentence
from snaphold.cli.output import Writer, details
from snaphold.errors import EXIT_DONE, InputError

if TYPE_CHECKING:
    from snaphold.report.measures import Measures

USUAL_DAYS = 30
_MOST_DAYS = 3660


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `executive` with its period and format."""
    subparsers = parser.add_subparsers(dest="part", metavar="REPORT", title="reports", required=True)
    text = "mean time to backup, success rate, SLA met, storage growth and open holds of a period"
    executive = subparsers.add_parser("executive", help=text, description=sentence(text))
    executive.add_argument("--from", dest="since", metavar="DAY", help=f"first day, YYYY-MM-DD (else {USUAL_DAYS} days ago)")
    executive.add_argument("--to", dest="until", metavar="DAY", help="last day, YYYY-MM-DD (else today)")
    executive.add_argument("--format", choices=("html", "csv", "json"), help="of the report (else the figures, for people)")
    executive.add_argument("--out", type=Path, metavar="FILE", help="write it there instead of printing it")
    add_config_option(executive)


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Write or print the report. Returns 0."""
    from snaphold.cli.register import open_register
    from snaphold.report.measures import NOTHING, measure

    now = datetime.now(timezone.utc)
    since, until = _period(arguments.since, arguments.until, now)
    configuration, ledger = open_register(arguments.config)
    measures = measure(configuration, ledger or NOTHING, since, until, now)
    report = _written(measures, arguments.format or _format_of(arguments.out), configuration.organisation.name)
    if report is None:
        _show(measures, writer)
    elif arguments.out:
        from snaphold.actions.report import write_report

        write_report(report, arguments.out)
        writer.document({"report": str(arguments.out)}, f"written: {arguments.out}")
    else:
        writer.exact(report)
    return EXIT_DONE


def _period(first: str | None, last: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Return the start of the first day and the end of the last one (UTC)."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    until = (_day(last, "--to") if last else today) + timedelta(days=1)
    since = _day(first, "--from") if first else until - timedelta(days=USUAL_DAYS)
    if not since < until <= since + timedelta(days=_MOST_DAYS):
        why = f"it begins on {since:%Y-%m-%d} and ends with {until - timedelta(days=1):%Y-%m-%d}"
        raise InputError("the period is wrong", why, f"give --from and --to, at most {_MOST_DAYS} days")
    return since, until


def _format_of(out: Path | None) -> str | None:
    """Return the format that a file's name asks for; JSON when it asks for none."""
    if out is None:
        return None
    return {".html": "html", ".htm": "html", ".csv": "csv"}.get(out.suffix.lower(), "json")


def _written(measures: Measures, format: str | None, organisation: str) -> str | None:
    from snaphold.report.executive import as_csv, as_document, as_page

    if format == "html":
        return as_page(measures, organisation)
    if format == "csv":
        return as_csv(measures)
    return json.dumps(as_document(measures), ensure_ascii=False, indent=1) + "\n" if format == "json" else None


def _show(measures: Measures, writer: Writer) -> None:
    from snaphold.report.executive import as_document, percent
    from snaphold.report.figures import in_bytes, in_seconds

    mean = measures.mean_time_to_backup
    shown = [
        ("period", f"{measures.since:%Y-%m-%d} to {measures.until - timedelta(days=1):%Y-%m-%d}"),
        ("incidents", str(measures.incidents)),
        ("mean time to backup", "-" if mean is None else in_seconds(mean)),
        ("backups", f"{measures.backups.asked} asked, {percent(measures.backups.success_rate)} succeeded"),
        ("SLA met", percent(measures.sla_met)),
        ("stored", in_bytes(measures.stored_bytes)),
        ("open holds", str(measures.open_holds)),
        ("evidence packages", str(measures.evidence_packages)),
    ]
    writer.document(as_document(measures), details(shown))


def _day(text: str, option: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise InputError(f"{option} {text!r} is not a day", "it is written YYYY-MM-DD", f"e.g. {option} 2026-11-01") from error
