"""Signed checkpoints: how many entries there were and the hash of the last. Only they show a tail that was cut off.

A checkpoint protects what came before it from everybody who lacks the signing key, and a copy of it that is kept
elsewhere protects it from those who have the ledger's file as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from snaphold.config import Configuration
from snaphold.domain.people import Actor
from snaphold.errors import LedgerError
from snaphold.ledger import schema
from snaphold.ledger.chain import add_entry, head_of
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.export import write_file
from snaphold.trust import verify_own_signature
from snaphold.vault.local import storage_errors

if TYPE_CHECKING:
    from snaphold.evidence.signature import Signer
    from snaphold.ledger.database import DatabaseLedger

NAMESPACE = "ledger@snaphold"
_TEXT = re.compile(r"snaphold ledger checkpoint v1\nentries: (?P<entries>[1-9][0-9]{0,18})\nhead: (?P<head>[0-9a-f]{64})\n")

CheckSignature = Callable[[bytes, str, datetime], None]
"""Given message, armoured signature and time: returns when good, raises EvidenceError or UnverifiedEvidenceError."""


@dataclass(frozen=True)
class Checkpoint:
    """The claim that entry number `entries` has the hash `head`; `text` is what the signature covers."""

    entries: int
    head: str
    text: str
    signature: str


def checkpoint_text(entries: int, head: str) -> str:
    """Return the three lines that are signed."""
    return f"snaphold ledger checkpoint v1\nentries: {entries}\nhead: {head}\n"


def read_checkpoint(text: str, signature: str) -> Checkpoint:
    """Return the checkpoint in a text. Raises LedgerError when it is not exactly one."""
    match = _TEXT.fullmatch(text)
    if not match:
        raise LedgerError("this is not a ledger checkpoint", "its three lines are not as they must be")
    return Checkpoint(int(match["entries"]), match["head"], text, signature)


def write_checkpoint(ledger: DatabaseLedger, signer: Signer, actor: Actor, *, incident: str = "", run: str = "") -> Checkpoint:
    """Record that a checkpoint is made, sign the chain up to and with that entry, store and return the checkpoint.

    Because its own entry is the last that it covers, the signature also covers when, and by whom, it was made.
    """
    with ledger.writing() as connection:
        entries, _ = head_of(connection)
        note = NewEntry(
            event=Event.CHECKPOINT, actor=actor.id, login=actor.login, incident=incident, run=run, action="audit.checkpoint",
            outcome="succeeded", detail={"entries": entries + 1, "signer": signer.identity},
        )  # fmt: skip
        last = add_entry(connection, note, [], ledger.now(connection))
        text = checkpoint_text(last.sequence, last.hash)
        made = Checkpoint(last.sequence, last.hash, text, signer.sign(text.encode(), NAMESPACE))
        connection.execute(
            sa.insert(schema.checkpoint), {"entries": made.entries, "text": made.text, "signature": made.signature}
        )
        return made


def make_checkpoint(
    ledger: DatabaseLedger, configuration: Configuration, actor: Actor, *, incident: str = "", run: str = ""
) -> Checkpoint:
    """Write a checkpoint signed with the configuration's key. Raises InputError when the key is missing."""
    from snaphold.evidence.signature import load_signer

    return write_checkpoint(ledger, load_signer(configuration), actor, incident=incident, run=run)


def stored_checkpoints(connection: sa.Connection) -> list[tuple[int, str, str]]:
    """Return number of entries, text and signature of every stored checkpoint, oldest first."""
    rows = connection.execute(sa.select(schema.checkpoint).order_by(schema.checkpoint.c.entries))
    return [(row.entries, row.text, row.signature) for row in rows]


def signature_check(configuration: Configuration) -> CheckSignature:
    """Return the check against the configuration's trust folder."""

    def check(message: bytes, armoured: str, at: datetime) -> None:
        verify_own_signature(configuration, message, armoured, namespace=NAMESPACE, at=at)

    return check


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint and its signature into a folder, to be kept where the ledger's owner cannot reach it.

    Returns the path; the signature stands beside it as `.sig`, and stock `ssh-keygen -Y verify` checks it.
    Raises StorageError.
    """
    path = folder / f"ledger-checkpoint-{checkpoint.entries:09d}"
    with storage_errors(f"the checkpoint cannot be written to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    for target, text in ((path.with_name(path.name + ".sig"), checkpoint.signature), (path, checkpoint.text)):
        write_file(target, [text])
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Return a checkpoint that was kept elsewhere: the file, and its signature beside it as FILE.sig.

    Raises LedgerError when either cannot be read or is not a checkpoint.
    """
    try:
        with path.open(encoding="utf-8", newline="") as text, path.with_name(path.name + ".sig").open(encoding="utf-8") as sig:
            return read_checkpoint(text.read(), sig.read())
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise LedgerError(f"the checkpoint {path} cannot be read", why, "name FILE; FILE.sig must stand beside it") from error
