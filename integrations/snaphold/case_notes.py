"""Notes about the backup in the case of an incident: once per milestone, few at a time, with links to the evidence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from snaphold.case_status import open_case_platform
from snaphold.clock import format_time
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.case_traffic import MOST_NOTES, WINDOW, CaseNote, NoteState, may_write
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import CaseRecord, Deletion, DeletionState, Retention
from snaphold.engine.locks import exclusively
from snaphold.keeping import holds_by_subject
from snaphold.ledger.entry import Event, NewEntry
from snaphold.platforms.base import PlatformVerb
from snaphold.secrets import redact

LONGEST_NOTE = 8000
_SHOWN = 40


@dataclass(frozen=True)
class NoteWritten:
    """The note of a milestone. `found`: it had been written before; `waiting`: the case has had enough notes for now."""

    record: CaseNote
    found: bool = False

    @property
    def waiting(self) -> bool:
        """Whether it goes with a later note."""
        return self.record.state is NoteState.WAITING


def write_note(milestone: str, text: str, reference: str, integration: str, context: Context) -> NoteWritten:
    """Write the note of a milestone into the case once, together with those that wait; or have it wait.

    Empty text: what the register knows now. Raises what the platform raises; the note is then still to be written.
    """
    case = context.ledger.record(CaseRecord, context.incident.id)
    integration = integration or (case.integration if case else "")
    name, platform = open_case_platform(integration, PlatformVerb.ADD_NOTE, context)
    known = case.reference if case and case.integration == name else ""
    reference = reference or known or context.incident.id
    with exclusively(context.configuration.state_folder / "locks" / f"case-{context.incident.id}-notes"):
        notes = [note for note in context.ledger.records(CaseNote, context.incident.id) if note.integration == name]
        mine = next((note for note in notes if note.id == _note_id(context.incident.id, name, milestone)), None)
        if mine is not None and mine.state is NoteState.WRITTEN:
            return NoteWritten(mine, found=True)
        now = context.clock.now()
        if mine is None:
            mine = CaseNote(
                id=_note_id(context.incident.id, name, milestone), incident=context.incident.id, integration=name,
                reference=reference, milestone=milestone, text=redact(text or summary(context))[:LONGEST_NOTE],
                state=NoteState.WAITING, asked_at=now,
            )  # fmt: skip
            _keep([mine], context, "case.note_asked")
        if not may_write(notes, now):
            return NoteWritten(mine)
        waiting = [note for note in notes if note.state is NoteState.WAITING and note.reference == reference]
        together = [*(note for note in waiting if note.id != mine.id), mine]
        # The mark is of the milestone, not of this attempt: a lost answer is found again whoever repeats it.
        written = platform.add_note(reference, _joined(together), mine.id)
        done = {"state": NoteState.WRITTEN, "written_at": now, "note": written.reference}
        records = [note.model_copy(update=done) for note in together]
        _keep(records, context, "case.note_written")
        return NoteWritten(records[-1], found=written.found)


def limit_text() -> str:
    """Return the limit as a sentence's part."""
    return f"{MOST_NOTES} notes in {WINDOW.total_seconds() / 60:.0f} minutes"


def summary(context: Context) -> str:
    """Return what the backup came to so far: restore points, evidence with its address and digest, holds, retention."""
    incident, ledger = context.incident.id, context.ledger
    gone = {item.id for item in ledger.records(Deletion, incident) if item.state is DeletionState.DELETED}
    points = [point for point in ledger.records(RestorePoint, incident) if point.id not in gone]
    lines = [f"Backup of {incident}: {len(points)} restore points."]
    for point in points[:_SHOWN]:
        checked = "verified" if point.verified_at else "not verified yet"
        lines.append(f"- {point.id}: {point.asset}, {point.outcome.value}, {point.consistency}, {checked}, in {point.pool}")
    if len(points) > _SHOWN:
        lines.append(f"- and {len(points) - _SHOWN} more")
    holds = holds_by_subject(context)
    for record in ledger.records(EvidenceRecord, incident)[:_SHOWN]:
        where = record.vault.uri if record.vault else record.path
        held = ", ".join(hold.id for hold in holds.get(record.id, ()))
        lines.append(f"Evidence {record.id}: {where}")
        lines.append(f"  SHA-256 of its tag manifest {record.tag_manifest_sha256}; {f'held by {held}' if held else 'no hold'}")
    ends = [item.until for item in ledger.records(Retention, incident) if item.until is not None]
    if ends:
        lines.append(f"Kept at least until {format_time(min(ends))}.")
    return "\n".join(lines)


def _joined(notes: list[CaseNote]) -> str:
    return "\n\n".join(note.text for note in reversed(notes))[: LONGEST_NOTE * 2]


def _note_id(incident: str, integration: str, milestone: str) -> str:
    return f"CASENOTE-{hashlib.sha256(f'{incident}|{integration}|{milestone}'.encode()).hexdigest()[:16]}"


def _keep(records: list[CaseNote], context: Context, action: str) -> None:
    """Write the notes down at once: what another process does next depends on them."""
    entry = NewEntry(
        event=Event.SERVICE,
        actor=context.actor.id,
        login=context.actor.login,
        incident=context.incident.id,
        run=context.run,
        action=action,
        key=context.key,
        detail={"milestones": [note.milestone for note in records], "note": records[-1].note},
    )
    context.ledger.append(entry, list(records))
