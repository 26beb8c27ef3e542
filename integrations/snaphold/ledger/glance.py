"""Looks into the ledger that cost the same however much is in it: what a page needs of a run with thousands of steps."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from snaphold.domain.value import Value
from snaphold.errors import LedgerError
from snaphold.ledger import schema
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import canonical
from snaphold.ledger.ledger import Record
from snaphold.ledger.registers import kind_of, says


@dataclass(frozen=True)
class Edges:
    """The first and the last entries of a run, in order, and how many of them there are in all."""

    entries: list[dict[str, Any]]
    total: int

    @property
    def are_all(self) -> bool:
        """Whether nothing lies between."""
        return len(self.entries) == self.total


def edges_of_run(ledger: DatabaseLedger, run: str, first: int, last: int) -> Edges:
    """Return up to `first + last` entries of a run: all of them, or the first and the last. Raises LedgerError."""
    columns = schema.entry.c
    mine = sa.select(columns.sequence, columns.body).where(columns.run == run)
    with ledger.reading() as connection:
        count = sa.select(sa.func.count()).select_from(schema.entry).where(columns.run == run)
        total = int(connection.execute(count).scalar_one())
        if total <= first + last:
            rows = list(connection.execute(mine.order_by(columns.sequence)))
        else:
            newest = list(connection.execute(mine.order_by(columns.sequence.desc()).limit(last)))
            rows = [*connection.execute(mine.order_by(columns.sequence).limit(first)), *reversed(newest)]
    return Edges([_read(row.sequence, row.body) for row in rows], total)


def newest_of_run(ledger: DatabaseLedger, run: str) -> int:
    """Return the number of a run's newest entry; 0 when it has none."""
    columns = schema.entry.c
    with ledger.looking() as connection:
        return int(connection.execute(sa.select(sa.func.max(columns.sequence)).where(columns.run == run)).scalar_one() or 0)


def count_records(ledger: DatabaseLedger, model: type[Value], incident: str, saying: tuple[str, str | None] | None = None) -> int:
    """Return how many records of one kind an incident has; with `saying`, those in which a field has this value."""
    columns = schema.register.c
    mine = [columns.kind == kind_of(model), columns.incident == incident, *([says(*saying)] if saying else [])]
    with ledger.looking() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(schema.register).where(*mine)).scalar_one())


def records_about(
    ledger: DatabaseLedger, model: type[Record], field: str, values: Collection[str], saying: tuple[str, str | None]
) -> list[Record]:
    """Return the records of one kind, oldest first, whose `field` is one of `values` and that say something besides.

    The text of all of them is looked through, which is far cheaper than to make records of it.
    """
    columns = schema.register.c
    mine = sa.select(columns.id, columns.body).where(columns.kind == kind_of(model), says(*saying))
    said = re.compile(rf'"{re.escape(field)}":("(?:[^"\\]|\\.)*")')
    wanted = {canonical(value) for value in values}
    with ledger.looking() as connection:
        rows = connection.execute(mine.order_by(columns.created_by, columns.id))
        ids = [row.id for row in rows if not wanted.isdisjoint(said.findall(row.body))]
    found = ledger.some(model, ids) if ids else {}
    told = ((found[id], found[id].model_dump(mode="json", include={field, saying[0]})) for id in ids if id in found)
    return [record for record, fields in told if fields[field] in values and fields[saying[0]] == saying[1]]


def _read(sequence: int, body: str) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(body)
    except (ValueError, TypeError) as error:
        raise LedgerError(f"entry {sequence} of the ledger cannot be read", "it is damaged", "snaphold audit verify") from error
    return fields
