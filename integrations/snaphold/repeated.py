"""Questions that are asked again and again about one job. The audit trail keeps the answers that say something new.

A backup of six hours is asked about ten thousand times. If every question were recorded, nobody would find the entries
that matter among them; so the first question, every change and every end are recorded, each with the number asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from snaphold.ledger.entry import digest


@dataclass(frozen=True)
class Repeat:
    """An earlier answer to the same question: its gist, the result fields that count, and how often it was given."""

    earlier: str
    fields: tuple[str, ...]
    asked: int

    def is_news(self, outcome: str, findings: Iterable[str], output: Mapping[str, Any]) -> bool:
        """Return whether an answer differs from the earlier one in something that counts."""
        return gist(outcome, findings, output, self.fields) != self.earlier


def gist(outcome: str, told: Iterable[str], output: Mapping[str, Any], fields: Iterable[str]) -> str:
    """Return the digest of what counts in an answer: outcome, findings (or the error's words), and the chosen fields."""
    return digest([outcome, list(told), {name: output.get(name) for name in fields} if output else None])
