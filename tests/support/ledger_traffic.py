"""Counts what a process sends to its ledgers: a measure of cost that does not depend on the machine."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.event import listen, remove

OURS = re.compile(r"\b(entry|claim|register)\b")
"""What our own tables are called; DBOS asks its tables by the clock, too."""


@dataclass
class Traffic:
    """What was sent to ledgers: how many statements, and how many characters of text with them."""

    statements: int = 0
    characters: int = 0


@contextmanager
def watched(engine: sa.Engine | type[sa.Engine] = sa.Engine) -> Generator[Traffic, None, None]:
    """Count what this process sends to ledgers, or to the one that is named, for the length of the block."""
    traffic = Traffic()

    def count(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if OURS.search(statement):
            rows: list[Any] = list(parameters) if many else [parameters]
            traffic.statements += 1
            traffic.characters += sum(len(value) for row in rows for value in row if isinstance(value, str))

    listen(engine, "before_cursor_execute", count)
    try:
        yield traffic
    finally:
        remove(engine, "before_cursor_execute", count)
