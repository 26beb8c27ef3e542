"""Fault switches: what goes wrong between a client and a simulated system, how often, and for which calls."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from snaphold.errors import InputError
from snaphold.simulators.base import Call
from snaphold.validation import suggest

KINDS: dict[str, str] = {
    "throttled": "429, nothing done, asked to come back after a second",
    "throttled_long": "429, nothing done, asked to come back after an hour",
    "error": "500, nothing done",
    "unavailable": "503, nothing done",
    "forbidden": "403, nothing done",
    "error_after": "500, although it was done",
    "reset_before": "the connection is cut, nothing done",
    "reset_after": "it is done, then the connection is cut without an answer",
    "slow": "the answer comes late",
    "truncated": "it is done, the answer breaks off",
    "garbage": "it is done, the answer is a page of HTML",
    "other_shape": "it is done, the answer is JSON of another shape",
    "expired": "the sign-in is worth nothing any more",
    "redirect": "sent to another host, nothing done",
}
"""Every general fault and what it does; simulators add their own."""
FOR_EVER = 10**9
_TEXT = re.compile(r"(?P<kind>[a-z_]+)(?::(?P<times>[0-9]{1,6}|always))?(?:@(?P<method>[A-Z]+|\*)(?P<path>/\S*)?)?")


@dataclass
class Fault:
    """One fault: its kind, how many calls it still meets, and which (`*` is every method; the path may end early)."""

    kind: str
    times: int = 1
    method: str = "*"
    path: str = ""

    def meets(self, call: Call) -> bool:
        """Return whether this fault is for the call."""
        return self.times > 0 and self.method in ("*", call.method) and call.path.startswith(self.path)


def parse_fault(text: str, own: Sequence[str] = ()) -> Fault:
    """Return the fault that `KIND[:TIMES|:always][@METHOD[/PATH]]` names, e.g. `throttled:3@POST/v2/enqueue`.

    Raises InputError with the nearest kind when there is none of that name.
    """
    match = _TEXT.fullmatch(text)
    if not match:
        raise InputError(f"{text!r} is not a fault", "it is KIND, KIND:TIMES or KIND:TIMES@METHOD/path", "e.g. throttled:3@POST")
    kind, times = match["kind"], match["times"]
    known = [*KINDS, *own]
    if kind not in known:
        raise InputError(f"there is no fault {kind!r}", suggest(kind, known) or f"known: {', '.join(known)}")
    count = FOR_EVER if times == "always" else int(times or 1)
    return Fault(kind, count, match["method"] or "*", match["path"] or "")


class FaultSwitches:
    """The faults that are switched on. Each call meets at most one: the first that is for it."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._faults = list(faults)
        self._lock = threading.Lock()

    def switch_on(self, fault: Fault) -> None:
        """Add a fault behind the others."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()

    def next_for(self, call: Call) -> str:
        """Return the kind of fault that this call meets, and count it; empty when none."""
        with self._lock:
            for fault in self._faults:
                if fault.meets(call):
                    fault.times -= 1
                    return fault.kind
        return ""
