"""Starts a Shuffle app again and again: `python shuffle_forks.py`, with the SDK's Python and the app's package on its path.

Every action has a process of its own, as in Shuffle; it is forked when SDK and package are imported already, which is what
takes most of an action's time. Each line of stdin is an order as JSON, each line of stdout the exit code of its process.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import runpy
import sys
import traceback
from typing import Any

IMPORTED = ("shuffle_sdk.shuffle_sdk", "snaphold.soar.shuffle", "snaphold.soar.shuffle_vendor")
"""What every app imports, or would a moment later; nothing of them has run yet when a process is forked."""


def act(order: dict[str, Any]) -> int:
    """Be the app's process: as if it had been started with this environment, folder and output."""
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    written = os.open(order["written"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(number, target)
    sys.path[0] = order["folder"]
    sys.argv[:] = ["app.py"]
    random.seed()
    try:
        runpy.run_path("app.py", run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  told as Python itself tells it
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def main() -> None:
    """Serve orders until stdin ends."""
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = act(json.loads(line))
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
