"""The port of hosts: where commands run. Adapters: `local` (this machine); ssh and winrm come later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

DEFAULT_TIMEOUT_SECONDS = 60.0
OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class CompletedCommand:
    """What a command did: its argv, exit code, output as text, and wall time in seconds."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float


class Host(Protocol):
    """Runs commands without a shell.

    Raises MissingToolError (no such program) and TimedOutError (killed at the deadline).
    """

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> CompletedCommand:
        """Run to the end and return what it did; `on_line` sees each line of stdout as it comes."""
        ...
