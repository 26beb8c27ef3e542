"""Start-up: `snaphold --help` against `python -c "import pydantic, argparse"`, run in turn; target at most 2.5 times.

`snaphold actions list` and `snaphold do ACTION --help` are measured too: they load the whole catalogue.
Usage: python bench/startup.py [ROUNDS]; the result is written to bench/results/startup.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

TARGET_RATIO = 2.5
ROUNDS = 25
BASE = "import pydantic, argparse"
COMMANDS = {
    BASE: [sys.executable, "-c", "import pydantic, argparse"],
    "snaphold --help": [sys.executable, "-m", "snaphold", "--help"],
    "snaphold actions list": [sys.executable, "-m", "snaphold", "actions", "list"],
    "snaphold do triage.classify_assets --help": [sys.executable, "-m", "snaphold", "do", "triage.classify_assets", "--help"],
}


def seconds(argv: list[str], environment: dict[str, str]) -> float:
    """Run a command once and return its wall time."""
    started = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def main() -> int:
    """Measure, print and keep the result. Returns 1 when the target is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as cache:
        # Byte code is kept as after an installation, whatever the environment says.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for argv in COMMANDS.values():
            seconds(argv, environment)
        for _ in range(rounds):
            for name, argv in COMMANDS.items():
                times[name].append(seconds(argv, environment))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = {name: round(median / medians[BASE], 2) for name, median in medians.items()}
    for name, median in medians.items():
        print(f"{name:34} {median * 1000:7.1f} ms  {ratios[name]:5.2f}")
    result = {
        "benchmark": "startup",
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "rounds": rounds,
        "median_ms": {name: round(median * 1000, 1) for name, median in medians.items()},
        "ratio": ratios,
        "target": {"snaphold --help": TARGET_RATIO},
    }
    path = Path(__file__).parent / "results/startup.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    met = ratios["snaphold --help"] <= TARGET_RATIO
    print(f"target {TARGET_RATIO}: {'met' if met else 'missed'}; written to {path.relative_to(Path(__file__).parents[1])}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
