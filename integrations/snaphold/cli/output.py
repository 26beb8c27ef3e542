"""What the command line prints: tables and lines for people, JSON for programs. Commands never print by themselves.

Results go to stdout; progress, logs and errors go to stderr. Colour only on a terminal, never with NO_COLOR or --json.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from snaphold.secrets import redact

_COLOURS = {
    "succeeded": "32", "verified": "32", "approved": "32", "done": "32",
    "partial": "33", "unknown": "33", "waiting": "33", "incomplete": "33", "unverifiable": "33",
    "failed": "31", "denied": "31", "cancelled": "31",
}  # fmt: skip
_SHORTEST_COLUMN = 3
_MARKED = re.compile(r"\x1b\[3[123]m(?:" + "|".join(_COLOURS) + r")\x1b\[0m")
"""The only escape sequences that reach a terminal: an outcome's own name in its colour."""


def printable(text: str) -> str:
    """Return text that cannot move a terminal's cursor or hide itself: control and format characters are shown."""
    return "".join(
        character if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co") else
        character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )  # fmt: skip


class Writer:
    """Writes one command's output. With `as_json`, one JSON document (or JSON lines by `event`)."""

    def __init__(self, *, as_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.as_json = as_json
        self.stdout = stdout or sys.stdout or _nowhere()
        self.stderr = stderr or sys.stderr or _nowhere()
        self.colour = not as_json and self.stdout.isatty() and not os.environ.get("NO_COLOR")

    def document(self, document: Mapping[str, Any] | Sequence[Any], text: str) -> None:
        """Print a command's one result: `document` for programs, `text` for people."""
        self._out(json.dumps(document, ensure_ascii=False, default=str) if self.as_json else text)

    def event(self, message_type: str, fields: Mapping[str, Any], text: str) -> None:
        """Print one line of a long command: a JSON object with `message_type` for programs, `text` for people."""
        if self.as_json:
            self._out(json.dumps({"message_type": message_type, **fields}, ensure_ascii=False, default=str))
        else:
            self._out(text)

    def exact(self, text: str) -> None:
        """Print text byte for byte as UTF-8, for exports whose digest must not change."""
        self.stdout.flush()
        raw = getattr(self.stdout, "buffer", None)
        if raw is None:
            self.stdout.write(text)
        else:
            raw.write(text.encode("utf-8"))
            raw.flush()

    def reveal(self, document: Mapping[str, Any], text: str) -> None:
        """Print a secret that was made just now, the one time that it is shown: nothing is hidden in it."""
        self.stdout.write((json.dumps(document, ensure_ascii=False) if self.as_json else text) + "\n")
        self.stdout.flush()

    def progress(self, text: str) -> None:
        """Show that something goes on; only when stderr is a terminal."""
        if self.stderr.isatty():
            self.stderr.write(f"  {printable(redact(text))}\n")
            self.stderr.flush()

    def note(self, text: str) -> None:
        """Tell people something beside the result, on stderr."""
        self.stderr.write(printable(redact(text)) + "\n")
        self.stderr.flush()

    def mark(self, outcome: str) -> str:
        """Return an outcome's name, coloured where colour is allowed."""
        code = _COLOURS.get(outcome)
        return f"\x1b[{code}m{outcome}\x1b[0m" if self.colour and code else outcome

    def _out(self, text: str) -> None:
        text = redact(text)
        if not self.as_json:
            text = _printable_but_marks(text) if self.colour else printable(text)
        # Names of files need not be UTF-8; what cannot be encoded is shown, not fatal.
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self.stdout.flush()


def _nowhere() -> TextIO:
    """A stream for output that the caller closed (`>&-`)."""
    return open(os.devnull, "w", encoding="utf-8")


def _printable_but_marks(text: str) -> str:
    kept = _MARKED.findall(text)
    between = [printable(part) for part in _MARKED.split(text)]
    return "".join(part + mark for part, mark in zip(between, [*kept, ""], strict=True))


def _width(text: str) -> int:
    """Return how many columns a terminal needs for the text."""
    plain = _MARKED.sub(lambda mark: mark[0][5:-4], text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a plain-text table with aligned columns; `(none)` when there are no rows."""
    if not rows:
        return "(none)"
    cells = [[heading.upper() for heading in headings]]
    cells += [[_printable_but_marks(str(cell)).replace("\n", " ").replace("\t", " ") for cell in row] for row in rows]
    widths = [max(_SHORTEST_COLUMN, *(_width(row[index]) for row in cells)) for index in range(len(headings))]
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def details(fields: Sequence[tuple[str, str]]) -> str:
    """Return names and values one below the other, aligned; a value of several lines keeps its column."""
    width = max((_width(name) for name, _ in fields), default=0)
    lines: list[str] = []
    for name, value in fields:
        first, *rest = _printable_but_marks(value).split("\n") or [""]
        lines.append(f"{name.ljust(width)}  {first}".rstrip())
        lines += [f"{'':{width}}  {line}".rstrip() for line in rest]
    return "\n".join(lines)
