"""Exports entries: JSON lines (exact, so that a stranger can re-check the chain) and CSV (for reading in a table)."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from snaphold.ledger.entry import canonical
from snaphold.vault.local import flush, storage_errors

COLUMNS = (
    "sequence", "at", "event", "outcome", "actor", "login", "incident", "run", "action", "key", "justification",
    "inputs_digest", "detail", "registers", "previous", "hash",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def json_lines(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one canonical JSON object for each stored entry (see `each_stored`), with its line end."""
    for entry in entries:
        yield canonical(entry) + "\n"


def csv_lines(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a heading and one CSV record for each entry. No cell is taken for a formula by a spreadsheet."""
    yield _csv_line(COLUMNS)
    for entry in entries:
        fields = {**entry, "detail": canonical(entry.get("detail", {})), "registers": " ".join(entry.get("registers", ()))}
        yield _csv_line(fields.get(name, "") for name in COLUMNS)


def safe_cell(value: object) -> str:
    """Return a cell's text, with an apostrophe before what a spreadsheet would calculate."""
    text = str(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow([safe_cell(cell) for cell in cells])
    return line.getvalue()


def write_file(path: Path, parts: Iterable[str]) -> None:
    """Write text to a file (mode 0600) whole or not at all: beside it, flushed, then renamed. Raises StorageError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with storage_errors(f"{path} cannot be written"):
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                for part in parts:
                    file.write(part.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            flush(path.parent)
        finally:
            partial.unlink(missing_ok=True)
