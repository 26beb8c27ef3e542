"""What a write must know before it writes, read in one statement under the write lock.

Every other writer waits while a write holds the lock, so each round trip to PostgreSQL in it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from snaphold.ledger.claims import Stored, read_row
from snaphold.ledger.entry import GENESIS

_LOOK = """select {time} as moment, {condition} as may_write, head.sequence as head_sequence, head.hash as head_hash,
  claim.key, claim.inputs_digest, claim.state, claim.fence, claim.owner, claim.lease_until, claim.result
from (select 1 as one) as one
left join (select sequence, hash from entry order by sequence desc limit 1) as head on 1 = 1
left join claim on claim.key = :claim_key"""


@dataclass(frozen=True)
class Guard:
    """Who may write: `condition` is SQL with the named parameters `values`; when it is not true, `refused` is raised."""

    condition: str
    values: Mapping[str, Any]
    refused: Callable[[], BaseException]


@dataclass(frozen=True)
class Opening:
    """What a write saw first: the time, the chain's last entry (number and hash), and the claim under its key, if any."""

    now: datetime
    head: tuple[int, str]
    found: Stored | None


def look(connection: sa.Connection, time: str, now: Callable[[], datetime], guard: Guard | None, key: str) -> Opening:
    """Return what the write must know, or raise what its guard says. The connection must hold the write lock.

    `time` is the SQL of the time that all agree about; when it is empty, `now` says it.
    """
    values: dict[str, Any] = {"claim_key": key, **(guard.values if guard else {})}
    row = connection.execute(_statement(time or "null", guard.condition if guard else "1 = 1"), values).one()
    if guard is not None and not row.may_write:
        raise guard.refused()
    head = (0, GENESIS) if row.head_sequence is None else (int(row.head_sequence), str(row.head_hash))
    return Opening(row.moment.astimezone(timezone.utc) if time else now(), head, None if row.key is None else read_row(row))


@lru_cache(maxsize=16)
def _statement(time: str, condition: str) -> sa.TextClause:
    return sa.text(_LOOK.format(time=time, condition=condition))
