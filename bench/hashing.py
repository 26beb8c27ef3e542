"""Hashing speed against its peers in the same run, as ratios.

    python bench/hashing.py --out bench/results/hashing.json

Large files: against `openssl dgst -sha256` on the same files, two at a time. Small files: against `hashdeep`. The rounds
of all contestants are interleaved, so that a busy machine slows all of them, and medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from snaphold.evidence.hashing import hash_tree, worker_count
from snaphold.evidence.inventory import take_inventory

TARGET_OPENSSL = 0.9
TARGET_HASHDEEP = 2.5


def make_large(folder: Path, count: int, mib: int) -> None:
    """Write `count` files of `mib` MiB of random bytes."""
    folder.mkdir()
    for number in range(count):
        with (folder / f"large{number}").open("wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1024 * 1024))


def make_small(folder: Path, count: int) -> None:
    """Write `count` files of 1 to 70 KiB (35 KiB on average) in folders of a hundred."""
    sizes = random.Random(1)  # noqa: S311  not a secret
    for number in range(count):
        path = folder / f"d{number // 100:04d}/f{number:06d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(sizes.randrange(1024, 70 * 1024)))


def hash_with_snaphold(folder: Path) -> None:
    """Hash a tree with the product's own code."""
    for _, found in hash_tree(os.fsencode(folder)):
        assert not isinstance(found, OSError)


def hash_with_openssl(folder: Path) -> None:
    """Hash large files with openssl, two processes at a time."""
    waiting = [str(path) for path in sorted(folder.iterdir())]
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        while waiting and len(running) < worker_count():
            running.append(subprocess.Popen(["openssl", "dgst", "-sha256", waiting.pop()], stdout=subprocess.DEVNULL))
        assert running.pop(0).wait() == 0


def hash_with_hashdeep(folder: Path) -> None:
    """Hash a tree with hashdeep, as many threads as cores."""
    command = ["hashdeep", "-r", "-c", "sha256", "-j", str(worker_count()), str(folder)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def inventory(folder: Path) -> None:
    """Take a whole inventory: digests and metadata, sorted, written to disk."""
    with tempfile.TemporaryDirectory() as scratch:
        take_inventory([folder], Path(scratch) / "inventory.jsonl")


def measure(contestants: dict[str, Callable[[Path], None]], folder: Path, rounds: int) -> dict[str, float]:
    """Return each contestant's median wall time in seconds; one unmeasured round fills the page cache."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for attempt in range(rounds + 1):
        for name, run in contestants.items():
            started = time.perf_counter()
            run(folder)
            if attempt:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def in_three_digits(ratio: float) -> float:
    """Return a ratio in three digits that count; where the machine stood still it is small, but never nothing."""
    return float(f"{ratio:.3g}")


def main() -> None:
    """Run the benchmark and print, or write, its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large-files", type=int, default=4)
    parser.add_argument("--large-mib", type=int, default=512)
    parser.add_argument("--small-files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="where to make the files (default: the temporary folder)")
    parser.add_argument("--out", type=Path, help="also write the result there")
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="snaphold-bench-", dir=given.dir))
    try:
        make_large(scratch / "large", given.large_files, given.large_mib)
        make_small(scratch / "small", given.small_files)
        large_bytes = given.large_files * given.large_mib * 1024 * 1024
        large = {"snaphold": hash_with_snaphold, "openssl": hash_with_openssl}
        small: dict[str, Callable[[Path], None]] = {"snaphold": hash_with_snaphold, "inventory": inventory}
        if shutil.which("hashdeep"):
            small["hashdeep"] = hash_with_hashdeep
        large_times = measure(large, scratch / "large", given.rounds)
        small_times = measure(small, scratch / "small", given.rounds)
    finally:
        shutil.rmtree(scratch)
    small_result: dict[str, object] = {
        "files": given.small_files,
        "files_per_second": {name: round(given.small_files / seconds) for name, seconds in small_times.items()},
        "target": TARGET_HASHDEEP,
    }
    if "hashdeep" in small_times:
        small_result["ratio_to_hashdeep"] = in_three_digits(small_times["hashdeep"] / small_times["snaphold"])
        small_result["inventory_ratio_to_hashdeep"] = in_three_digits(small_times["hashdeep"] / small_times["inventory"])
    result = {
        "machine": {"cores": worker_count(), "processor": platform.machine(), "python": platform.python_version()},
        "large": {
            "files": given.large_files,
            "bytes": large_bytes,
            "gb_per_second": {name: round(large_bytes / seconds / 1e9, 3) for name, seconds in large_times.items()},
            "ratio_to_openssl": in_three_digits(large_times["openssl"] / large_times["snaphold"]),
            "target": TARGET_OPENSSL,
        },
        "small": small_result,
        "rounds": given.rounds,
    }
    text = json.dumps(result, indent=1, sort_keys=True) + "\n"
    print(text, end="")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text)


if __name__ == "__main__":
    main()
