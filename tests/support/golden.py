"""Files that are generated and committed: compared with what the code makes now, or written again with --regenerate."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOWN_LINES = 40


class Golden:
    """Compares text with committed files; a difference fails with the command that regenerates them."""

    def __init__(self, *, regenerate: bool) -> None:
        self.regenerate = regenerate

    def check(self, relative: str, text: str) -> None:
        """Compare `text` with the file below the top of the checkout, byte for byte."""
        path = ROOT / relative
        if self.regenerate:
            if os.environ.get("CI") == "true":
                pytest.fail("--regenerate has no place in CI: it would hide the difference")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8"))
            return
        committed = path.read_bytes().decode("utf-8") if path.exists() else ""
        if committed != text:
            lines = difflib.unified_diff(committed.splitlines(), text.splitlines(), relative, "generated now", lineterm="")
            shown = "\n".join(list(lines)[:SHOWN_LINES])
            pytest.fail(f"{relative} is out of date; run `make docs` (pytest --regenerate) and look at the difference\n{shown}")
