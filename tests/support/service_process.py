"""`snaphold serve` as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path


class Serving:
    """A service as a process of its own, in a small estate."""

    def __init__(self, folder: Path, *words: str) -> None:
        # A file, not a pipe: nobody reads a pipe while the service works, and once it were full the service would stand still.
        self._log = folder / "service.log"
        with self._log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snaphold", "serve", "--port", "0", "--json", *words],
                cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """End it with a signal; return its exit code, what it said on stdout, and what services of the folder logged."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=240)
        return self.process.returncode, out, self._log.read_text(encoding="utf-8")
