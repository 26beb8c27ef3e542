"""How much of a long list the report shows. Thousands of rows help nobody, and no browser shows them well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from snaphold.report.markup import Html, element

Item = TypeVar("Item")
MOST_SHOWN = 1000
"""Rows of one table."""
MOST_NAMED = 100
"""Names in one sentence."""


def shown(items: Sequence[Item]) -> Sequence[Item]:
    """Return what the report shows of a list: all of it, or the first thousand."""
    return items[:MOST_SHOWN]


def rest(count: int, where: str) -> list[Html]:
    """Return the sentence on what is not shown of so many; nothing when all is shown. `where` says how to see it."""
    if count <= MOST_SHOWN:
        return []
    return [element("p", f"The first {MOST_SHOWN} of {count} are shown, {count - MOST_SHOWN} are not: {where}.", class_="rest")]


def named(names: Sequence[str]) -> str:
    """Return names with commas; the first hundred and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
