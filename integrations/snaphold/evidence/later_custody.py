"""Custody records after the sealing: appended to the working copy, signed, and put into the vault beside the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snaphold import __version__
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord
from snaphold.errors import SnapholdError
from snaphold.evidence.custody_record import CustodyEvent, CustodyNote, Method


def record_custody(
    record: EvidenceRecord,
    event: CustodyEvent,
    context: Context,
    *,
    reason: str,
    legal_basis: str = "",
    holds: Sequence[str] = (),
    approvers: Sequence[str] = (),
) -> list[str]:
    """Write one record into the custody log of a package, and return findings: what could not be written, and why.

    The register has it in any case; a package that is out of reach does not stop what is being recorded.
    """
    from snaphold.evidence.custody import append_record, has_record
    from snaphold.evidence.package import party
    from snaphold.evidence.signature import load_signer
    from snaphold.vault.registry import open_vault

    who = party(context.actor)
    note = CustodyNote(
        case_id=record.incident,
        evidence_id=record.id,
        event=event,
        purpose=f"incident {record.incident}: {context.incident.category}",
        approvers=tuple(approvers),
        reason=reason,
        legal_basis=legal_basis,
        released_by=who,
        received_by=who,
        method=Method(tool="snaphold", version=__version__),
        legal_holds=tuple(holds),
        notes=f"key {context.key}" if context.key else "",
    )
    package = Path(record.path)
    try:
        if not has_record(package, note):
            append_record(package, note, context.clock, load_signer(context.configuration))
        if record.vault is not None:
            open_vault(context.configuration, context.clock, holding=record.vault).mirror_custody(record.id)
    except SnapholdError as error:
        why = f"{error.what}: {error.why}" if error.why else error.what
        return [f"{record.id}: its chain of custody does not show this yet ({event.value}): {why}"]
    return []
