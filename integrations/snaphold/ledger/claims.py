"""Claims: the right to act once under a key. Every write carries the fence; a stale owner's write changes 0 rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import sqlalchemy as sa

from snaphold.errors import BusyError, InputError
from snaphold.ledger import schema
from snaphold.ledger.chain import Along
from snaphold.ledger.entry import canonical, digest
from snaphold.ledger.ledger import Claim, ClaimState
from snaphold.ledger.owner import current_owner, is_provably_dead, read_tenant

INTENT = "intent"
CLAIM_KIND = "claim"
"""How a claim is named among the changed records of an entry, so that an edited or deleted claim is found too."""


class Step(str, Enum):
    """What a claim does to the row of its key."""

    NEW = "new"
    TAKE_OVER = "take_over"
    REOPEN = "reopen"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Stored:
    """A claim as the database has it. `state` is `intent` or the outcome that settled it."""

    key: str
    inputs_digest: str
    state: str
    fence: int
    owner: str
    lease_until: int
    result: dict[str, Any] | None


def find(connection: sa.Connection, key: str) -> Stored | None:
    """Return the claim under a key, or None."""
    row = connection.execute(sa.select(schema.claim).where(schema.claim.c.key == key)).first()
    return None if row is None else read_row(row)


def read_row(row: sa.Row[Any]) -> Stored:
    """Return the claim that stands in the columns of a row."""
    result = None if row.result is None else json.loads(row.result)
    return Stored(row.key, row.inputs_digest, row.state, row.fence, row.owner, row.lease_until, result)


def has_lost_its_owner(connection: sa.Connection, found: Stored) -> bool:
    """Return whether it is certain that the owner of a claim will never settle it: its process is gone, or it was fenced."""
    tenant = read_tenant(found.owner)
    if tenant is None:
        return is_provably_dead(found.owner)
    columns = schema.tenure.c
    row = connection.execute(sa.select(columns.worker, columns.fence, columns.state).where(columns.run == tenant.run)).first()
    if row is None or row.fence != tenant.fence:
        return True
    # An action that was too slow for its step may still be at work when its run has ended: then its lease counts.
    return row.worker is None and row.state != "ended"


def decide(found: Stored | None, inputs_digest: str, now: int, *, reopen_failed: bool, lost: bool = False) -> Step:
    """Return what a new claim may do to the one that was found; `now` in milliseconds, `lost`: its owner is gone.

    Raises InputError when the key stands for another request, and BusyError while a living owner's lease runs.
    """
    if found is None:
        return Step.NEW
    if found.inputs_digest != inputs_digest:
        raise InputError(
            f"the key {found.key} was used for another request",
            "one key stands for one action with one input, for ever",
            "ask for a new generation if a second, different action is meant",
        )
    if found.state != INTENT:
        return Step.REOPEN if reopen_failed and found.state == "failed" else Step.NOTHING
    if found.lease_until > now and not lost:
        raise BusyError(
            f"{found.key} is being worked on",
            f"another worker holds it for at most {(found.lease_until - now) / 1000:.0f} s more",
            "wait until it ends; it is taken over when that worker is lost",
        )
    return Step.TAKE_OVER


_OPEN = """insert into claim (key, inputs_digest, state, fence, owner, lease_until)
values (:key, :inputs_digest, :state, :fence, :owner, :lease_until)"""
_OPEN_AGAIN = """update claim set inputs_digest = :inputs_digest, state = :state, fence = :fence, owner = :owner,
  lease_until = :lease_until, result = null
where key = :key and fence = :found_fence and state = :found_state"""
_SETTLE = "update claim set state = :outcome, result = :result where key = :key and fence = :fence and state = :intent"


def opening(found: Stored | None, new: Stored) -> Along:
    """Return the change that writes the claim `new` in place of `found`. Refused with BusyError when somebody was faster."""
    values = {name: value for name, value in vars(new).items() if name != "result"}
    if found is None:
        return Along(_OPEN, values, lambda: stale(new.key))
    same = {"found_fence": found.fence, "found_state": found.state}
    return Along(_OPEN_AGAIN, {**values, **same}, lambda: stale(new.key))


def settling(found: Stored | None, claim: Claim, outcome: str, result: dict[str, Any]) -> tuple[Along, Stored]:
    """Return the change that settles a claim that is still ours and open, and the claim as it is then.

    Raises BusyError when the claim was taken over or settled by another; the change is refused with it then too.
    """
    if found is None or (found.fence, found.state) != (claim.fence, INTENT):
        raise stale(claim.key)
    text = canonical(result)
    values = {"outcome": outcome, "result": text, "key": claim.key, "fence": claim.fence, "intent": INTENT}
    return Along(_SETTLE, values, lambda: stale(claim.key)), replace(found, state=outcome, result=json.loads(text))


def fresh(key: str, inputs_digest: str, fence: int, lease_until: int, owner: str = "") -> Stored:
    """Return a claim with the intent of an owner; of this process when none is named."""
    return Stored(key, inputs_digest, INTENT, fence, owner or current_owner(), lease_until, None)


def change(connection: sa.Connection, claim: Claim, values: dict[str, Any]) -> None:
    """Change the row of a claim that is still ours and open. Raises BusyError when it is not."""
    columns = schema.claim.c
    mine = (columns.key == claim.key, columns.fence == claim.fence, columns.state == INTENT)
    if connection.execute(sa.update(schema.claim).where(*mine).values(values)).rowcount != 1:
        raise stale(claim.key)


def stale(key: str) -> BusyError:
    """Return the error of an owner whose claim was taken over or settled by another."""
    return BusyError(
        f"{key} is no longer held by this worker",
        "its lease ran out and another worker took over, or the key is settled already",
        "ask again to get what the other worker recorded; this worker recorded nothing",
    )


def change_name(stored: Stored) -> str:
    """Return `claim/KEY/sha256` for the entry of the same transaction; lease and owner are left out: they wander."""
    return f"{CLAIM_KIND}/{stored.key}/{claim_digest(stored.inputs_digest, stored.state, stored.fence, stored.result)}"


def claim_digest(inputs_digest: str, state: str, fence: int, result: Any) -> str:
    """Return the SHA-256 (hex) of what a claim says for good."""
    return digest({"inputs_digest": inputs_digest, "state": state, "fence": fence, "result": result})


CLAIMED = {Step.NEW: ClaimState.FRESH, Step.REOPEN: ClaimState.FRESH, Step.TAKE_OVER: ClaimState.TAKEN_OVER}
