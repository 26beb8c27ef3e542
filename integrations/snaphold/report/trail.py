"""The report's sections on authority, the playbook's run and the audit trail."""

from __future__ import annotations

from snaphold.domain.authority import Approval, Grant
from snaphold.domain.change import CoveringChange
from snaphold.ledger.entry import Entry
from snaphold.report.excerpt import rest, shown
from snaphold.report.facts import ReportFacts
from snaphold.report.figures import in_seconds, in_words
from snaphold.report.markup import Html, code, element, facts, mark, section, table
from snaphold.report.parts import Section

_HASH_SHOWN = 12


def authority_section(report: ReportFacts) -> Section:
    """Return who approved what, the time-bound grants that followed, and the changes that cover what was done."""
    content: list[Html] = []
    if report.approvals:
        headings = ("Question", "State", "Asked of", "Requested by", "Answers", "Needed")
        rows = [_approval_row(approval) for approval in report.approvals]
        content.append(table("Approvals", headings, rows, numbers=(5,)))
    if report.grants:
        headings = ("Grant", "State", "Actions", "Issued to", "Issued by", "Valid", "Justification")
        content.append(table("Grants", headings, [_grant_row(grant) for grant in report.grants]))
    if report.changes:
        headings = ("Change", "Kind", "State", "System", "Used by", "Since", "Closed")
        content.append(table("Changes", headings, [_change_row(change) for change in report.changes]))
    if not content:
        content.append(element("p", "No approval was asked for and no grant was issued."))
    return "authority", "Approvals and grants", section("authority", "Approvals and grants", *content)


def _approval_row(approval: Approval) -> tuple[str, ...]:
    answers = "; ".join(f"{vote.name}: {vote.decision.value}, “{vote.reason}”, {in_words(vote.at)}" for vote in approval.votes)
    asked = approval.asked_of + (f", then {approval.escalated_to}" if approval.escalated_to else "")
    return (
        approval.ask,
        mark(approval.state.value),
        asked,
        approval.requested_by,
        answers or "nobody answered",
        str(approval.needed),
    )


def _grant_row(grant: Grant) -> tuple[str, ...]:
    state = f"revoked by {grant.revoked_by}, {in_words(grant.revoked_at)}" if grant.revoked_at else "not revoked"
    valid = f"{in_words(grant.issued_at)} to {in_words(grant.expires_at)}"
    issuers = ", ".join(grant.issued_by)
    return (grant.id, state, ", ".join(grant.actions), grant.issued_to, issuers, valid, grant.justification)


def _change_row(change: CoveringChange) -> tuple[str, ...]:
    ended = f"{in_words(change.closed_at)} by {change.closed_by}" if change.closed_at else "-"
    kind = "emergency change" if change.kind == "emergency" else "approved before"
    return (change.number, kind, mark(change.state), change.integration, change.used_by, in_words(change.used_at), ended)


def runs_section(report: ReportFacts) -> Section:
    """Return which playbook ran, in which version and under which change record, step by step."""
    content: list[Html] = []
    for run in report.runs:
        pairs = [
            ("Run", run.id),
            ("Playbook", f"{run.playbook} {run.version}"),
            ("Change record", run.change_record or "none given"),
            ("Playbook SHA-256", run.digest),
            ("Plan SHA-256", run.plan_sha256),
            ("Requested by", run.requested_by),
            ("Justification", run.justification),
            ("Started", in_words(run.started_at)),
            ("Ended", in_words(run.ended_at) if run.ended_at else "still running when this report was written"),
        ]
        content.append(facts(pairs))
        rows = [
            (line.step + (f" [{line.item}]" if line.item else ""), line.title, mark(line.outcome), in_seconds(line.seconds))
            for line in shown(run.steps)
        ]
        if rows:
            content.append(table("Steps so far", ("Step", "Title", "Outcome", "Time"), rows, numbers=(3,)))
            content += rest(len(run.steps), f"snaphold runs show {run.id} has all of them")
    if not content:
        content.append(element("p", "No playbook has run; actions were started by hand."))
    return "playbook", "Playbook", section("playbook", "Playbook", *content)


def audit_section(report: ReportFacts) -> Section:
    """Return every ledger entry of the incident and the hash at which the chain stood."""
    head = report.entries.newest
    if head is None:
        return "audit", "Audit trail", section("audit", "Audit trail", element("p", "There is no entry."))
    words = element(
        "p",
        "Each entry holds the hash of the one before; ",
        code("snaphold audit verify"),
        f" checks the whole chain. Newest entry of this incident: {head.sequence}, hash ",
        code(head.hash),
        ".",
    )
    headings = ("No.", "Time", "Event", "Who", "Action", "Outcome", "Justification", "Hash")
    entries = table("Entries of this incident", headings, [_entry_row(entry) for entry in report.entries.shown])
    more = rest(report.entries.count, f"snaphold audit list --incident {report.incident.id} has all of them")
    return "audit", "Audit trail", section("audit", "Audit trail", words, entries, *more)


def _entry_row(entry: Entry) -> tuple[str, ...]:
    who = entry.actor + (f" ({entry.login})" if entry.login else "")
    outcome = mark(entry.outcome) if entry.outcome else "-"
    shown = code(entry.hash[:_HASH_SHOWN])
    return (
        str(entry.sequence),
        in_words(entry.at),
        entry.event.value,
        who,
        entry.action,
        outcome,
        entry.justification or "-",
        shown,
    )
