"""Text for XSOAR's war room. It renders Markdown and some HTML, and what we show comes from alerts and file names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from snaphold.errors import SnapholdError
from snaphold.fields import value_text
from snaphold.secrets import redact

LONGEST_CELL = 2000
_MARKUP = re.compile(r"([\\`*\[\]|~])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|javascript|data|file)(:)(?=\S)")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def plain(given: object) -> str:
    """Return text that the war room shows as it stands: no markup, no tags, no live addresses, no secrets, one line."""
    told = redact(value_text(given))
    told = "".join(" " if char in "\r\n\t" else char for char in told)
    # Control and format characters (among them those that turn the direction of text) deceive the reader.
    told = "".join(char for char in told if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    if len(told) > LONGEST_CELL:
        told = f"{told[:LONGEST_CELL]}... ({len(told)} characters in all)"
    return _ADDRESS.sub(r"\1&#58;", _MARKUP.sub(r"\\\1", told.translate(_ENTITIES)))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table of plain cells; a sentence when there is no row."""
    lines = ["| " + " | ".join(plain(cell) or " " for cell in row) + " |" for row in rows]
    if not lines:
        return "There is nothing to show."
    return "\n".join(["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings), *lines])


def result_text(title: str, output: Mapping[str, Any]) -> str:
    """Return an action's result for people: its outcome, its fields, and every finding as a line of its own."""
    fields = [(name, value) for name, value in output.items() if name not in ("outcome", "findings")]
    lines = [f"### {plain(title)}: {plain(output.get('outcome', ''))}"]
    lines += ["", table(("Field", "Value"), fields)] if fields else []
    findings = findings_of(output)
    lines += ["", "Findings:", "", *(f"* {plain(finding)}" for finding in findings)] if findings else []
    return "\n".join(lines)


def findings_of(output: Mapping[str, Any]) -> list[str]:
    """Return the findings of a result."""
    found: Any = output.get("findings")
    return [str(finding) for finding in cast("list[Any]", found)] if isinstance(found, list) else []


def error_text(error: SnapholdError) -> str:
    """Return an error as what happened, why, and what to do."""
    parts = [plain(error.what)]
    parts += [f"Why: {plain(error.why)}"] if error.why else []
    parts += [f"Do: {plain(error.do)}"] if error.do else []
    return "\n".join(parts)
