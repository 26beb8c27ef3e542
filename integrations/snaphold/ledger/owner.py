"""Who holds a lease: this process, named so that another process on the same machine can tell that it died.

A process number alone is reused. Boot, process-number namespace, number and start time together are not.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_DEAD_STATES = ("Z", "X", "x")
_START_TIME = 19
"""Position of the start time behind the program's name in /proc/N/stat."""
_HIDDEN = ("?", 0)
_TENANT = "run"
_OWNER = re.compile(r"(?P<machine>[^ ]+) (?P<number>[0-9]+) (?P<started>[0-9]+)")


@dataclass(frozen=True)
class Tenant:
    """A run in the hands of one worker; `fence` counts the takers."""

    run: str
    fence: int

    @property
    def name(self) -> str:
        """How it stands as the owner of a claim."""
        return f"{_TENANT} {self.fence} {self.run}"


def read_tenant(owner: str) -> Tenant | None:
    """Return the tenant that a claim's owner names; None when it names a process."""
    kind, _, rest = owner.partition(" ")
    fence, _, run = rest.partition(" ")
    return Tenant(run, int(fence)) if kind == _TENANT and fence.isdigit() and run else None


def current_owner() -> str:
    """Return the name of this process: `MACHINE NUMBER START`; without /proc its end cannot be proved by the name."""
    number = os.getpid()
    state = _state_of(number)
    return f"{_machine()} {number} {state[1] if state else 0}"


def is_provably_dead(owner: str) -> bool:
    """Return True only when the owner ran on this machine, since this boot, and its process is gone.

    False means that it lives or that it cannot be told: then only the end of its lease counts.
    """
    match = _OWNER.fullmatch(owner)
    if not match or match["machine"] in ("-", "") or match["machine"] != _machine() or match["started"] == "0":
        return False
    state = _state_of(int(match["number"]))
    if state is None:
        return True
    return state != _HIDDEN and (state[1] != int(match["started"]) or state[0] in _DEAD_STATES)


def _machine() -> str:
    """Return what tells boots, and containers that count processes by themselves, apart; `-` when it cannot be told."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return "-"


def _state_of(number: int) -> tuple[str, int] | None:
    """Return a process's state letter and start time in clock ticks since boot; None when there is no such process."""
    try:
        text = (_PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return fields[0], int(fields[_START_TIME])
    except (OSError, IndexError, ValueError):
        return _HIDDEN if _exists(number) else None


def _exists(number: int) -> bool:
    """Some systems hide other people's processes in /proc: a hidden one is not a dead one."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
