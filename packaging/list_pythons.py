"""Prints one usable interpreter for each supported minor version of Python on this machine, e.g. `3.12 /usr/bin/python3.12`.

Usage: list_pythons.py [--except 3.11]. Looks on PATH and among the versions that pyenv keeps.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SUPPORTED = ("3.10", "3.11", "3.12", "3.13")
PROBE = "import ensurepip, sqlite3, ssl, sys, venv; print('%d.%d' % sys.version_info[:2])"
PROBE_SECONDS = 240


def candidates(version: str) -> Iterator[str]:
    """Yield paths that may be the interpreter of a minor version, the likeliest first."""
    found = shutil.which(f"python{version}")
    if found:
        yield found
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"), reverse=True)
    yield from (str(path) for path in kept)


def works(path: str, version: str) -> bool:
    """Return whether the interpreter runs, is that version, and has what a test run needs."""
    try:
        done = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def main(arguments: list[str]) -> int:
    """Print the interpreters and return 0."""
    skipped = arguments[arguments.index("--except") + 1] if "--except" in arguments else ""
    for version in SUPPORTED:
        if version != skipped:
            path = next((path for path in candidates(version) if works(path, version)), None)
            if path:
                print(version, path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
