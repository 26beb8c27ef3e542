"""Runs an integration's script as a server would: without any package but those of the image. Input and output are JSON.

Usage: run_script.py SCRIPT < requests.json. One process runs all requests one after the other, as a container does.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path


def main() -> None:
    """Run every request and print what each gave to the war room, and how long it took."""
    import CommonServerPython as server  # noqa: N813
    import demistomock

    code = compile(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[1], "exec")
    answers = []
    for request in json.load(sys.stdin):
        demistomock.STATE.clear()
        demistomock.STATE.update(request)
        demistomock.RESULTS.clear()
        names = {**vars(server), "demisto": demistomock, "__name__": "__builtin__"}
        began, worked = time.perf_counter(), time.process_time()
        with contextlib.suppress(SystemExit):
            exec(code, names)  # noqa: S102  this is how the server runs it
        took = {"seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - worked}
        answers.append({"entries": list(demistomock.RESULTS), **took})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    main()
