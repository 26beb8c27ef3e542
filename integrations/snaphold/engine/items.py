"""The items of the loops around a step. An item may be a whole wave with the names of thousands of assets."""

from __future__ import annotations

from collections.abc import Iterable

from snaphold.ledger.entry import digest

LONGEST_ITEM = 80


def brief(items: Iterable[str]) -> tuple[str, ...]:
    """Return items with each long one replaced by its digest: they tell the turns of a loop apart as well as before."""
    return tuple(item if len(item) <= LONGEST_ITEM else f"#{digest(item)[:16]}" for item in items)
