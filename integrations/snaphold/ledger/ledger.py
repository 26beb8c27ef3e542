"""The ledger: append-only audit chain, idempotent claims with lease and fence, and registers, in one database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from snaphold.domain.value import Value
from snaphold.ledger.entry import Entry, NewEntry

Record = TypeVar("Record", bound=Value)


class ClaimState(str, Enum):
    """What a claim found under its key.

    fresh: nobody was here, or a clean failure was opened anew; taken_over: an owner's lease ran out or its process is
    gone, ask the outside world before doing it again;
    settled: done before, `result` is what came out (its outcome may be failed or unknown).
    """

    FRESH = "fresh"
    TAKEN_OVER = "taken_over"
    SETTLED = "settled"


@dataclass(frozen=True)
class Claim:
    """The right to act under a key. Every later write carries the fence; a stale owner's write changes nothing."""

    key: str
    state: ClaimState
    fence: int
    result: dict[str, Any] | None = None


class Ledger(Protocol):
    """What the rest of the product needs of the ledger."""

    def append(self, entry: NewEntry, records: list[Value] | None = None, *, also: Callable[[Any], None] | None = None) -> Entry:
        """Chain an entry and write the register records in the same transaction; return the entry.

        `also` is called in that transaction with its connection.
        """
        ...

    def amend(self, model: type[Record], id: str, change: Callable[[Record | None], tuple[NewEntry, Record] | None]) -> None:
        """Read a register record and write what `change` makes of it, with its entry, so that no other's change is lost.

        `change` is given None when there is no such record, and returns None when nothing is to be written. It is called
        in the write's transaction, so it must be quick and ask the ledger nothing.
        """
        ...

    def claim(self, entry: NewEntry, *, lease_seconds: float, reopen_failed: bool = False) -> Claim:
        """Write the intent `entry` under `entry.key`, or say what is there already.

        With `reopen_failed` a key that settled as failed (never unknown, partial or succeeded) is claimed anew.
        Raises BusyError while another owner's lease runs, InputError when the key was used with another input digest.
        """
        ...

    def find_claim(self, key: str) -> Any | None:
        """Return what stands under an idempotency key; None when it was never claimed."""
        ...

    def renew(self, claim: Claim, *, lease_seconds: float) -> None:
        """Give the claim a full lease from now. Raises BusyError when another owner has taken over."""
        ...

    def settle(self, claim: Claim, entry: NewEntry, result: dict[str, Any], records: list[Value]) -> Entry:
        """Write the outcome, the result and the register records in one transaction.

        Raises BusyError, writing nothing, when the fence is stale.
        """
        ...

    def turn(self, path: Path) -> AbstractContextManager[None]:
        """Hold a lock against every process on this ledger for the length of a block; waits for its turn.

        The lock's name is the path's last two parts; a ledger in a file makes the file.
        """
        ...

    def record(self, model: type[Record], id: str) -> Record | None:
        """Return one register record, or None."""
        ...

    def records(self, model: type[Record], incident: str | None = None) -> list[Record]:
        """Return the register records of one kind, oldest first; of one incident when it is named."""
        ...

    def entries(self, incident: str | None = None, run: str | None = None) -> list[Entry]:
        """Return entries in order."""
        ...

    def each_entry(self, incident: str | None = None, run: str | None = None) -> Iterator[Entry]:
        """Yield entries in order without holding them all in memory."""
        ...
