"""Sets the facts of an incident as one self-contained HTML file: no script, no link out, nothing fetched."""

from __future__ import annotations

from importlib.resources import files

from snaphold.report import parts, trail
from snaphold.report.facts import ReportFacts
from snaphold.report.faults import banner
from snaphold.report.figures import in_bytes, in_words
from snaphold.report.markup import Html, bullets, element, joined, text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render(report: ReportFacts) -> str:
    """Return the whole file. The same facts give the same bytes."""
    incident = report.incident
    sections = [
        parts.incident_section(report),
        parts.assets_section(report),
        parts.capacity_section(report),
        trail.authority_section(report),
        parts.restore_points_section(report),
        parts.evidence_section(report),
        parts.holds_section(report),
        trail.runs_section(report),
        trail.audit_section(report),
    ]
    links = bullets(element("a", heading, href=f"#{anchor}") for anchor, heading, _ in sections)
    body = joined(
        (
            element(
                "header",
                element("p", f"{report.organisation} · incident report · {incident.id}"),
                element("h1", incident.title),
                element("p", f"Severity {incident.severity}, {incident.category}, case {incident.status.value}"),
                element("nav", links, aria_label="Sections"),
            ),
            element("main", banner(report), _figures(report), *(content for _, _, content in sections)),
            element("footer", f"Written {in_words(report.written_at)} by {report.product}. Times are in UTC."),
        )
    )
    return "<!DOCTYPE html>\n" + _document(f"{incident.id} · incident report", body) + "\n"


def _document(title: str, body: Html) -> Html:
    style = Html(files("snaphold.report").joinpath("report.css").read_text(encoding="utf-8"))
    head = joined(
        (
            Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">'),
            Html('<meta name="referrer" content="no-referrer">'),
            element("title", title),
            element("style", style),
        )
    )
    return element("html", element("head", head), element("body", body), lang="en")


def _figures(report: ReportFacts) -> Html:
    points = report.restore_points
    verified = sum(1 for point in points if point.verified_at)
    figures = (
        ("Assets in scope", str(len(report.incident.assets))),
        ("Restore points verified", f"{verified} of {len(points)}" if points else "none"),
        ("Backed up", in_bytes(sum(point.size for point in points))),
        ("Evidence packages", str(len(report.evidence)) if report.evidence else "none"),
        ("Under legal hold", str(sum(1 for hold in report.holds if hold.released_at is None))),
        ("Audit entries", str(report.entries.count)),
    )
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in figures)
    return element("dl", *pairs, class_="figures")
