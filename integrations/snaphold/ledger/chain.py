"""The hash chain: how an entry is linked to the one before."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa

from snaphold.clock import format_time, parse_time
from snaphold.ledger import schema
from snaphold.ledger.entry import GENESIS, Entry, NewEntry, canonical

_HEAD = sa.select(schema.entry.c.sequence, schema.entry.c.hash).order_by(schema.entry.c.sequence.desc()).limit(1)
_COLUMNS = ("sequence", "incident", "run", "body", "hash")
_INSERT = f"insert into entry ({', '.join(_COLUMNS)})"
_VALUES = ", ".join(f":entry_{name}" for name in _COLUMNS)


@dataclass(frozen=True)
class Along:
    """A change of exactly one row that is made together with an entry; `refused` is raised when there is no such row."""

    statement: str
    values: Mapping[str, Any]
    refused: Callable[[], Exception]


def head_of(connection: sa.Connection) -> tuple[int, str]:
    """Return the number of entries and the hash of the last; 0 and the genesis hash when there is none."""
    row = connection.execute(_HEAD).first()
    return (row.sequence, row.hash) if row else (0, GENESIS)


def time_of_last(connection: sa.Connection) -> datetime | None:
    """Return when the last entry was written; None when there is none, or when it cannot be read."""
    columns = schema.entry.c
    body = connection.execute(sa.select(columns.body).order_by(columns.sequence.desc()).limit(1)).scalar_one_or_none()
    try:
        return None if body is None else parse_time(json.loads(body)["at"])
    except (ValueError, KeyError, TypeError):
        return None  # snaphold audit verify says what is wrong with it


def add_entry(
    connection: sa.Connection,
    new: NewEntry,
    changed: Sequence[str],
    at: datetime,
    *,
    after: tuple[int, str] | None = None,
    along: Along | None = None,
) -> Entry:
    """Chain an entry to the last one and return it; `changed` are the `kind/id/sha256` of its transaction.

    The connection must hold the write lock, or two entries could follow the same one. `after` is the number and hash of
    the last entry when they were read under that lock already; `along` is written too, or nothing is.
    """
    sequence, previous = after or head_of(connection)
    fields: dict[str, Any] = plain(new.model_dump(mode="json"))
    fields.update(sequence=sequence + 1, at=format_time(at), previous=previous, registers=list(changed))
    body = canonical(fields)
    fields["hash"] = hash_body(body)
    row = (sequence + 1, fields["incident"], fields["run"], body, fields["hash"])
    _insert(connection, {f"entry_{name}": value for name, value in zip(_COLUMNS, row, strict=True)}, along)
    return Entry.model_validate(fields)


def _insert(connection: sa.Connection, row: dict[str, Any], along: Along | None) -> None:
    """Insert an entry. PostgreSQL is asked once for both: the other writers wait for every answer."""
    together = along is not None and connection.dialect.name == "postgresql"
    if along is not None and not together and connection.execute(_text(along.statement), along.values).rowcount != 1:
        raise along.refused()
    if along is None or not together:
        connection.execute(_text(f"{_INSERT} values ({_VALUES})"), row)
        return
    both = f"with changed as ({along.statement} returning 1) {_INSERT} select {_VALUES} from changed"  # noqa: S608  texts of ours
    if connection.execute(_text(both), {**row, **along.values}).rowcount != 1:
        raise along.refused()


@lru_cache(maxsize=16)
def _text(statement: str) -> sa.TextClause:
    return sa.text(statement)


def hash_body(body: str) -> str:
    """Return the hash (hex) of an entry's stored body."""
    return hashlib.sha256(body.encode("utf-8")).hexdigest()


def plain(document: Any) -> Any:
    """Return data that JSON can hold: halves of surrogate pairs (odd file names) written out, no NaN or infinity."""
    if isinstance(document, float) and not math.isfinite(document):
        return None
    if isinstance(document, str):
        return document.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(document, dict):
        return {plain(name): plain(value) for name, value in cast("dict[str, Any]", document).items()}
    if isinstance(document, (list, tuple)):
        return [plain(value) for value in cast("list[Any]", document)]
    return document
