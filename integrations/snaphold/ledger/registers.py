"""The registers: what is true now (restore points, holds, grants, ...), each record tied to the entry that changed it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects import postgresql, sqlite

from snaphold.domain.value import Value
from snaphold.errors import LedgerError
from snaphold.ledger import schema
from snaphold.ledger.chain import hash_body
from snaphold.ledger.entry import canonical
from snaphold.ledger.ledger import Record

Place = tuple[int, str]
"""Where a page of a register ended: the entry that made its last record, and the record's id."""


_ONE = sa.select(schema.register.c.body).where(
    schema.register.c.kind == sa.bindparam("its_kind"), schema.register.c.id == sa.bindparam("its_id")
)


@cache
def kind_of(model: type[Value]) -> str:
    """Return the register of a record model: its name in snake case, e.g. `restore_point`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.__name__).lower()


def prepare(records: Sequence[Value]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return `(kind, id)` → `(incident, canonical body)`; of several states of one record only the last counts."""
    prepared: dict[tuple[str, str], tuple[str, str]] = {}
    for record in records:
        fields = record.model_dump(mode="json")
        prepared[kind_of(type(record)), fields["id"]] = (fields["incident"], canonical(fields))
    return prepared


def changes(prepared: dict[tuple[str, str], tuple[str, str]]) -> list[str]:
    """Return `kind/id/sha256` of each prepared record, for the entry of the same transaction."""
    return [f"{kind}/{id}/{hash_body(body)}" for (kind, id), (_, body) in prepared.items()]


def write(connection: sa.Connection, sequence: int, prepared: dict[tuple[str, str], tuple[str, str]]) -> None:
    """Write the prepared records as changed by the entry of that sequence."""
    if not prepared:
        return
    rows = [
        {"kind": kind, "id": id, "incident": incident, "body": body, "created_by": sequence, "updated_by": sequence}
        for (kind, id), (incident, body) in prepared.items()
    ]
    # One call for all: a legal hold on thousands of restore points must not keep the other writers waiting.
    connection.execute(_put(connection.dialect.name), rows)


@cache
def _put(dialect: str) -> sa.Insert:
    """Return the statement that writes a record, new or not. It is built once: that takes longer than to carry it out."""
    statement = postgresql.insert(schema.register) if dialect == "postgresql" else sqlite.insert(schema.register)
    changed = {name: statement.excluded[name] for name in ("incident", "body", "updated_by")}
    return statement.on_conflict_do_update(index_elements=["kind", "id"], set_=changed)


def read_one(connection: sa.Connection, model: type[Record], id: str) -> Record | None:
    """Return one record, or None. Raises LedgerError when the stored record cannot be read."""
    body = connection.execute(_ONE, {"its_kind": kind_of(model), "its_id": id}).scalar_one_or_none()
    return None if body is None else _load(model, id, body)


def read_all(connection: sa.Connection, model: type[Record], incident: str | None) -> list[Record]:
    """Return the records of one kind, oldest first. Raises LedgerError when a stored record cannot be read."""
    columns = schema.register.c
    wanted = sa.select(columns.id, columns.body).where(columns.kind == kind_of(model))
    if incident is not None:
        wanted = wanted.where(columns.incident == incident)
    rows = connection.execute(wanted.order_by(columns.created_by, columns.id))
    return [_load(model, row.id, row.body) for row in rows]


def read_latest(connection: sa.Connection, model: type[Record], most: int, after: int) -> tuple[list[Record], int]:
    """Return up to `most` records of one kind, the newest first, leaving out the first `after`; and how many there are."""
    columns = schema.register.c
    mine = columns.kind == kind_of(model)
    count = connection.execute(sa.select(sa.func.count()).select_from(schema.register).where(mine)).scalar_one()
    wanted = sa.select(columns.id, columns.body).where(mine).order_by(columns.created_by.desc(), columns.id)
    return [_load(model, row.id, row.body) for row in connection.execute(wanted.limit(most).offset(after))], count


def read_saying(connection: sa.Connection, model: type[Record], field: str, value: str | None) -> list[Record]:
    """Return the records of one kind, oldest first, in which a field of the record itself has this value.

    The database leaves out most of the others by their canonical text, which is far cheaper than to read them all.
    """
    columns = schema.register.c
    mine = sa.and_(columns.kind == kind_of(model), says(field, value))
    rows = connection.execute(sa.select(columns.id, columns.body).where(mine).order_by(columns.created_by, columns.id))
    found = [_load(model, row.id, row.body) for row in rows]
    return [one for one in found if _said(one, field) == value]


def read_some(connection: sa.Connection, model: type[Record], ids: Sequence[str]) -> dict[str, Record]:
    """Return the records of one kind that have these ids, by id; those that are not there are left out."""
    columns = schema.register.c
    wanted = sa.select(columns.id, columns.body).where(columns.kind == kind_of(model), columns.id.in_(ids))
    return {row.id: _load(model, row.id, row.body) for row in connection.execute(wanted)}


def read_page(
    connection: sa.Connection,
    model: type[Record],
    incident: str | None,
    most: int,
    after: Place | None,
    saying: tuple[str, str | None] | None = None,
) -> tuple[list[Record], Place | None]:
    """Return up to `most` records of one kind, the newest first, and where the next page goes on; None at the end.

    `after` is what the page before returned. Records that are made meanwhile come before it, so nothing is told twice.
    `saying` is a field of the record itself and the value that it must have: all others are left out.
    """
    columns = schema.register.c
    wanted = sa.select(columns.id, columns.body, columns.created_by).where(columns.kind == kind_of(model))
    wanted = wanted.order_by(columns.created_by.desc(), columns.id).limit(most + 1)
    if incident is not None:
        wanted = wanted.where(columns.incident == incident)
    if saying is not None:
        wanted = wanted.where(says(*saying))
    found: list[tuple[Record, Place]] = []
    while True:
        rows = connection.execute(wanted.where(_beyond(after)) if after is not None else wanted).all()
        for row in rows:
            after = (int(row.created_by), str(row.id))
            record = _load(model, row.id, row.body)
            if saying is None or _said(record, saying[0]) == saying[1]:
                found.append((record, after))
        if len(found) > most or len(rows) <= most:
            break
    shown = found[:most]
    return [record for record, _ in shown], shown[-1][1] if len(found) > most else None


def _beyond(place: Place) -> sa.ColumnElement[bool]:
    """What comes after a place, the newest first."""
    columns, (sequence, id) = schema.register.c, place
    return sa.or_(columns.created_by < sequence, sa.and_(columns.created_by == sequence, columns.id > id))


def says(field: str, value: str | None) -> sa.ColumnElement[bool]:
    """Leaves out most records that do not say this, by their canonical text; the rest is up to who reads them."""
    return schema.register.c.body.contains(f"{canonical(field)}:{canonical(value)}", autoescape=True)


def _said(record: Value, field: str) -> object:
    return record.model_dump(mode="json", include={field})[field]


def _load(model: type[Record], id: str, body: str) -> Record:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise LedgerError(
            f"the {kind_of(model).replace('_', ' ')} {id} in the ledger cannot be read",
            f"its field {'.'.join(str(part) for part in error.errors()[0]['loc'])} is wrong",
            "run snaphold audit verify; a newer version of snaphold may have written it",
        ) from error
