"""The executive report: mean time to backup, success rate, SLA met, storage growth and open holds of a period."""

from __future__ import annotations

import base64
import csv
import io
import statistics
from collections.abc import Sequence
from datetime import timedelta
from importlib.resources import files
from typing import Any

from snaphold import __version__
from snaphold.report.charts import draw_clocks, draw_growth, draw_times
from snaphold.report.clocks import ClockState, SlaClock, by_name, share_met
from snaphold.report.figures import in_bytes, in_seconds
from snaphold.report.markup import Content, Html, element, joined, section, table, text
from snaphold.report.measures import Measures

MOST_MISSED = 50
"""At most so many late clocks are listed on the page; JSON and CSV have all."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_LATE = frozenset({ClockState.MISSED, ClockState.OVERDUE})


def as_document(measures: Measures) -> dict[str, Any]:
    """Return the report for programs: the measures, and what follows from them. Seconds, bytes, shares from 0 to 1."""
    return {
        **measures.model_dump(mode="json"),
        "mean_time_to_backup_seconds": measures.mean_time_to_backup,
        "success_rate": measures.backups.success_rate,
        "sla_met": measures.sla_met,
        "sla_met_by_tier": {tier: share_met(clocks) for tier, clocks in _by_tier(measures.clocks).items()},
    }


def as_csv(measures: Measures) -> str:
    """Return the report as a table: measure, tier, value, unit. An empty value means that there is nothing to tell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("measure", "tier", "value", "unit"))
    writer.writerows((name, tier, "" if value is None else value, unit) for name, tier, value, unit in _rows(measures))
    return out.getvalue()


def as_page(measures: Measures, organisation: str) -> str:
    """Return the report as one HTML file that fetches nothing. Raises MissingToolError without matplotlib."""
    last = measures.until - timedelta(microseconds=1)
    period = f"{measures.since:%Y-%m-%d} to {last:%Y-%m-%d}"
    body = joined(
        (
            element(
                "header",
                element("p", f"{organisation} · executive report"),
                element("h1", "Backup in incidents"),
                element("p", period),
            ),
            element("main", _figures(measures), *_sections(measures)),
            element("footer", f"Written by snaphold {__version__}. Times are in UTC; sizes are those of the source data."),
        )
    )
    style = Html(files("snaphold.report").joinpath("report.css").read_text(encoding="utf-8"))
    chart = Html("figure { margin: .6rem 0 1rem; } figure img { width: 100%; max-width: 46rem; background: #fff; }")
    head = joined(
        (
            Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">'),
            element("title", f"{organisation} · backup in incidents"),
            element("style", style, chart),
        )
    )
    return f"<!DOCTYPE html>\n{element('html', element('head', head), element('body', body), lang='en')}\n"


def percent(share: float | None) -> str:
    """Return a share from 0 to 1 as people read it; `-` when there is none."""
    return "-" if share is None else f"{share * 100:.0f} %"


def _by_tier(clocks: Sequence[SlaClock]) -> dict[str, list[SlaClock]]:
    found: dict[str, list[SlaClock]] = {}
    for clock in clocks:
        found.setdefault(clock.tier, []).append(clock)
    return dict(sorted(found.items()))


def _rows(measures: Measures) -> list[tuple[str, str, float | int | None, str]]:
    backups = measures.backups
    rows: list[tuple[str, str, float | int | None, str]] = [
        ("incidents", "", measures.incidents, "count"),
        ("backups asked", "", backups.asked, "count"),
        ("backups succeeded", "", backups.succeeded, "count"),
        ("backups partial", "", backups.partial, "count"),
        ("backups failed", "", backups.failed, "count"),
        ("backups unknown", "", backups.unknown, "count"),
        ("backups unfinished", "", backups.unfinished, "count"),
        ("success rate", "", backups.success_rate, "share"),
        ("mean time to backup", "", measures.mean_time_to_backup, "seconds"),
        ("SLA met", "", measures.sla_met, "share"),
        ("stored", "", measures.stored_bytes, "bytes"),
        ("open holds", "", measures.open_holds, "count"),
        ("evidence packages", "", measures.evidence_packages, "count"),
    ]
    for tier, clocks in _by_tier(measures.clocks).items():
        for name, some in by_name(clocks).items():
            rows.append((f"SLA met: {name.value}", tier, share_met(some), "share"))
            stopped = [clock.seconds for clock in some if clock.stopped_at is not None]
            rows.append((f"mean time to {name.value}", tier, statistics.fmean(stopped) if stopped else None, "seconds"))
    return rows


def _figures(measures: Measures) -> Html:
    mean = measures.mean_time_to_backup
    shown = (
        ("Incidents", str(measures.incidents)),
        ("Mean time to backup", "-" if mean is None else in_seconds(mean)),
        ("Backups succeeded", percent(measures.backups.success_rate)),
        ("SLA met", percent(measures.sla_met)),
        ("Stored", in_bytes(measures.stored_bytes)),
        ("Open holds", str(measures.open_holds)),
    )
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in shown), class_="figures")


def _sections(measures: Measures) -> list[Html]:
    tiers = _by_tier(measures.clocks)
    clock_rows = [
        (tier, name.value, str(len(some)), percent(share_met(some)), _mean(some), in_seconds(some[0].target_seconds))
        for tier, clocks in tiers.items()
        for name, some in by_name(clocks).items()
        if some
    ]
    late = sorted((clock for clock in measures.clocks if clock.state in _LATE), key=lambda clock: -clock.seconds)
    late_rows = [
        (clock.incident, clock.asset, clock.tier, clock.name.value, clock.state.value, in_seconds(clock.seconds),
         in_seconds(clock.target_seconds))
        for clock in late[:MOST_MISSED]
    ]  # fmt: skip
    backups = measures.backups
    counts = [(name, str(value)) for name, value in backups.model_dump().items()]
    growth = measures.growth
    shown_days = [growth[0], *growth[-1:]] if len(growth) > 1 else list(growth)
    return [
        section(
            "clocks",
            "Clocks of the backup team",
            _chart(draw_clocks(measures.clocks), "How many clocks were met, run, are overdue or were missed; numbers below."),
            table("By tier", ("tier", "clock", "clocks", "met", "mean", "target"), clock_rows, numbers=(2, 3, 4, 5)),
            table(
                f"Late clocks, the latest first ({len(late)} in all)",
                ("incident", "asset", "tier", "clock", "state", "took", "target"),
                late_rows,
                numbers=(5, 6),
            )
            if late
            else element("p", "No clock is late."),
        ),
        section(
            "backups",
            "Backups",
            _chart(draw_times(measures.seconds_to_backup), "How long assets waited for a whole restore point.")
            if measures.seconds_to_backup
            else element("p", "No asset was backed up in this period."),
            table("How they ended", ("ended", "backups"), counts, numbers=(1,)),
        ),
        section(
            "storage",
            "Storage",
            _chart(draw_growth(growth), "Bytes of source data in restore points by day; first and last day below."),
            table("Growth", ("day", "stored"), [(point.day, in_bytes(point.bytes)) for point in shown_days], numbers=(1,)),
        ),
        section(
            "runs",
            "Playbooks",
            table("Runs by status", ("status", "runs"), [(name, str(n)) for name, n in measures.runs.items()], numbers=(1,)),
        ),
    ]  # fmt: skip


def _mean(clocks: Sequence[SlaClock]) -> str:
    stopped = [clock.seconds for clock in clocks if clock.stopped_at is not None]
    return in_seconds(statistics.fmean(stopped)) if stopped else "-"


def _chart(svg: str, words: str) -> Content:
    data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    image = Html(f'<img src="data:image/svg+xml;base64,{data}" alt="{text(words)}">')
    return element("figure", image)
