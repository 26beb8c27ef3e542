"""Comparing two inventories of a million entries: wall time and memory of a process that does only that.

python bench/compare.py --out bench/results/compare.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from snaphold.evidence.inventory import format_entry

TARGET_SECONDS = 1.0
TARGET_MB = 32
PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from snaphold.evidence.compare import compare_inventories
started = time.perf_counter()
found = compare_inventories(Path(sys.argv[1]), Path(sys.argv[2]))
seconds = time.perf_counter() - started
counts = {category.value: count for category, count in found.counts().items()}
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"seconds": seconds, "peak_mb": int(peak.split()[1]) / 1000, "counts": counts}))
"""


def make(before: Path, after: Path, entries: int) -> None:
    """Write two inventories: of a thousand entries, ten are modified, one is gone and one is new."""
    with before.open("wb") as old, after.open("wb") as new:
        for number in range(entries):
            path = b"/srv/share/folder%05d/file%08d.dat" % (number // 100, number)
            fields = {
                "type": "file",
                "size": number % 100_000,
                "sha256": hashlib.sha256(b"%d" % number).hexdigest(),
                "mtime_ns": 1_700_000_000_000_000_000 + number,
                "mode": 420,
            }
            line = format_entry(path, fields)
            if number % 1000 != 1:
                old.write(line)
            if number % 100 == 7:
                line = format_entry(path, {**fields, "sha256": hashlib.sha256(b"new%d" % number).hexdigest()})
            if number % 1000 != 2:
                new.write(line)


def main() -> None:
    """Run the benchmark and print, or write, its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the result there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="snaphold-bench-") as folder:
        before, after = Path(folder, "before.jsonl"), Path(folder, "after.jsonl")
        make(before, after, given.entries)
        command = [sys.executable, "-c", PROGRAM, str(before), str(after)]
        rounds = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(given.rounds)]
    result = {
        "entries": given.entries,
        "seconds": round(statistics.median(item["seconds"] for item in rounds), 3),
        "target_seconds": TARGET_SECONDS,
        "peak_mb": max(item["peak_mb"] for item in rounds),
        "target_mb": TARGET_MB,
        "counts": rounds[0]["counts"],
        "rounds": given.rounds,
    }
    text = json.dumps(result, indent=1, sort_keys=True) + "\n"
    print(text, end="")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text)


if __name__ == "__main__":
    main()
