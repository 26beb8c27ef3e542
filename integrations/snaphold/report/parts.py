"""The report's sections on the incident, its assets, capacity, restore points, evidence and holds.

Each function returns the section's anchor, heading and content.
"""

from __future__ import annotations

from snaphold.report.excerpt import named, rest, shown
from snaphold.report.facts import ReportFacts
from snaphold.report.figures import in_bytes, in_words
from snaphold.report.markup import Html, bullets, code, commands, element, facts, mark, section, table

Section = tuple[str, str, Html]


def _section(anchor: str, heading: str, *content: Html) -> Section:
    return anchor, heading, section(anchor, heading, *content)


def _words(sentence: str) -> Html:
    return element("p", sentence)


def incident_section(report: ReportFacts) -> Section:
    """Return what was declared, in the words of whoever declared it."""
    incident = report.incident
    pairs = [
        ("Id", incident.id),
        ("Severity", str(incident.severity)),
        ("Category", incident.category),
        ("Declared", in_words(incident.declared_at)),
        ("Case", incident.status.value),
        ("Reported by", incident.reported_by),
        ("Source", incident.source),
        ("Assets", named(incident.assets)),
        ("Description", incident.description),
        ("Contact", report.contact),
    ]
    return _section("incident", "Incident", facts(pairs))


def assets_section(report: ReportFacts) -> Section:
    """Return the classification with its reasons, the order of the backups, and the documented exceptions."""
    rows = [
        (row.asset, row.kind, row.tier, row.recovery, row.why, row.owner, ", ".join(row.data_classes) or "-")
        for row in shown(report.assets)
    ]
    headings = ("Asset", "Kind", "Tier", "RTO / RPO", "Why this tier", "Owner", "Data")
    content = [table("Classification, most critical first", headings, rows)]
    content += rest(len(report.assets), "triage.classify_assets tells the tier of each")
    if report.waves:
        content += [_words("Order of the backups: what others depend on goes first.")]
        content += [bullets((named(wave.split(",")) for wave in shown(report.waves)), "ol", class_="waves")]
    if report.order_findings:
        content.append(bullets(shown(report.order_findings)))
    if report.exceptions:
        exceptions = [
            (
                record.asset,
                f"{record.from_tier} to {record.to_tier}",
                record.justification,
                record.requested_by,
                record.approved_by or "-",
                in_words(record.expires_at),
            )
            for record in shown(report.exceptions)
        ]
        titles = ("Asset", "Tier", "Justification", "Requested by", "Approved by", "Expires")
        content.append(table("Documented exceptions", titles, exceptions))
    else:
        content.append(_words("No asset was promoted by exception."))
    return _section("assets", "Assets and priorities", *content)


def capacity_section(report: ReportFacts) -> Section:
    """Return the numbers that were checked before the launch."""
    if not report.capacity:
        return _section("capacity", "Capacity", _words("Capacity was not checked."))
    return _section("capacity", "Capacity", bullets(report.capacity))


def restore_points_section(report: ReportFacts) -> Section:
    """Return every restore point with its engine, encryption, consistency and verification."""
    if not report.restore_points:
        return _section("restore-points", "Restore points", _words("There is no restore point."))
    overview = [
        (
            point.asset,
            code(point.id),
            mark(point.outcome.value),
            point.pool,
            in_words(point.taken_at),
            str(point.files),
            in_bytes(point.size),
            mark("verified") if point.verified_at else mark("not verified"),
        )
        for point in shown(report.restore_points)
    ]
    headings = ("Asset", "Restore point", "Outcome", "Pool", "Taken", "Files", "Size", "Check")
    content = [table("Overview", headings, overview, numbers=(5, 6))]
    content += rest(len(report.restore_points), "retention.show and the page of restore points have all of them")
    for point in shown(report.restore_points):
        pairs = [
            ("Engine", point.engine),
            ("Snapshot", ", then ".join((*point.former_references, point.reference))),
            ("Encryption", point.encryption),
            ("Consistency", point.consistency),
            ("Verification", f"{in_words(point.verified_at)}: {point.verification}" if point.verified_at else ""),
            ("Inventory", f"SHA-256 {point.inventory_sha256}" if point.inventory_sha256 else ""),
            ("Quiesce log", "\n".join(f"{in_words(e.at)}  {e.event}  {e.detail}".rstrip() for e in point.quiesce_log)),
            ("Findings", "\n".join(point.findings)),
        ]
        content += [element("h3", f"{point.asset}: {point.id}"), facts(pairs)]
    return _section("restore-points", "Restore points", *content)


def evidence_section(report: ReportFacts) -> Section:
    """Return the sealed packages and the commands with which a stranger checks them."""
    if not report.evidence:
        return _section("evidence", "Evidence", _words("No evidence has been sealed."))
    rows = [
        (
            record.id,
            mark(record.status),
            in_words(record.sealed_at),
            record.signed_by,
            "time-stamped" if record.timestamped else "not time-stamped",
            in_bytes(record.payload_bytes),
        )
        for record in report.evidence
    ]
    headings = ("Package", "Status", "Sealed", "Signed by", "Time stamp", "Payload")
    content = [table("Sealed packages", headings, rows, numbers=(5,))]
    content.append(facts((f"{record.id}", f"tag manifest SHA-256 {record.tag_manifest_sha256}") for record in report.evidence))
    if report.checks:
        content += [_words("Anyone can check a package with programs of any Linux system:"), commands(report.checks)]
    return _section("evidence", "Evidence", *content)


def holds_section(report: ReportFacts) -> Section:
    """Return the legal holds. What is held cannot be deleted."""
    if not report.holds:
        return _section("holds", "Legal holds", _words("No legal hold was placed."))
    rows = [
        (
            hold.subject,
            mark("active") if hold.released_at is None else mark("released"),
            hold.reason,
            hold.legal_basis or "-",
            hold.placed_by,
            in_words(hold.placed_at),
            hold.enforced_by or "-",
        )
        for hold in shown(report.holds)
    ]
    headings = ("Subject", "State", "Reason", "Legal basis", "Placed by", "Placed", "Enforced by")
    more = rest(len(report.holds), "retention.show has all of them")
    return _section("holds", "Legal holds", table("Holds", headings, rows), *more)
